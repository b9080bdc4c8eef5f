"""`sweep data`: make toy events, describe, plot and convert files of events."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.options import Json, Variant, XKey, YKey

if TYPE_CHECKING:
    from sweep.data.description import Description
    from sweep.data.events import EventSet

data_app = typer.Typer(
    help="Make toy events; describe, plot and convert files of events.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class FileType(StrEnum):
    """Number type of a written file."""

    float16 = "float16"
    float32 = "float32"


File = Annotated[Path, typer.Argument(help="Course .npz (X, y) or PV-Finder HDF5.")]
TypeOption = Annotated[
    FileType, typer.Option("--type", help="float32 is exact, float16 keeps three digits.")
]


@data_app.command()
def make(
    events: Annotated[int, typer.Option(help="How many events.")],
    seed: Annotated[int, typer.Option(help="Same seed, same events.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write them as .npz too.")] = None,
) -> None:
    """Make toy events in the cache (`sweep run` uses those of seed 1); with --out as a file."""
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.data.conversion import ARCHIVES, convert_events
    from sweep.data.toy import open_toy_events
    from sweep.files.output_file import check_output

    if out is not None:
        check_output(out, ARCHIVES, is_new=True)
    with show_progress("toy events") as progress:
        made = open_toy_events(events, seed, progress=progress)
        if out is not None:
            convert_events(made, out, progress=progress)
    print_note(f"{len(made)} events ({made.labels[0]}), fingerprint {made.fingerprint}")


@data_app.command()
def describe(
    files: Annotated[list[Path], typer.Argument(help="Course .npz or PV-Finder HDF5 files.")],
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
    json: Json = False,
) -> None:
    """Say what files of events hold, joined: counts, ranges, vertices, null loss, oddities."""
    from dataclasses import asdict

    from sweep.cli.output import print_json
    from sweep.cli.progress import show_progress
    from sweep.data.description import describe_events

    events = _open(files, x_key, y_key, variant)
    with show_progress("describing") as progress:
        description = describe_events(events, progress=progress)
    if json:
        print_json(asdict(description))
    else:
        _print_description(description)


@data_app.command()
def plot(
    file: File,
    event: Annotated[int, typer.Option(help="Which event, from 0.")],
    out: Annotated[
        Path | None, typer.Option(help="Picture: .html (zooms) or .png.  [FILE-event-K.html]")
    ] = None,
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
) -> None:
    """Draw one event, features and target superimposed."""
    from sweep.data.paths import check_paths
    from sweep.figures.png import PICTURES
    from sweep.files.output_file import check_output

    out = out or Path(f"{file.stem}-event-{event}.html")
    check_output(out, PICTURES)
    check_paths([file])
    from sweep.cli.output import print_note  # late: the paths are known to be right by now
    from sweep.data.description import load_event
    from sweep.report.event import write_event

    x_CL, y_L = load_event(_open([file], x_key, y_key, variant), event)
    write_event(out, x_CL, y_L, name=f"event {event} of {file.name}")
    print_note(f"{out}: event {event} of {file} drawn")


@data_app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Course .npz or PV-Finder HDF5.")],
    out: Annotated[Path, typer.Argument(help="Course .npz to write.")],
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
    dtype: TypeOption = FileType.float16,
) -> None:
    """Write any readable file as a course .npz with `X` and `y`."""
    from sweep.cli.output import print_note
    from sweep.cli.progress import show_progress
    from sweep.data.conversion import ARCHIVES, convert_events
    from sweep.files.output_file import check_output

    check_output(out, ARCHIVES, is_new=True)
    events = _open([source], x_key, y_key, variant)
    with show_progress("writing") as progress:
        convert_events(events, out, dtype=dtype.value, progress=progress)
    print_note(f"{out}: {len(events)} events, {dtype.value}, fingerprint {events.fingerprint}")


def _open(files: list[Path], x_key: str | None, y_key: str | None, variant: str | None) -> EventSet:
    from sweep.cli.progress import show_progress
    from sweep.data.formats import open_events
    from sweep.plan.parts import read_variant

    features = read_variant(variant)
    with show_progress("reading") as progress:
        return open_events(files, x_key=x_key, y_key=y_key, variant=features, progress=progress)


def _print_description(description: Description) -> None:
    from sweep.cli.console import open_console
    from sweep.cli.grid import Grid, name_columns

    generated = description.mean_generated_vertices
    peaks = f"{description.mean_true_peaks:.3f} an event, at most {description.max_true_peaks}"
    rows = (
        ("events", f"{description.num_events} from {', '.join(description.sources)}"),
        ("fingerprint", description.fingerprint),
        ("X", f"{description.x_shape} {description.x_dtype}"),
        ("y", f"{description.y_shape} {description.y_dtype}"),
        ("masked (NaN in y)", f"{description.nan_fraction:.3%} of bins"),
        ("density not zero", f"{description.nonzero_fraction:.1%} of bins"),
        ("true peaks", peaks),
        ("generated vertices", "not known" if generated is None else f"{generated:.3f} an event"),
        ("null loss", f"{description.null_loss:.5f} (loss of predicting zero everywhere)"),
    )
    facts = Grid(name_columns("what", "value", prose=("value",)), has_titles=False)
    for name, value in rows:
        facts.add_row(name, value)
    for oddity in description.oddities or ("none",):
        facts.add_row("oddity" if description.oddities else "oddities", oddity)
    ranges = Grid(name_columns("values", "lowest", "mean", "highest"))
    for found in description.ranges:
        ranges.add_row(found.name, *(f"{v:.4g}" for v in (found.low, found.mean, found.high)))
    console = open_console()
    console.print(facts)
    console.print()
    console.print(ranges)

"""`sweep compare`: two networks on the same events, paired by event."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.completion import offer_sweeps
from sweep.cli.options import (
    DEFAULT_ARTIFACTS,
    DEFAULT_STORAGE,
    Artifacts,
    Json,
    Storage,
    TrustCode,
    Variant,
    XKey,
    YKey,
)

if TYPE_CHECKING:
    from sweep.results.comparison import Comparison

CONTENDER = "A sweep (its best trial), SWEEP:TRIAL, or the folder of an export."


def compare(
    a: Annotated[str, typer.Argument(help=CONTENDER, autocompletion=offer_sweeps)],
    b: Annotated[str, typer.Argument(help=CONTENDER, autocompletion=offer_sweeps)],
    data: Annotated[
        list[str] | None,
        typer.Option(help="Events; again for more.  [the validation events of both]"),
    ] = None,
    x_key: XKey = None,
    y_key: YKey = None,
    variant: Variant = None,
    resamples: Annotated[int, typer.Option(help="Times that the events are drawn again.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of those draws.")] = 1,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = Path(DEFAULT_ARTIFACTS),
    _trust_code: TrustCode = False,
    json: Json = False,
) -> None:
    """Compare two trained networks on the same events, event by event: is one better?"""
    from sweep.results.export_folder import check_export, is_export
    from sweep.storage.database_file import check_address

    for text in (a, b):
        if is_export(text):
            check_export(Path(text))
        else:
            check_address(storage)
    from sweep.cli.output import print_json  # late: folders and database are there
    from sweep.cli.progress import show_progress
    from sweep.data.paths import check_paths
    from sweep.results.contender_check import check_contender

    for text in (a, b):
        check_contender(text, storage)
    check_paths([Path(name) for name in data or ()])

    def judge() -> None:
        from sweep.results.comparison import EventFiles, describe_comparison  # late: loads torch
        from sweep.results.comparison import compare as compare_pair
        from sweep.results.contender import find_contender

        named = EventFiles([Path(name) for name in data or ()], x_key, y_key, variant)
        first, second = (find_contender(text, storage, artifacts) for text in (a, b))
        with show_progress("comparing") as progress:
            found = compare_pair(
                first, second, named, num_resamples=resamples, seed=seed, progress=progress
            )
        if json:
            print_json({**describe_comparison(found), "resamples": resamples, "seed": seed})
        else:
            _print_comparison(found)

    from sweep.cli.apart import run_apart

    run_apart(judge)


def _print_comparison(found: Comparison) -> None:
    from sweep.cli.console import open_console
    from sweep.cli.grid import Grid, name_columns
    from sweep.results.comparison import describe_difference

    console = open_console()
    num_events, num_true = len(found.scores_a), int(found.scores_a.num_true_N.sum())
    console.print(f"A: {found.a.label}\nB: {found.b.label}")
    console.print(f"on the same {num_events} events with {num_true} true peaks")
    table = Grid(name_columns("", "A", "B", "B - A", "68 %", "95 %"))
    for metric, difference in found.list_differences():
        form = metric.fine_fixed
        ends = (difference.interval_68, difference.interval_95)
        table.add_row(
            metric.head,
            f"{difference.a:{form}}",
            f"{difference.b:{form}}",
            f"{difference.value:+{form}}",
            *(f"{low:+{form}} {high:+{form}}" for low, high in ends),
        )
    console.print(table)
    num_a, num_b = found.num_a_finds_more, found.num_b_finds_more
    console.print(
        f"A finds more true peaks in {num_a} events, B in {num_b}, as many in "
        f"{num_events - num_a - num_b}"
    )
    for metric, difference in found.list_differences():
        console.print(f"{metric.head}: {describe_difference(metric, difference)}")
    for note in found.notes:
        console.print(note)

"""The first question: what the data are, looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.description import Description, describe_events
from sweep.data.events import EventSet
from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS
from sweep.data.progress import Progress
from sweep.data.selection import find_missing_toys, reopen_split
from sweep.data.splits import Split
from sweep.errors import DataError
from sweep.figures.data import draw_mean_peak, draw_vertex_counts, measure_mean_peak
from sweep.metrics.peaks import THRESHOLD, count_peaks, find_peaks
from sweep.metrics.wording import write_number, write_percent
from sweep.report.blocks import (
    Block,
    Column,
    Figure,
    Items,
    Part,
    Section,
    Table,
    Text,
    list_facts,
)
from sweep.report.event import show_event
from sweep.results.status import Status, name_events

NUM_LOOKED_AT = 200
"""Validation events from which the shape of the peaks is taken and one is drawn."""


@dataclass(frozen=True)
class DataUse:
    """One set of events and the sweeps that use it.

    Attributes:
        status: Of one of them, by whose config the events were looked for.
        split: The events; None where they are not on this machine.
        fault: Why not; empty where they are.
    """

    status: Status
    sweeps: Sequence[str]
    split: Split | None
    fault: str = ""


def open_data(statuses: Sequence[Status], progress: Progress | None = None) -> list[DataUse]:
    """Open the events of sweeps, each set once."""
    found: dict[tuple[str, str], list[Status]] = {}
    for status in statuses:
        found.setdefault(get_key(status), []).append(status)
    return [_open_anywhere(those, progress) for those in found.values()]


def get_key(status: Status) -> tuple[str, str]:
    """Give what identifies the events of a sweep: the fingerprints of both sides."""
    return status.config.data.train_fingerprint, status.config.data.validation_fingerprint


def _open_anywhere(statuses: Sequence[Status], progress: Progress | None) -> DataUse:
    """Open events where the first of the sweeps finds them that can."""
    names = [status.sweep.name for status in statuses]
    uses = (_open_one(status, names, progress) for status in statuses)
    first = next(uses)
    return first if first.split else next((use for use in uses if use.split), first)


def _open_one(status: Status, sweeps: Sequence[str], progress: Progress | None) -> DataUse:
    missing = find_missing_toys(status.config.data)
    if missing:
        commands = " and ".join(f"`sweep data make --events {n} --seed {s}`" for n, s in missing)
        return DataUse(
            status, sweeps, None, f"toy events are not in the cache; {commands} make them"
        )
    try:
        return DataUse(status, sweeps, reopen_split(status.config.data, progress))
    except DataError as exc:
        return DataUse(status, sweeps, None, str(exc))


def build_data_section(uses: Sequence[DataUse], progress: Progress | None = None) -> Section:
    """Show what each set of events holds, an event, and what the peaks are."""
    blocks: list[Block] = [
        Text(
            "An event is one beam crossing: four features and one target in 4000 bins of 0.1 mm "
            "along the beam line, from -100 mm to 300 mm. The features are the track density "
            "(a kernel density estimate, divided by 2500), its square or a second density, and the "
            "x and y (times 2 / mm) where the density is largest. The target has a peak at each "
            "vertex to be found; a NaN masks a bin."
        )
    ]
    shown: set[str] = set()
    for number, use in enumerate(uses):
        fingerprint = use.status.config.data.validation_fingerprint
        is_new = fingerprint not in shown
        shown.add(fingerprint)
        title = f"Events of {', '.join(use.sweeps)}"
        blocks.append(Part(title, _describe_use(use, f"data-{number}", is_new, progress)))
    return Section("data", "The data", blocks)


def _describe_use(use: DataUse, key: str, is_new: bool, progress: Progress | None) -> list[Block]:
    config = use.status.config.data
    if use.split is None:
        facts = [
            ("source", name_events(config)),
            ("training events", str(config.num_train)),
            ("validation events", str(config.num_validation)),
            ("null loss", write_number(config.null_loss)),
        ]
        return [
            Text(
                "These events are not on this machine, so they cannot be looked at here; the rest "
                f"of the page does not need them. ({use.fault})",
                is_key=True,
            ),
            list_facts(f"What the database knows of the events of {', '.join(use.sweeps)}", facts),
        ]
    train = describe_events(use.split.train, progress=progress)
    judged = describe_events(use.split.validation, progress=progress)
    blocks = _list_tables(use, train, judged)
    blocks.append(_show_counts(key, train, judged))
    if is_new:
        blocks += _look_at(key, use.split.validation)
    else:
        blocks.append(Text("The validation events are those shown above."))
    return blocks


def _list_tables(use: DataUse, train: Description, judged: Description) -> list[Block]:
    both = (train, judged)
    rows = [
        ("events", *(str(d.num_events) for d in both)),
        ("shape of X", *(_write_shape(d.x_shape) for d in both)),
        ("shape of y", *(_write_shape(d.y_shape) for d in both)),
        ("type on disk (X, y)", *(f"{d.x_dtype}, {d.y_dtype}" for d in both)),
        ("NaN in y (masked bins)", *(f"{d.nan_fraction:.2%}" for d in both)),
        ("NaN in X", *("none; files with any are refused" for _ in both)),
        ("bins with a density", *(f"{d.nonzero_fraction:.1%}" for d in both)),
        ("true peaks an event, mean", *(f"{d.mean_true_peaks:.2f}" for d in both)),
        ("true peaks an event, most", *(str(d.max_true_peaks) for d in both)),
        ("generated vertices an event", *(_write_generated(d) for d in both)),
        ("null loss", *(write_number(d.null_loss) for d in both)),
        ("fingerprint", *(d.fingerprint for d in both)),
    ]
    ranges = [
        (
            own.name,
            *(write_number(v, 3) for r in (own, other) for v in (r.low, r.mean, r.high)),
        )
        for own, other in zip(train.ranges, judged.ranges, strict=True)
    ]
    sides, ends = ("training", "validation"), ("lowest", "mean", "highest")
    names = [f"{side} {end}" for side in sides for end in ends]
    oddities = list(dict.fromkeys((*train.oddities, *judged.oddities)))
    return [
        Text(f"Source: {name_events(use.status.config.data)}."),
        Table(
            "What the events hold",
            (Column("what"), Column("training"), Column("validation")),
            rows,
        ),
        Table(
            "Values by feature",
            (Column("feature"), *(Column(name, is_number=True) for name in names)),
            ranges,
        ),
        Items(oddities) if oddities else Text("Nothing odd was found in them."),
    ]


def _write_shape(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)


def _write_generated(description: Description) -> str:
    mean = description.mean_generated_vertices
    return "not known" if mean is None else f"{mean:.2f}"


def _show_counts(key: str, train: Description, judged: Description) -> Figure:
    counts = (
        ("training", train.events_by_true_peaks),
        ("validation", judged.events_by_true_peaks),
    )
    longest = max(len(events) for _, events in counts)
    rows = [
        (str(n), *(str(events[n] if n < len(events) else 0) for _, events in counts))
        for n in range(longest)
    ]
    return Figure(
        f"{key}-vertices",
        "True peaks (vertices to be found) in an event.",
        f"Bar chart of events by number of true peaks: on average {judged.mean_true_peaks:.2f} in "
        f"a validation event, at most {judged.max_true_peaks}.",
        draw_vertex_counts(counts),
        Table(
            "Events by number of true peaks",
            (Column("true peaks", True), Column("training", True), Column("validation", True)),
            rows,
        ),
    )


def _look_at(key: str, events: EventSet) -> list[Block]:
    """Show one event with its features, and what the peaks are."""
    x_BCL, y_BL = events.load(range(min(NUM_LOOKED_AT, len(events))))
    peaks_B = count_peaks(y_BL)
    event = int(np.abs(peaks_B - peaks_B.mean()).argmin())
    figure = show_event(f"{key}-event", f"validation event {event}", x_BCL[event], y_BL[event])
    return [figure, *_show_peaks(key, x_BCL[:, 0], y_BL)]


def _show_peaks(key: str, x_BL: NDArray[np.float32], y_BL: NDArray[np.float32]) -> list[Block]:
    peaks = find_peaks(y_BL)
    centers = list(
        zip(peaks.event_P.tolist(), peaks.position_P.round().astype(np.int64).tolist(), strict=True)
    )
    offset_mm, density, target = measure_mean_peak(x_BL, y_BL, centers)
    widths_mm = {
        name: _measure_width_mm(v) for name, v in (("density", density), ("target", target))
    }
    num_maxima = _count_maxima(x_BL) / len(x_BL)
    num_peaks = len(centers) / len(y_BL)
    share = float((y_BL >= THRESHOLD).sum() / y_BL.size)
    looked_at = f"{len(centers)} true peaks of {len(y_BL)} validation events"
    found = " ".join(_say_peaks(looked_at, widths_mm, num_maxima, num_peaks, share))
    rows = [
        (f"{z:.1f}", f"{d:.4f}", f"{t:.4f}")
        for z, d, t in zip(offset_mm[::5], density[::5], target[::5], strict=True)
    ]
    columns = tuple(Column(n, True) for n in ("distance (mm)", "density, mean", "target, mean"))
    return [
        Text(found, is_key=True),
        Figure(
            f"{key}-peak",
            f"The average peak: density and target around the {looked_at}, each divided by its "
            "largest value.",
            f"Line chart: the mean target is {widths_mm['target']:.1f} mm wide at half height, the "
            f"mean density {widths_mm['density']:.1f} mm.",
            draw_mean_peak(offset_mm, density, target),
            Table("Mean density and target by distance from a true peak", columns, rows),
        ),
    ]


def _say_peaks(
    looked_at: str, widths_mm: dict[str, float], num_maxima: float, num_peaks: float, share: float
) -> Iterator[str]:
    """Say in sentences what the peaks are and what that asks of a network."""
    density_mm, target_mm = widths_mm["density"], widths_mm["target"]
    yield (
        f"Each peak of the target stands for one vertex. Over the {looked_at}, the mean peak is "
        f"{target_mm:.1f} mm wide at half its height in the target and {density_mm:.1f} mm in the "
        "density."
    )
    if density_mm > 1.2 * target_mm:
        yield "So a network has to sharpen what it sees."
    yield (
        f"The density has {num_maxima:.1f} maxima above {THRESHOLD} an event, "
        f"the target {num_peaks:.1f} peaks."
    )
    if num_maxima > 2 * num_peaks:
        yield (
            "Most maxima are no vertex to be found but tails, chance crossings of tracks, or "
            "vertices of too few tracks, so a threshold on the density does not do."
        )
    yield (
        f"Only {write_percent(share)} of the bins belong to a peak. All others ask for zero, which "
        "is why predicting zero everywhere already reaches the null loss, and why a loss near it "
        "says nothing."
    )


def _measure_width_mm(values: NDArray[np.float64]) -> float:
    """Measure the full width at half maximum of a curve around its middle."""
    middle = len(values) // 2
    high = values >= values.max() / 2
    below = np.flatnonzero(~high)
    left = below[below < middle].max(initial=-1)
    right = below[below > middle].min(initial=len(values))
    return float(BIN_WIDTH_MM * (right - left - 1))


def _count_maxima(x_BL: NDArray[np.float32]) -> int:
    """Count the bins above the threshold that are higher than both neighbours."""
    inner = x_BL[:, 1 : NUM_BINS - 1]
    is_top = (inner > x_BL[:, :-2]) & (inner >= x_BL[:, 2:]) & (inner >= THRESHOLD)
    return int(is_top.sum())

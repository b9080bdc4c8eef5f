"""What a set of events holds: counts, ranges, vertices, the loss of saying nothing, oddities.

Suffixes: B event of a batch, C feature, L bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.events import EventSet
from sweep.data.geometry import NUM_BINS, NUM_FEATURES
from sweep.data.progress import Progress
from sweep.data.store import compute_blank_hash
from sweep.errors import DataError
from sweep.metrics.null_loss import sum_null_loss
from sweep.metrics.peaks import count_peaks

FEATURE_NAMES = ("density", "density squared or second density", "x", "y")
CHUNK_EVENTS = 128

USUAL_RANGES = ((-0.001, 2.5), (-0.001, 6.25), (-1.11, 1.11), (-1.11, 1.11))
"""What PV-Finder's chain gives, rounded outwards (docs/PHYSICS.md, "Features")."""

USUAL_MAX_TARGET = 6.0
"""A vertex of 150 tracks fills its bin with less (docs/PHYSICS.md, "Target")."""


@dataclass(frozen=True)
class ValueRange:
    """Smallest, mean and largest value of one quantity over all its finite bins."""

    name: str
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Description:
    """A set of events in numbers.

    Attributes:
        x_dtype: How features are kept on disk (they are float32 once loaded).
        nan_fraction: Share of masked bins, in [0, 1].
        ranges: One for each feature, then one for the target.
        events_by_true_peaks: How many events have 0, 1, 2, ... peaks, up to the fullest.
        nonzero_fraction: Share of bins where the first feature is not zero, in [0, 1].
        mean_generated_vertices: Generated category-1 vertices in an event, on average, or None
            where the source does not tell.
        oddities: One sentence for each thing a person should know; empty when all is as usual.
    """

    sources: tuple[str, ...]
    fingerprint: str
    num_events: int
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    x_dtype: str
    y_dtype: str
    nan_fraction: float
    ranges: tuple[ValueRange, ...]
    nonzero_fraction: float
    mean_true_peaks: float
    max_true_peaks: int
    events_by_true_peaks: tuple[int, ...]
    mean_generated_vertices: float | None
    null_loss: float
    oddities: tuple[str, ...]


def describe_events(events: EventSet, *, progress: Progress | None = None) -> Description:
    """Read all events once and describe them.

    Raises:
        DataError: When the set is empty.
    """
    tally = _Tally()
    for x_BCL, y_BL in _iterate(events, progress):
        tally.add(x_BCL, y_BL)
    generated = events.num_generated_vertices
    num_events = len(events)
    x_dtype, y_dtype = events.dtypes
    return Description(
        sources=events.labels,
        fingerprint=events.fingerprint,
        num_events=num_events,
        x_shape=(num_events, NUM_FEATURES, NUM_BINS),
        y_shape=(num_events, NUM_BINS),
        x_dtype=x_dtype,
        y_dtype=y_dtype,
        nan_fraction=tally.num_masked / (num_events * NUM_BINS),
        ranges=tally.summarise_ranges(num_events),
        nonzero_fraction=tally.num_nonzero / (num_events * NUM_BINS),
        mean_true_peaks=float(np.mean(tally.peaks)),
        max_true_peaks=int(np.max(tally.peaks)),
        events_by_true_peaks=tuple(np.bincount(tally.peaks).tolist()),
        mean_generated_vertices=None if generated is None else float(generated.mean()),
        null_loss=tally.null_loss / num_events,
        oddities=(*_find_copies(events), *tally.list_oddities(num_events)),
    )


def compute_null_loss(events: EventSet) -> float:
    """Compute the loss of predicting zero everywhere: a network near it has found nothing.

    The symmetric ratio loss of docs/PHYSICS.md, "Loss" with c = 0 and epsilon 1e-5: summed over the
    bins that are not masked, divided by 4000, averaged over events.

    Returns:
        The loss, at least 0; an event whose bins are all masked counts as 0.

    Raises:
        DataError: When the set is empty.
    """
    total = sum(sum_null_loss(y_BL) for _, y_BL in _iterate(events, None))
    return total / len(events)


def load_event(events: EventSet, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Load the one event that a person asks for.

    Returns:
        x_CL, shape (4, 4000), and y_L, shape (4000,), NaN where masked.

    Raises:
        DataError: When there is no event of that number.
    """
    if not 0 <= index < len(events):
        raise DataError(
            f"{' + '.join(events.labels)}: no such event, got {index}, expected 0 to "
            f"{len(events) - 1}; choose another --event"
        )
    x_BCL, y_BL = events.load([index])
    return x_BCL[0], y_BL[0]


class _Tally:
    """Running sums over chunks."""

    def __init__(self) -> None:
        self.num_masked = 0
        self.num_nonzero = 0
        self.null_loss = 0.0
        self.peaks: list[int] = []
        self._sums = np.zeros(NUM_FEATURES + 1)
        self._lows = np.full(NUM_FEATURES + 1, np.inf)
        self._highs = np.full(NUM_FEATURES + 1, -np.inf)
        self._num_empty = self._num_masked_events = 0

    def add(self, x_BCL: NDArray[np.float32], y_BL: NDArray[np.float32]) -> None:
        masked = np.isnan(y_BL)
        self.num_masked += int(masked.sum())
        self.num_nonzero += int(np.count_nonzero(x_BCL[:, 0]))
        self.null_loss += sum_null_loss(y_BL)
        self.peaks.extend(count_peaks(y_BL).tolist())
        self._num_empty += int((~x_BCL.any(axis=(1, 2))).sum())
        self._num_masked_events += int(masked.all(axis=1).sum())
        values = [*(x_BCL[:, feature] for feature in range(NUM_FEATURES)), y_BL[~masked]]
        for number, part in enumerate(values):
            if part.size:
                self._sums[number] += part.sum(dtype=np.float64)
                self._lows[number] = min(self._lows[number], part.min())
                self._highs[number] = max(self._highs[number], part.max())

    def summarise_ranges(self, num_events: int) -> tuple[ValueRange, ...]:
        num_bins = num_events * NUM_BINS
        counts = [*[num_bins] * NUM_FEATURES, num_bins - self.num_masked]
        return tuple(
            ValueRange(name, float(low), float(total / count), float(high))
            if count
            else ValueRange(name, float("nan"), float("nan"), float("nan"))
            for name, low, total, high, count in zip(
                (*FEATURE_NAMES, "target"), self._lows, self._sums, self._highs, counts, strict=True
            )
        )

    def list_oddities(self, num_events: int) -> Iterator[str]:
        if self._num_empty:
            yield f"{self._num_empty} empty events (all features zero)"
        if self._num_masked_events:
            yield f"{self._num_masked_events} events with every bin masked"
        num_dark = self.peaks.count(0)
        if num_dark > 0.05 * num_events:
            yield f"{num_dark} events without a true peak"
        usual = (*USUAL_RANGES, (0.0, USUAL_MAX_TARGET))
        for found, (low, high) in zip(self.summarise_ranges(num_events), usual, strict=True):
            if found.low < low or found.high > high:
                yield (
                    f"{found.name} runs from {found.low:.4g} to {found.high:.4g}, usual is "
                    f"{low:g} to {high:g}: another scaling?"
                )
            elif found.low == found.high:
                yield f"{found.name} is {found.low:g} in every bin"
        if not self.num_masked:
            yield "no bin is masked: vertices with few tracks count as absent"


def _iterate(
    events: EventSet, progress: Progress | None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    if len(events) == 0:
        raise DataError("events: none to look at, got 0, expected at least 1; give other data")
    yield from events.iterate(CHUNK_EVENTS, progress)


def _find_copies(events: EventSet) -> Iterator[str]:
    hashes = events.hashes[events.hashes != compute_blank_hash()]
    _, first = np.unique(hashes, return_index=True)
    if len(first) < len(hashes):
        copy = int(np.setdiff1d(np.arange(len(hashes)), first)[0])
        original = int(np.flatnonzero(events.hashes == hashes[copy])[0])
        yield (
            f"{len(hashes) - len(first)} events are copies of others "
            f"(the first repeats event {original})"
        )

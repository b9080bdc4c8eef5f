"""The reference peak finder, for whole batches: histograms in, peak positions out.

Efficiency and FP rate only compare with published ones if every peak is found at the reference's
position (uc-lhcb/pv-finder, model/efficiency.py `pv_locations`; docs/PHYSICS.md,
"Peak finder"), in float32 and bin by bin: `sweep.metrics.walk`.

Shapes: B event, L bin, R region, P peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sweep.metrics.decode import REFERENCE, Decode

THRESHOLD = REFERENCE.threshold
_EVENTS_A_THREAD = 200
"""Fewest that are worth a thread, which costs some 0.1 ms."""


class NotFiniteError(ValueError):
    """A histogram has infinite bins, or sums beyond float32: it has no defined peaks."""


@dataclass(frozen=True)
class Peaks:
    """Peaks of a batch as flat lists, ordered by event and then by region along the histogram.

    Attributes:
        position_P: Positions in bins, float32: the centre of bin i is at i.
        event_P: Index of each peak's event in the batch, int64.
    """

    position_P: NDArray[np.float32]
    event_P: NDArray[np.int64]


@dataclass(frozen=True)
class Regions:
    """Regions of a batch as flat lists, ordered by event and then along the histogram.

    Attributes:
        position_R: sum(i * v) / sum(v) in bins, float32: the centre of bin i is at i.
        height_R: Highest bin, float32.
        integral_R: sum(v), float32, as the reference adds it up.
        width_R: Number of bins, int64; NaN bins between them are none.
        count_B: Number of regions of each event, int64.
        num_infinite: Number of infinite bins of the batch.
        num_overflows: Number of regions of enough bins whose sums are not finite.
    """

    position_R: NDArray[np.float32]
    height_R: NDArray[np.float32]
    integral_R: NDArray[np.float32]
    width_R: NDArray[np.int64]
    count_B: NDArray[np.int64]
    num_infinite: int
    num_overflows: int

    @cached_property
    def event_R(self) -> NDArray[np.int64]:
        """Index of each region's event in the batch, when it is asked for."""
        return np.repeat(np.arange(len(self.count_B)), self.count_B)


def find_peaks(histogram_BL: NDArray[np.floating]) -> Peaks:
    """Find the peaks of each histogram, as the reference does, bit for bit.

    There is no largest number of peaks.

    Args:
        histogram_BL: Truth or prediction, shape (B, L), compared as float32. NaN is allowed.

    Returns:
        The peaks; empty lists when there are none.

    Raises:
        ValueError: When the shape is not (B, L).
        NotFiniteError: When a bin is inf or -inf, or a sum of bins overflows float32.
    """
    regions = find_regions(histogram_BL)
    return Peaks(position_P=regions.position_R, event_P=regions.event_R)


def find_regions(histogram_BL: NDArray[np.floating], decode: Decode = REFERENCE) -> Regions:
    """Find the regions of each histogram that are peaks, with their heights and widths.

    Raises:
        ValueError, NotFiniteError: As `find_peaks`.
    """
    regions = gather_regions(histogram_BL, decode)
    check_finite(regions.num_infinite, regions.num_overflows)
    return regions


def count_peaks(histogram_BL: NDArray[np.floating]) -> NDArray[np.int64]:
    """Count the peaks of each histogram, also of those whose sums float32 cannot hold.

    Args:
        histogram_BL: Shape (B, L); NaN is allowed, B may be 0.

    Returns:
        Counts, shape (B,).

    Raises:
        ValueError: When the shape is not (B, L).
    """
    return gather_regions(histogram_BL, REFERENCE).count_B


def gather_regions(
    histogram_BL: NDArray[np.floating], decode: Decode, num_threads: int = 1
) -> Regions:
    """Find regions as `find_regions` does, and only count what is not finite.

    Args:
        num_threads: Most that walk side by side, where there are many events.

    Raises:
        ValueError: When the shape is not (B, L).
    """
    check_shape(histogram_BL.shape)
    histogram_BL = np.ascontiguousarray(histogram_BL, dtype=np.float32)
    num_parts = min(num_threads, len(histogram_BL) // _EVENTS_A_THREAD)
    if num_parts < 2:
        return _walk(histogram_BL, decode)
    with ThreadPoolExecutor(num_parts) as pool:
        parts = np.array_split(histogram_BL, num_parts)
        return _join(list(pool.map(_walk, parts, [decode] * num_parts)))


def _walk(histogram_BL: NDArray[np.float32], decode: Decode) -> Regions:
    from sweep.metrics.walk import walk  # late: numba compiles or loads on import

    kept, *numbers = walk(
        histogram_BL, np.float32(decode.threshold), np.float32(decode.integral), decode.min_width
    )
    return Regions(*kept, *numbers)


def _join(parts: Sequence[Regions]) -> Regions:
    """Join the regions of parts of a batch."""
    *lists, infinite, overflows = zip(*(vars(part).values() for part in parts), strict=True)
    position_R, height_R, integral_R, width_R, count_B = map(np.concatenate, lists)
    return Regions(
        *(position_R, height_R, integral_R, width_R, count_B), sum(infinite), sum(overflows)
    )


def check_finite(num_infinite: int, num_overflows: int) -> None:
    """Refuse peaks of histograms that are not finite.

    Raises:
        NotFiniteError: When one of the numbers, as `Regions` has them, is not 0.
    """
    if num_infinite:
        raise NotFiniteError(
            f"peak finder: a histogram is not finite, got {num_infinite} infinite "
            "bins, expected finite values or NaN; the model has diverged"
        )
    if num_overflows:
        raise NotFiniteError(
            "peak finder: a histogram overflows, got a sum of bins beyond 3e38, expected one that "
            "float32 can hold; the model has diverged"
        )


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse what is no batch of histograms.

    Raises:
        ValueError: When there are not two dimensions.
    """
    if len(shape) != 2:
        raise ValueError(
            f"peak finder: wrong shape, got {tuple(shape)}, expected (events, bins); "
            "use histogram[None] for a single event"
        )

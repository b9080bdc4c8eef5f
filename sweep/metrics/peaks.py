"""The reference peak finder, for whole batches: histograms in, peak positions out.

Efficiency and FP rate only compare with published ones if every peak is found at the reference's
position (uc-lhcb/pv-finder, model/efficiency.py `pv_locations`; docs/PHYSICS.md,
"Peak finder"). That one walks bin by bin in float32. Here the bins above threshold are gathered
first and then added up in the same order with the same rounding, one step for all regions at a
time. Only the gathering knows where a histogram lies; the few bins that it finds are judged here,
for all devices alike.

Shapes: B event, L bin, S active or NaN bin, A active bin, R region, P peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = TypeVar("Array")


THRESHOLD = 1e-2
"""A bin of at least this height belongs to a region."""
INTEGRAL_THRESHOLD = 0.2
"""Smallest sum of heights of a region that is a peak."""
MIN_WIDTH = 3
"""Smallest number of its bins. All three are the reference's (its model/training.py, PARAM_EFF)."""


class NotFiniteError(ValueError):
    """A histogram has infinite bins, or sums beyond float32: it has no defined peaks."""


@dataclass(frozen=True)
class Peaks(Generic[Array]):
    """Peaks of a batch as flat lists, ordered by event and then by region along the histogram.

    Attributes:
        position_P: Positions in bins, float32: the centre of bin i is at i.
        event_P: Index of each peak's event in the batch, int64.
    """

    position_P: Array
    event_P: Array


@dataclass(frozen=True)
class _Regions:
    """Runs of active bins wide enough: event, sum of v and sum of i * v of each."""

    event_R: NDArray[np.int64]
    integral_R: NDArray[np.float32]
    weighted_R: NDArray[np.float32]


def find_peaks(histogram_BL: NDArray[np.floating]) -> Peaks[NDArray[np.generic]]:
    """Find the peaks of each histogram, as the reference does, bit for bit.

    Bins of at least the threshold are active and add to a region; a lower bin ends it, and so does
    the last one. A NaN bin does neither, so a region goes on beyond it. A region of enough bins and
    integral is a peak, at sum(i * v) / sum(v). There is no largest number of peaks.

    Args:
        histogram_BL: Truth or prediction, shape (B, L), compared as float32. NaN is allowed.

    Returns:
        The peaks; empty lists when there are none.

    Raises:
        ValueError: When the shape is not (B, L).
        NotFiniteError: When a bin is inf or -inf, or a sum of bins overflows float32.
    """
    check_shape(histogram_BL.shape)
    return judge_bins(*_gather_bins(histogram_BL), histogram_BL.shape[1])


def count_peaks(histogram_BL: NDArray[np.floating]) -> NDArray[np.int64]:
    """Count the peaks of each histogram, also of those whose sums float32 cannot hold.

    Args:
        histogram_BL: Shape (B, L); NaN is allowed, B may be 0.

    Returns:
        Counts, shape (B,).

    Raises:
        ValueError: When the shape is not (B, L).
    """
    check_shape(histogram_BL.shape)
    regions = _find_regions(*_gather_bins(histogram_BL), histogram_BL.shape[1])
    is_peak_R = regions.integral_R >= np.float32(INTEGRAL_THRESHOLD)
    return np.bincount(regions.event_R[is_peak_R], minlength=len(histogram_BL))


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


def judge_bins(
    value_S: NDArray[np.float32], index_S: NDArray[np.int64], num_bins: int
) -> Peaks[NDArray[np.generic]]:
    """Find peaks among the bins of a batch that are not plainly low.

    Args:
        value_S: Heights of all bins that are not below the threshold: active, NaN or infinite.
        index_S: Where they stand in the flattened batch, rising.
        num_bins: Bins of one histogram, L.

    Raises:
        NotFiniteError: As `find_peaks`.
    """
    is_infinite_S = np.isinf(value_S)
    if is_infinite_S.any():
        raise NotFiniteError(
            f"peak finder: a histogram is not finite, got {int(is_infinite_S.sum())} infinite "
            "bins, expected finite values or NaN; the model has diverged"
        )
    regions = _find_regions(value_S, index_S, num_bins)
    if not (np.isfinite(regions.integral_R) & np.isfinite(regions.weighted_R)).all():
        raise NotFiniteError(
            "peak finder: a histogram overflows, got a sum of bins beyond 3e38, expected one that "
            "float32 can hold; the model has diverged"
        )
    is_peak_R = regions.integral_R >= np.float32(INTEGRAL_THRESHOLD)
    return Peaks(
        position_P=regions.weighted_R[is_peak_R] / regions.integral_R[is_peak_R],
        event_P=regions.event_R[is_peak_R],
    )


def _gather_bins(
    histogram_BL: NDArray[np.floating],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Gather heights and flat indices of the few bins that are not plainly low."""
    flat = histogram_BL.astype(np.float32, copy=False).reshape(-1)
    is_low = (flat < np.float32(THRESHOLD)) & (flat > -np.inf)
    index_S = np.flatnonzero(~is_low)
    return flat[index_S], index_S


def _find_regions(
    value_S: NDArray[np.float32], index_S: NDArray[np.int64], num_bins: int
) -> _Regions:
    """Split the active bins where an event ends or where a bin between two of them closes.

    Ranks number the bins that are not NaN, so that without a closing bin they go up by one.
    """
    is_nan_S = np.isnan(value_S)
    value_A, index_A = value_S[~is_nan_S], index_S[~is_nan_S]
    bin_A, event_A = index_A % num_bins, index_A // num_bins
    rank_A = index_A - is_nan_S.cumsum()[~is_nan_S]
    is_start_A = np.ones(len(rank_A), dtype=bool)
    is_start_A[1:] = (np.diff(rank_A) != 1) | (np.diff(event_A) != 0)
    start_R = np.flatnonzero(is_start_A)
    length_R = np.diff(start_R, append=len(rank_A))
    is_wide_R = length_R >= MIN_WIDTH
    start_R, length_R = start_R[is_wide_R], length_R[is_wide_R]
    return _Regions(event_A[start_R], *_sum_regions(value_A, bin_A, start_R, length_R))


def _sum_regions(
    value_A: NDArray[np.float32],
    bin_A: NDArray[np.int64],
    start_R: NDArray[np.int64],
    length_R: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sum v and i * v over each region in float32, one bin after the other.

    Region r owns the active bins from start_R[r] on. The reference's i * v is an integer times a
    float32, hence float64; so is its sum with the float32 total, which is then rounded to float32.
    A parallel sum would round differently.
    """
    order_R = np.argsort(-length_R, kind="stable")  # regions of more than k bins come first
    first_R, shorter_R = start_R[order_R], -length_R[order_R]
    product_A = bin_A * value_A.astype(np.float64)
    integral_R = np.zeros(len(start_R), dtype=np.float32)
    weighted_R = np.zeros_like(integral_R)
    with np.errstate(over="ignore", invalid="ignore"):  # find_peaks refuses what is not finite
        for step in range(length_R.max(initial=0)):
            num_regions = int(np.searchsorted(shorter_R, -step))
            at_R = first_R[:num_regions] + step
            integral_R[:num_regions] += value_A[at_R]
            weighted_R[:num_regions] = weighted_R[:num_regions] + product_A[at_R]
    back_R = np.argsort(order_R)
    return integral_R[back_R], weighted_R[back_R]

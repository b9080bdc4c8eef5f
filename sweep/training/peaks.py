"""The reference peak finder, for whole batches: histograms in, peak positions out.

Efficiency and FP rate only compare with published ones if every peak is found at the reference's
position (uc-lhcb/pv-finder, model/efficiency.py `pv_locations`; docs/PHYSICS.md,
"Peak finder"). That one walks bin by bin in float32. Here the bins above threshold are gathered
first and then added up in the same order with the same rounding, one step for all regions at a
time, so every device gives the same bits.

Shapes: B event, L bin, S active or NaN bin, A active bin, R region, P peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PeakFinderSettings:
    """What counts as a peak; the defaults are the reference's (its model/training.py, PARAM_EFF).

    Attributes:
        threshold: A bin of at least this height belongs to a region; above 0.
        integral_threshold: Smallest sum of heights of a region, at least 0.
        min_width: Smallest number of bins of a region, at least 1.
    """

    threshold: float = 1e-2
    integral_threshold: float = 0.2
    min_width: int = 3

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            ValueError: When a setting is not finite or below its range.
        """
        if not (math.isfinite(self.threshold) and self.threshold > 0.0):
            raise ValueError(
                f"peak finder: threshold is out of range, got {self.threshold}, expected a finite "
                "number above 0; the reference uses 0.01"
            )
        if not (math.isfinite(self.integral_threshold) and self.integral_threshold >= 0.0):
            raise ValueError(
                "peak finder: integral_threshold is out of range, got "
                f"{self.integral_threshold}, expected a finite number of at least 0; the reference "
                "uses 0.2"
            )
        if self.min_width < 1:
            raise ValueError(
                f"peak finder: min_width is out of range, got {self.min_width}, expected at least "
                "1 bin; the reference uses 3"
            )


DEFAULT_SETTINGS = PeakFinderSettings()


@dataclass(frozen=True)
class Peaks:
    """Peaks of a batch as flat lists, ordered by event and then by region along the histogram.

    Attributes:
        position_P: Positions in bins, float32: the centre of bin i is at i.
        event_P: Index of each peak's event in the batch, int64.
    """

    position_P: Tensor
    event_P: Tensor


@dataclass(frozen=True)
class _Regions:
    """Runs of active bins: region r owns active bins start_R[r] to start_R[r] + length_R[r]."""

    start_R: Tensor
    length_R: Tensor


def find_peaks(histogram_BL: Tensor, settings: PeakFinderSettings = DEFAULT_SETTINGS) -> Peaks:
    """Find the peaks of each histogram, as the reference does, bit for bit.

    Bins of at least the threshold are active and add to a region; a lower bin ends it, and so does
    the last one. A NaN bin does neither, so a region goes on beyond it. A region of enough bins and
    integral is a peak, at sum(i * v) / sum(v). There is no largest number of peaks.

    Args:
        histogram_BL: Truth or prediction, shape (B, L), compared as float32. NaN is allowed.
        settings: What counts as a peak.

    Returns:
        The peaks, on the histogram's device; empty lists when there are none.

    Raises:
        ValueError: When the shape is not (B, L), or when a bin is inf or -inf or a sum of bins
            overflows float32: the reference's answer is then undefined.
    """
    if histogram_BL.ndim != 2:
        raise ValueError(
            f"peak finder: wrong shape, got {tuple(histogram_BL.shape)}, expected (events, bins); "
            "use histogram[None] for a single event"
        )
    num_bins = histogram_BL.shape[1]
    value_A, index_A, num_nan_before_A = _gather_active(histogram_BL, settings.threshold)
    bin_A = index_A % num_bins
    event_A = index_A // num_bins
    regions = _find_regions(index_A - num_nan_before_A, event_A, settings.min_width)
    integral_R, weighted_R = _sum_regions(value_A, bin_A, regions)
    if not bool((torch.isfinite(integral_R) & torch.isfinite(weighted_R)).all()):
        raise ValueError(
            "peak finder: a histogram overflows, got a sum of bins beyond 3e38, expected one that "
            "float32 can hold; the model has diverged"
        )
    kept_P = torch.nonzero(integral_R >= _round_to_float32(settings.integral_threshold)).view(-1)
    return Peaks(
        position_P=weighted_R[kept_P] / integral_R[kept_P],
        event_P=event_A[regions.start_R[kept_P]],
    )


def _round_to_float32(value: float) -> float:
    """Round as the reference does, which takes its parameters as float32."""
    return torch.tensor(value, dtype=torch.float32).item()


def _gather_active(histogram_BL: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gather value, flat index and number of NaN bins before, of each active bin in order."""
    flat = histogram_BL.detach().to(torch.float32).reshape(-1)
    # The few bins that are not plainly low: active, NaN or infinite. One pass over all bins.
    is_low = (flat < _round_to_float32(threshold)).logical_and_(flat > -math.inf)
    index_S = torch.nonzero(is_low.logical_not_()).view(-1)
    value_S = flat[index_S]
    is_infinite_S = torch.isinf(value_S)
    if bool(is_infinite_S.any()):
        raise ValueError(
            f"peak finder: a histogram is not finite, got {int(is_infinite_S.sum())} infinite "
            "bins, expected finite values or NaN; the model has diverged"
        )
    is_nan_S = torch.isnan(value_S)
    place_A = torch.nonzero(~is_nan_S).view(-1)
    num_nan_S = is_nan_S.cumsum(0)
    return value_S[place_A], index_S[place_A], num_nan_S[place_A]


def _find_regions(rank_A: Tensor, event_A: Tensor, min_width: int) -> _Regions:
    """Split the active bins where an event ends or where a bin between two of them closes.

    The ranks number the bins that are not NaN, so that without a closing bin they go up by one.
    """
    is_start_A = torch.ones_like(rank_A, dtype=torch.bool)
    is_start_A[1:] = (rank_A.diff() != 1) | (event_A.diff() != 0)
    start_R = torch.nonzero(is_start_A).view(-1)
    length_R = torch.cat([start_R, start_R.new_tensor([len(rank_A)])]).diff()
    wide_R = length_R >= min_width
    return _Regions(start_R=start_R[wide_R], length_R=length_R[wide_R])


def _sum_regions(value_A: Tensor, bin_A: Tensor, regions: _Regions) -> tuple[Tensor, Tensor]:
    """Sum v and i * v over each region in float32, one bin after the other.

    The reference's i * v is an integer times a float32, hence float64; so is its sum with the
    float32 total, which is then rounded to float32. A parallel sum would round differently.
    """
    length_R, order_R = regions.length_R.sort(descending=True, stable=True)
    start_R = regions.start_R[order_R]
    product_A = bin_A * value_A.to(torch.float64)
    integral_R = torch.zeros_like(start_R, dtype=torch.float32)
    weighted_R = torch.zeros_like(integral_R)
    # Regions with more than k bins come first: how many, for each k.
    num_with_length = torch.bincount(length_R, minlength=1)
    num_longer = (len(length_R) - num_with_length.cumsum(0)).tolist()
    for step, num_regions in enumerate(num_longer[:-1]):
        at_R = start_R[:num_regions] + step
        integral_R[:num_regions] += value_A[at_R]
        weighted_R[:num_regions] = (weighted_R[:num_regions] + product_A[at_R]).to(torch.float32)
    unsorted_integral_R = torch.empty_like(integral_R).scatter_(0, order_R, integral_R)
    unsorted_weighted_R = torch.empty_like(weighted_R).scatter_(0, order_R, weighted_R)
    return unsorted_integral_R, unsorted_weighted_R

"""Matching of predicted peaks to true ones: the counts behind efficiency and FP rate.

The rules are the reference's (uc-lhcb/pv-finder, model/efficiency.py `efficiency`; docs/PHYSICS.md,
"Matching"), count for count: the same finder runs on truth and prediction, neither
direction is one-to-one, and a prediction on a masked bin counts neither way. The one difference:
the number of events is exact, where the reference's sums start at one event.

The position residual is the predicted minus the true position of a pair. Each found true peak makes
one pair, with the predicted peak nearest to it, at masked bins too, as the reference's S has it; of
two equally near ones with the lower. So a predicted peak may be in two pairs. Residuals are rounded
to a micrometre, so that their sums are whole numbers: the same in any order, on any device.

Shapes: B event, L bin, P peak, K count in the order of `EVENT_COUNTS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sweep.geometry import BIN_WIDTH_MM
from sweep.metrics.peaks import Peaks
from sweep.metrics.score import EVENT_COUNTS
from sweep.training.peaks import find_peaks

MAX_DISTANCE_BINS = 5.0
"""Farthest match, included: 0.5 mm (uc-lhcb/pv-finder, model/training.py, PARAM_EFF)."""


@dataclass(frozen=True)
class PeakClasses:
    """Positions of one event's peaks in bins, float32, by what became of them.

    Attributes:
        found_P: True peaks with a predicted one near.
        missed_P: True peaks without.
        false_P: Predicted peaks without a true one near, but at masked bins.
    """

    found_P: Tensor
    missed_P: Tensor
    false_P: Tensor


@dataclass(frozen=True)
class _Match:
    """Peaks of both sides and what is true of each.

    `offset_P` is how many bins beyond each true peak the predicted one nearest to it lies, float32;
    infinite without one.
    """

    truth: Peaks[Tensor]
    prediction: Peaks[Tensor]
    offset_P: Tensor
    is_matched_P: Tensor
    is_masked_P: Tensor

    @property
    def is_found_P(self) -> Tensor:
        """Whether each true peak has a predicted one near."""
        return self.offset_P.isfinite()

    @property
    def is_false_P(self) -> Tensor:
        """Whether each predicted peak has no true one near, and is not masked."""
        return ~self.is_matched_P & ~self.is_masked_P


def count_matches_per_event(truth_BL: Tensor, prediction_BL: Tensor) -> Tensor:
    """Count found, missed and false peaks of each event.

    Args:
        truth_BL: Target histograms, shape (B, L); NaN masks a bin.
        prediction_BL: Predicted histograms, shape (B, L), on the same device; NaN is allowed.

    Returns:
        Counts, shape (B, K), int64, columns as in `EVENT_COUNTS`, on the inputs' device.

    Raises:
        ValueError: When the shapes differ or are not (B, L).
        NotFiniteError: When a value, or a sum of them, is infinite.
    """
    match = _match(truth_BL, prediction_BL)
    residual_um_P = _measure_residuals_um(match)
    peaks = {
        "found": match.truth.event_P[match.is_found_P],
        "predicted_found": match.prediction.event_P[match.is_matched_P & ~match.is_masked_P],
        "missed": match.truth.event_P[~match.is_found_P],
        "false_positives": match.prediction.event_P[match.is_false_P],
    }
    num_events = truth_BL.shape[0]
    sums = {name: torch.bincount(event_P, minlength=num_events) for name, event_P in peaks.items()}
    sums["pairs"] = sums["found"]
    for power, name in enumerate(("um", "um2", "um3", "um4"), start=1):
        empty_B = torch.zeros_like(sums["found"])
        sums[f"residual_{name}"] = empty_B.index_add(0, peaks["found"], residual_um_P**power)
    return torch.stack([sums[name] for name in EVENT_COUNTS], dim=1)


def _measure_residuals_um(match: _Match) -> Tensor:
    """Measure the residual of each found true peak, to a whole micrometre."""
    offset_bins_P = match.offset_P[match.is_found_P].to(torch.float64)
    return (offset_bins_P * (1000.0 * BIN_WIDTH_MM)).round().to(torch.int64)


def classify_peaks(truth_L: Tensor, prediction_L: Tensor) -> PeakClasses:
    """Sort the peaks of one event, shapes (L,), into found, missed and false ones, for drawing.

    Raises:
        ValueError, NotFiniteError: As `count_matches_per_event`.
    """
    match = _match(truth_L[None], prediction_L[None])
    return PeakClasses(
        found_P=match.truth.position_P[match.is_found_P],
        missed_P=match.truth.position_P[~match.is_found_P],
        false_P=match.prediction.position_P[match.is_false_P],
    )


def _match(truth_BL: Tensor, prediction_BL: Tensor) -> _Match:
    if truth_BL.shape != prediction_BL.shape:
        raise ValueError(
            f"matching: truth and prediction do not fit, got {tuple(truth_BL.shape)} and "
            f"{tuple(prediction_BL.shape)}, expected one shape (events, bins); check the model's "
            "output"
        )
    truth, prediction = find_peaks(truth_BL), find_peaks(prediction_BL)
    # torch.round takes halves to the even bin, as the reference's Python round does.
    bin_P = prediction.position_P.round().to(torch.int64)
    return _Match(
        truth=truth,
        prediction=prediction,
        offset_P=_find_nearest(truth, prediction),
        is_matched_P=_find_nearest(prediction, truth).isfinite(),
        is_masked_P=torch.isnan(truth_BL[prediction.event_P, bin_P]),
    )


def _find_nearest(peaks: Peaks[Tensor], others: Peaks[Tensor]) -> Tensor:
    """Find how far beyond each peak the nearest of the others in its event lies, in bins, float32.

    Only the next one on either side can be: a search in the sorted list replaces all pairs, so that
    memory stays small for an output of nothing but peaks.

    Returns:
        Offsets, shape (P,): of two equally near the negative one, infinite where none is within the
        distance.
    """
    offset_P = torch.full_like(peaks.position_P, math.inf)
    if len(others.event_P) == 0:
        return offset_P
    key_others, order = _make_keys(others).sort()
    after_P = torch.searchsorted(key_others, _make_keys(peaks))
    for candidate_P in (after_P - 1, after_P):
        is_real_P = (candidate_P >= 0) & (candidate_P < len(key_others))
        other_P = order[candidate_P.clamp(0, len(key_others) - 1)]
        is_real_P &= others.event_P[other_P] == peaks.event_P
        difference_P = others.position_P[other_P] - peaks.position_P
        distance_P = difference_P.abs()
        is_nearer_P = is_real_P & (distance_P <= MAX_DISTANCE_BINS) & (distance_P < offset_P.abs())
        offset_P = torch.where(is_nearer_P, difference_P, offset_P)
    return offset_P


def _make_keys(peaks: Peaks[Tensor]) -> Tensor:
    """Integers that sort by event, then position: the bits of floats from 0 up sort as they do."""
    return (peaks.event_P << 32) | peaks.position_P.view(torch.int32).to(torch.int64)

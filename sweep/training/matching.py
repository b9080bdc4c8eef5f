"""Matching of predicted peaks to true ones: the counts behind efficiency and FP rate.

The rules are the reference's (uc-lhcb/pv-finder, model/efficiency.py `efficiency`; docs/PHYSICS.md,
"Matching"), count for count: the same finder runs on truth and prediction, neither
direction is one-to-one, and a prediction on a masked bin counts neither way. The one difference:
the number of events is exact, where the reference's sums start at one event.

The position residual is the predicted minus the true position of a pair. Each found true peak makes
one pair, with the predicted peak nearest to it, at masked bins too, as the reference's S has it; of
two equally near ones with the lower. So a predicted peak may be in two pairs. Residuals are rounded
to a micrometre, so that their sums are whole numbers: the same in any order, on any device.

On a GPU everything is done on tables of fixed shape (`sweep.training.peaks`): no step waits for it,
and the first number that is read is a final count.

Shapes: B event, L bin, K count in the order of `EVENT_COUNTS`, T column of the true peaks, R column
of predicted regions, P peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sweep.data.geometry import BIN_WIDTH_MM
from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.inspected import PeakClasses
from sweep.metrics.peaks import Regions
from sweep.metrics.score import EVENT_COUNTS
from sweep.training.peaks import (
    RegionTable,
    check_table,
    list_regions,
    tabulate_regions,
)

MAX_DISTANCE_BINS = 5.0
"""Farthest match, included: 0.5 mm (uc-lhcb/pv-finder, model/training.py, PARAM_EFF)."""
UM_PER_BIN = 1000.0 * BIN_WIDTH_MM
_MOST_NEAR = 8
"""More than there can be regions within that distance of a peak on both sides: a bin apart each."""


@dataclass(frozen=True)
class Match:
    """True and predicted peaks of a batch and what is true of each.

    Cells of a table without a peak are False everywhere.

    Attributes:
        truth, prediction: What was found, with the reference's settings and with those asked for.
        offset_BT: How many bins beyond each true peak the predicted one nearest to it lies,
            float32; infinite without one.
        is_missed_BT: Whether each is a true peak without a predicted one near.
        is_near_BR: Whether each predicted peak has a true one near.
        is_masked_BR: Whether it is on a masked bin, and counts neither way.
    """

    truth: RegionTable
    prediction: RegionTable
    offset_BT: Tensor
    is_missed_BT: Tensor
    is_near_BR: Tensor
    is_masked_BR: Tensor

    @property
    def is_found_BT(self) -> Tensor:
        """Whether each is a true peak with a predicted one near."""
        return self.offset_BT < math.inf

    @property
    def is_false_BR(self) -> Tensor:
        """Whether each is a predicted peak without a true one near, and not masked."""
        return (self.prediction.position_BR < math.inf) & ~(self.is_near_BR | self.is_masked_BR)

    @property
    def faults_2(self) -> Tensor:
        """What is not finite of both sides, as `RegionTable.faults_2`."""
        return self.truth.faults_2 + self.prediction.faults_2

    def count(self) -> Tensor:
        """Count found, missed and false peaks of each event.

        Returns:
            Counts, shape (B, K), int64, columns as in `EVENT_COUNTS`, on the inputs' device.
        """
        cells = {
            "found": self.is_found_BT,
            "pairs": self.is_found_BT,
            "missed": self.is_missed_BT,
            "predicted_found": self.is_near_BR & ~self.is_masked_BR,
            "false_positives": self.is_false_BR,
        }
        sums = {name: cell.sum(1) for name, cell in cells.items()}
        um_BT = self._measure_residuals_um()
        power_BT = torch.ones_like(um_BT)
        for name in ("um", "um2", "um3", "um4"):
            power_BT = power_BT * um_BT
            sums[f"residual_{name}"] = power_BT.sum(1)
        return torch.stack([sums[name] for name in EVENT_COUNTS], dim=1)

    def find_best_integrals(self, least_widths: Sequence[int] = (1,)) -> list[Tensor]:
        """Find the largest integral among the predicted regions near each true peak.

        So a scan over integral and width needs one match for each threshold, made with integral 0
        and width 1: a true peak is found at a least integral of c where this is at least c, and a
        false positive is one there where `prediction.integral_BR` of `is_false_BR` is at least c.

        Args:
            least_widths: Narrower regions are left out; one result for each.

        Returns:
            Integrals, shape (B, T), float32; 0 where none is near, or there is no true peak.
        """
        true_BT, others_BR = self.truth.position_BR, self.prediction.position_BR
        first_BT = torch.searchsorted(others_BR, true_BT - (MAX_DISTANCE_BINS + 1.0))
        best = [torch.zeros_like(true_BT) for _ in least_widths]
        for step in range(_MOST_NEAR):
            column_BT = (first_BT + step).clamp(max=others_BR.shape[1] - 1)
            distance_BT = (others_BR.gather(1, column_BT) - true_BT).abs()
            integral_BT = self.prediction.integral_BR.gather(1, column_BT)
            width_BT = self.prediction.width_BR.gather(1, column_BT)
            near_BT = torch.where(distance_BT <= MAX_DISTANCE_BINS, integral_BT, 0.0)
            for best_BT, width in zip(best, least_widths, strict=True):
                torch.maximum(best_BT, near_BT * (width_BT >= width), out=best_BT)
        return best

    def _measure_residuals_um(self) -> Tensor:
        """Measure the residual of each found true peak, to a whole micrometre; 0 elsewhere."""
        offset_bins_BT = torch.where(self.is_found_BT, self.offset_BT, 0.0).to(torch.float64)
        return (offset_bins_BT * UM_PER_BIN).round().to(torch.int64)


def match_peaks(
    truth_BL: Tensor,
    prediction_BL: Tensor,
    decode: Decode = REFERENCE,
    truth: RegionTable | None = None,
) -> Match:
    """Find the peaks of both sides and those of the other that are near.

    Nothing is read back from a GPU, so what is not finite is only counted: `Match.faults_2`.

    Args:
        truth_BL: Target histograms, shape (B, L); NaN masks a bin.
        prediction_BL: Predicted histograms, shape (B, L), on the same device; NaN is allowed.
        decode: What counts as a predicted peak; a true one is always the reference's.
        truth: The true peaks, where they are known already.

    Raises:
        ValueError: When the shapes differ or are not (B, L).
    """
    _check_shapes(truth_BL, prediction_BL)
    truth = truth or tabulate_regions(truth_BL)
    prediction = tabulate_regions(prediction_BL, decode)
    offset_BT = _find_nearest(truth.position_BR, prediction.position_BR)
    return Match(
        truth=truth,
        prediction=prediction,
        offset_BT=offset_BT,
        is_missed_BT=(truth.position_BR < math.inf) & (offset_BT == math.inf),
        is_near_BR=_find_nearest(prediction.position_BR, truth.position_BR) < math.inf,
        is_masked_BR=_is_masked(truth_BL, prediction.position_BR),
    )


def count_matches(
    truth_BL: Tensor,
    prediction_BL: Tensor,
    true_regions: Regions | None = None,
    decode: Decode = REFERENCE,
) -> tuple[Tensor, Tensor]:
    """Count found, missed and false peaks of each event.

    A GPU does it by `match_peaks`, and nothing is read back from it; a CPU pair by pair, which it
    does faster.

    Args:
        truth_BL, prediction_BL: As `match_peaks` takes them.
        true_regions: Of the truth, where they are known from `find_true_regions`.
        decode: What counts as a predicted peak.

    Returns:
        Counts, shape (B, K), int64, columns as in `EVENT_COUNTS`, and what is not finite as
        `Match.faults_2`, on the inputs' device.

    Raises:
        ValueError: When the shapes differ or are not (B, L).
    """
    if truth_BL.device.type != "cpu":
        match = match_peaks(truth_BL, prediction_BL, decode)
        return match.count(), match.faults_2
    _check_shapes(truth_BL, prediction_BL)
    from sweep.metrics.walk import match as match_lists  # late: numba compiles or loads on import

    truth = true_regions or list_regions(truth_BL)
    prediction = list_regions(prediction_BL, decode)
    counts_BK = match_lists(
        truth_BL.detach().float().numpy(),
        *(truth.position_R, truth.count_B, prediction.position_R, prediction.count_B),
        np.float32(MAX_DISTANCE_BINS),
        UM_PER_BIN,
    )
    faults = [
        truth.num_infinite + prediction.num_infinite,
        truth.num_overflows + prediction.num_overflows,
    ]
    return torch.from_numpy(counts_BK), torch.tensor(faults)


def find_true_regions(truth_BL: Tensor) -> Regions | None:
    """Find the true peaks for `count_matches`, for who scores the same events again and again.

    Returns:
        None on a GPU, which finds them in less than the time of a network's layer.
    """
    return list_regions(truth_BL) if truth_BL.device.type == "cpu" else None


def classify_peaks(truth_L: Tensor, prediction_L: Tensor) -> PeakClasses:
    """Sort the peaks of one event, shapes (L,), on a CPU, into found, missed and false ones.

    Raises:
        ValueError: When the shapes differ.
        NotFiniteError: When a value, or a sum of them, is infinite.
    """
    match = match_peaks(truth_L[None], prediction_L[None])
    check_table(match.truth, match.prediction)
    return PeakClasses(
        found_P=match.truth.position_BR[match.is_found_BT].numpy(),
        missed_P=match.truth.position_BR[match.is_missed_BT].numpy(),
        false_P=match.prediction.position_BR[match.is_false_BR].numpy(),
    )


def _check_shapes(truth_BL: Tensor, prediction_BL: Tensor) -> None:
    if truth_BL.shape != prediction_BL.shape:
        raise ValueError(
            f"matching: truth and prediction do not fit, got {tuple(truth_BL.shape)} and "
            f"{tuple(prediction_BL.shape)}, expected one shape (events, bins); check the model's "
            "output"
        )


def _is_masked(truth_BL: Tensor, position_BR: Tensor) -> Tensor:
    """Say of positions whether the bin they fall into is masked; never where there is no peak."""
    # torch.round takes halves to the even bin, as the reference's Python round does.
    bin_BR = position_BR.nan_to_num().clamp(0, truth_BL.shape[1] - 1).round().to(torch.int64)
    return truth_BL.gather(1, bin_BR).isnan() & (position_BR < math.inf)


def _find_nearest(position_BP: Tensor, others_BQ: Tensor) -> Tensor:
    """Find how far beyond each peak the nearest of the others in its event lies, in bins, float32.

    Only the next one on either side can be: positions rise along a row, since a region's lies
    within it up to rounding, which in 4000 bins is below 2, and a bin or more is between two.

    Returns:
        Offsets, shape (B, P): of two equally near the negative one, infinite where none is within
        the distance.
    """
    after_BP = torch.searchsorted(others_BQ, position_BP)
    lower_BP = others_BQ.gather(1, (after_BP - 1).clamp(min=0)) - position_BP
    upper_BP = others_BQ.gather(1, after_BP.clamp(max=others_BQ.shape[1] - 1)) - position_BP
    nearest_BP = torch.where(upper_BP.abs() < lower_BP.abs(), upper_BP, lower_BP)
    return torch.where(nearest_BP.abs() <= MAX_DISTANCE_BINS, nearest_BP, math.inf)

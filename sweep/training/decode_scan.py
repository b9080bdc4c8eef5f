"""The efficiency at a fixed rate of false positives: settings of the peak finder chosen by a scan.

A network's heights have a scale of their own, so that the reference's settings compare networks at
different places of their curves of efficiency against false positives. Here every setting of a grid
is counted in one pass: regions are found once for each threshold, and a region's integral and width
say at which settings it counts.

Settings that are chosen on the events that they are judged by flatter the network a little: the
winner of a search is quoted on events set aside, with settings chosen before.

Shapes: B event of a batch, N event of a set, L bin, T column of the true peaks, R column of
regions, W width, C integral, S setting, F setting of the curve, D draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.metrics.decode import REFERENCE, Decode, OperatingPoint
from sweep.metrics.intervals import TAIL
from sweep.training.event_scores import EventScores, draw_events, score_each
from sweep.training.matching import match_peaks
from sweep.training.peaks import tabulate_regions

THRESHOLDS = (0.0001, 0.001, 0.003, REFERENCE.threshold, 0.02, 0.04, 0.08, 0.16)
WIDTHS = (1, 2, REFERENCE.min_width, 4, 6)
INTEGRALS = (
    *np.geomspace(0.0003, 0.01, 9)[:-1].round(5).tolist(),
    *np.geomspace(0.01, REFERENCE.integral, 19)[:-1].round(4).tolist(),
    *np.geomspace(REFERENCE.integral, 4.0, 22).round(4).tolist(),
)
SETTINGS = tuple(
    Decode(threshold, float(integral), width)
    for threshold in THRESHOLDS
    for width in WIDTHS
    for integral in INTEGRALS
)
"""What is compared; the reference's is one of them. A network trained for the median hardly shows a
vertex that it half believes in: the loosest settings see heights of a ten-thousandth."""
_DISTANCE_S = np.array(
    [
        abs(math.log(setting.threshold / REFERENCE.threshold))
        + abs(math.log(setting.integral / REFERENCE.integral))
        + abs(setting.min_width - REFERENCE.min_width)
        for setting in SETTINGS
    ]
)
"""From the reference's: of equally good settings the nearest is taken."""
NUM_DRAWS = 200


def score_at_fp(batches: Iterable[tuple[Tensor, Tensor]], max_fp: float) -> EventScores:
    """Score predictions with the settings that find most at a rate of false positives.

    Args:
        batches: As `score_each` takes them; all are kept until the settings are chosen, 32 kB an
            event.
        max_fp: Most false positives per event on average, above 0.

    Returns:
        The scores at the chosen settings, which `operating` names, with the efficiency's interval:
        events are drawn again, and settings chosen anew each time.

    Raises:
        ValueError, NotFiniteError: As `score_each`.
    """
    kept, counts = [], []
    for prediction_BL, y_BL in batches:
        kept.append((prediction_BL.clone(), y_BL.clone()))
        with torch.no_grad():
            counts.append(count_settings(prediction_BL, y_BL))
    found_NS, false_NS = (torch.cat(part).cpu().numpy() for part in zip(*counts, strict=True))
    curve_F = list_curve(found_NS.sum(0, dtype=np.int64), false_NS.sum(0, dtype=np.int64))
    chosen = choose_setting(
        found_NS.sum(0, dtype=np.int64), false_NS.sum(0, dtype=np.int64), max_fp * len(found_NS)
    )
    scores = score_each(kept, decode=SETTINGS[chosen])
    ends = _draw_again(found_NS[:, curve_F], false_NS[:, curve_F], scores.num_true_N, max_fp)
    return EventScores(scores.counts_NK, scores.loss_N, OperatingPoint(SETTINGS[chosen], *ends))


def score_chosen(batches: Iterable[tuple[Tensor, Tensor]], decode: Decode | None) -> EventScores:
    """Score predictions with settings that were chosen before, or the reference's for None.

    The interval of chosen settings is that of events drawn again, with the settings as they are:
    unlike the binomial one it knows that what makes an event hard does so for all its peaks.

    Raises:
        ValueError, NotFiniteError: As `score_each`.
    """
    if decode is None:
        return score_each(batches)
    scores = score_each(batches, decode=decode)
    found_N1 = scores.get_counts("found")[:, None].astype(np.int16)
    ends = _draw_again(found_N1, np.zeros_like(found_N1), scores.num_true_N, max_fp=1.0)
    return EventScores(scores.counts_NK, scores.loss_N, OperatingPoint(decode, *ends))


def count_settings(prediction_BL: Tensor, y_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Count found true peaks and false positives of each event at each of `SETTINGS`.

    Returns:
        Both counts, shape (B, S), int16, on the inputs' device.

    Raises:
        ValueError: When the shapes differ or are not (B, L).
    """
    found, false = [], []
    truth = tabulate_regions(y_BL)
    for threshold in THRESHOLDS:
        match = match_peaks(y_BL, prediction_BL, Decode(threshold, 0.0, 1), truth)
        regions = match.prediction
        integral_BR = regions.integral_BR * match.is_false_BR
        false += [_count_beyond(integral_BR * (regions.width_BR >= width)) for width in WIDTHS]
        found += [_count_beyond(best_BT) for best_BT in match.find_best_integrals(WIDTHS)]
    return torch.cat(found, dim=1), torch.cat(false, dim=1)


def _count_beyond(integral_BP: Tensor) -> Tensor:
    """Count, for each of `INTEGRALS`, how many are at least that large, shape (B, C), int16."""
    least_C = torch.tensor(INTEGRALS, dtype=torch.float32, device=integral_BP.device)
    passed_BP = torch.bucketize(integral_BP, least_C, right=True)
    shape = (len(integral_BP), len(INTEGRALS) + 1)
    ones_BP = torch.ones_like(passed_BP, dtype=torch.int32)
    times_BC = torch.zeros(shape, dtype=torch.int32, device=integral_BP.device)
    times_BC.scatter_add_(1, passed_BP, ones_BP)
    return times_BC.flip(1).cumsum(1).flip(1)[:, 1:].to(torch.int16)


def choose_setting(
    found_S: NDArray[np.int64], false_S: NDArray[np.int64], most_false: float
) -> int:
    """Choose the setting that finds most with no more false positives than allowed.

    Of equals the one with the fewest false positives, then the one nearest to the reference's.
    Where none is strict enough, that with the fewest false positives.
    """
    is_allowed_S = false_S <= most_false
    if not is_allowed_S.any():
        return int(np.lexsort((_DISTANCE_S, -found_S, false_S))[0])
    order_S = np.lexsort((_DISTANCE_S, false_S, -found_S))
    return int(order_S[is_allowed_S[order_S]][0])


def list_curve(found_S: NDArray[np.int64], false_S: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the settings than which none finds more at as few false positives, strictest first."""
    order_S = np.lexsort((-found_S, false_S))
    best_S = np.maximum.accumulate(found_S[order_S])
    is_better_S = np.ones(len(order_S), dtype=bool)
    is_better_S[1:] = best_S[1:] > best_S[:-1]
    return order_S[is_better_S]


def _draw_again(
    found_NF: NDArray[np.int16],
    false_NF: NDArray[np.int16],
    num_true_N: NDArray[np.int64],
    max_fp: float,
) -> tuple[float, float]:
    """Find where the efficiency lies in 68 % of the draws of events, settings chosen in each."""
    efficiencies = []
    for drawn_DN in draw_events(len(found_NF), NUM_DRAWS, seed=1):
        times_DN = drawn_DN.astype(np.float32)
        found_DF, false_DF = (times_DN @ part.astype(np.float32) for part in (found_NF, false_NF))
        is_allowed_DF = false_DF <= max_fp * len(found_NF)
        most_D = np.where(is_allowed_DF, found_DF, 0.0).max(axis=1)
        efficiencies.append(most_D / np.maximum(times_DN @ num_true_N.astype(np.float32), 1.0))
    low, high = np.quantile(np.concatenate(efficiencies), [TAIL, 1.0 - TAIL])
    return float(low), float(high)

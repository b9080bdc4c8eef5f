"""Which trial goes on under the objective `front`: each that no other one beats.

A network may find more at the price of false positives, and neither is the better one. So a trial
goes on from a rung unless another beats it there in loss, efficiency and false positives together,
and in each by more than two trainings of one configuration differ. No share is kept: what is beaten
stays so, whatever is still to come. (Pruners compare one number; nothing known prunes on a front.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweep.metrics.score import get_score
from sweep.metrics.table import EFFICIENCY, FP_RATE, VALIDATION_LOSS
from sweep.search.promotion import choose_first, has_died
from sweep.storage.ranking import BEHIND
from sweep.storage.standings import NextTrial, Standing
from sweep.storage.sweeps import PAUSED, WAITING
from sweep.storage.tables import Epoch

LOSS_SPREAD, EFFICIENCY_ERRORS, FP_ERRORS = 0.27, 1.2, 1.0
"""Standard deviations between trainings of one configuration: of the loss in shares of it where
there is one event to judge by, of the others in counting errors of the peaks and events there were
(the recorded curves of benchmarks/search after 8 epochs, 300 events with 1605 peaks: cnn 1.6 % of
the loss, 1.15 and 0.86 errors; rcnn 2.1 %, 1.34 and 1.03)."""
NUM_COMPARED = 4
"""Trials at a rung before one goes on from it, where others may still come."""
PRICES = (0.0, 0.5, 2.0)
"""What a false positive per event may cost in efficiency: each price has its best on the front."""


def choose_on_front(
    standings: Sequence[Standing], rungs: Sequence[int], *, kept_slot: int | None = None
) -> NextTrial | None:
    """Choose what a worker is to do next, as `choose_next_trial` does.

    Args:
        standings: Of all trials of the sweep; beside the loss each has efficiency and FP rate, and
            of how many true peaks and events these are.
        rungs: As `list_rungs` gives them.
        kept_slot: Of a trial that goes on whatever beats it.
    """
    waiting = [standing.slot for standing in standings if standing.state == WAITING]
    for index in reversed(range(len(rungs) - 1)):
        there = [one for one in standings if len(one.values) > index and one.state != WAITING]
        is_full = len(there) >= NUM_COMPARED or not waiting
        for paused in there:
            if paused.state != PAUSED or len(paused.values) != index + 1:
                continue
            better = next((one for one in there if _beats(one, paused, index)), None)
            if better is not None and paused.slot != kept_slot:
                return NextTrial(paused.slot, rungs[index], _explain(better, rungs[index]))
            if is_full or paused.slot == kept_slot:
                return NextTrial(paused.slot, rungs[index + 1])
    return choose_first(waiting, rungs, kept_slot) if waiting else None


def rate_at_price(epoch: Epoch, price: float) -> float:
    """Rate an epoch by its efficiency less a price of its FP rate; 0 where nothing was found."""
    score = get_score(epoch)
    return max(0.0, EFFICIENCY.measure(score) - price * FP_RATE.measure(score))


def _beats(one: Standing, other: Standing, index: int) -> bool:
    """Say whether one beats another at a rung, in all three and by more than the noise."""
    if has_died(one):
        return False
    margins = _measure_noise(other, index)
    mine, theirs = ((standing.values[index], *standing.beside[index]) for standing in (one, other))
    return all(m < t - margin for m, t, margin in zip(mine, theirs, margins, strict=False))


def _measure_noise(standing: Standing, index: int) -> tuple[float, float, float]:
    """Measure by how much loss, efficiency and FP rate differ between two trainings.

    Counts are those of the events judged by: an efficiency is binomial, an FP rate is Poisson's,
    and of no missed peak or false positive the error is that of one.
    """
    efficiency, fp_rate, num_peaks, num_events = standing.beside[index]
    loss = standing.values[index] % BEHIND  # of one over a limit without what puts it behind others
    rare = max(-efficiency * (1.0 + efficiency) * num_peaks, 1.0)
    return (
        LOSS_SPREAD * loss / math.sqrt(max(num_events, 1.0)),
        EFFICIENCY_ERRORS * math.sqrt(rare) / max(num_peaks, 1.0),
        FP_ERRORS * math.sqrt(max(fp_rate * num_events, 1.0)) / max(num_events, 1.0),
    )


def _explain(better: Standing, epoch: int) -> str:
    """Say why a trial never goes on."""
    names = f"{VALIDATION_LOSS.label}, {EFFICIENCY.label} and {FP_RATE.label}"
    return (
        f"beaten after epoch {epoch} in {names} together, beyond the noise between trainings, by "
        f"the trial of slot {better.slot}"
    )

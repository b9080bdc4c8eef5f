"""Which trial goes on under the objective `front`: each that no other one beats.

A network may find more at the price of false positives, and neither is the better one. So a trial
goes on from a rung unless another beats it there in loss, efficiency and false positives together,
and in each by more than two trainings of one configuration differ. No share is kept: what is beaten
stays so, whatever is still to come. (Pruners compare one number; nothing known prunes on a front.)
"""

from __future__ import annotations

from collections.abc import Sequence

from sweep.metrics.table import EFFICIENCY, FP_RATE, VALIDATION_LOSS
from sweep.search.promotion import has_died
from sweep.storage.ranking import BEHIND
from sweep.storage.standings import NextTrial, Standing
from sweep.storage.sweeps import PAUSED, WAITING

LOSS_NOISE, EFFICIENCY_NOISE, FP_NOISE = 0.015, 0.01, 0.015
"""Standard deviations between trainings of one configuration: a share of the loss, and in the
metrics' own unit (the recorded curves of benchmarks/search after 8 epochs, 300 events to judge by:
cnn 1.5 %, 0.011, 0.016; rcnn 2.1 %, 0.012, 0.018)."""
NUM_COMPARED = 4
"""Trials at a rung before one goes on from it, where others may still come."""


def choose_on_front(
    standings: Sequence[Standing], rungs: Sequence[int], *, kept_slot: int | None = None
) -> NextTrial | None:
    """Choose what a worker is to do next, as `choose_next_trial` does.

    Args:
        standings: Of all trials of the sweep, each with efficiency and FP rate beside the loss.
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
    return NextTrial(min(waiting), rungs[0]) if waiting else None


def _beats(one: Standing, other: Standing, index: int) -> bool:
    """Say whether one beats another at a rung, in all three and by more than the noise."""
    if has_died(one):
        return False
    loss = other.values[index] % BEHIND  # of one over a limit without what puts it behind others
    margins = LOSS_NOISE * loss, EFFICIENCY_NOISE, FP_NOISE
    mine, theirs = ((standing.values[index], *standing.beside[index]) for standing in (one, other))
    return all(m < t - margin for m, t, margin in zip(mine, theirs, margins, strict=True))


def _explain(better: Standing, epoch: int) -> str:
    """Say why a trial never goes on."""
    names = f"{VALIDATION_LOSS.label}, {EFFICIENCY.label} and {FP_RATE.label}"
    return (
        f"beaten after epoch {epoch} in {names} together, beyond the noise between trainings, by "
        f"the trial of slot {better.slot}"
    )

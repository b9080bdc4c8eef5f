"""How long a sweep will go on: what is to be trained still, at the pace that its workers have had.

Work is counted in training events, since the trials of a sample-size curve differ in their number.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from sweep.config import SweepConfig
from sweep.plan.curve_trials import fit_config
from sweep.search.strategy import build_promotion
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import RUNNING


def estimate_time_left_s(
    rows: Sequence[TrialRow], budget: int, config: SweepConfig, work_s: float
) -> float | None:
    """Estimate how long the workers of a sweep will still have to train.

    Args:
        rows: All trials that have begun.
        work_s: Time that workers have had trials in hand, which all they trained took.

    Returns:
        Seconds, shared among what runs now; None where nothing runs or no epoch was trained yet.
    """
    num_running = sum(row.state == RUNNING for row in rows)
    num_seen = sum(_count_events_seen(row, config) for row in rows)
    if not num_running or not num_seen:
        return None
    return _count_events_to_do(rows, budget, config) * work_s / num_seen / num_running


def _count_events_seen(row: TrialRow, config: SweepConfig) -> float:
    """Count the training events that a trial has seen; where architectures have fewer in an epoch,
    for as long as others have all, as if it had all.
    """
    if row.last is None:
        return 0
    own = config.narrow_to(row.params).epoch_events or config.data.num_train
    return row.last.events_seen * config.data.num_train / own


def _count_events_to_do(rows: Sequence[TrialRow], budget: int, config: SweepConfig) -> float:
    promotion = build_promotion(config)
    if promotion is not None:
        return _count_epochs_to_rungs(rows, budget, promotion.rungs) * config.data.num_train
    begun = {row.slot: row for row in rows}
    ended = [row.num_epochs for row in rows if row.finished_s is not None]
    num_events = 0.0
    for slot in range(budget):
        row, own = begun.get(slot), fit_config(config, slot)
        if row is None or row.finished_s is None:
            trained = row.num_epochs if row else 0
            longer = [epochs - trained for epochs in ended if epochs > trained]
            is_whole = config.curve is not None or not longer
            left = own.recipe.epochs - trained if is_whole else statistics.fmean(longer)
            num_events += left * own.data.num_train
    return num_events


def _count_epochs_to_rungs(rows: Sequence[TrialRow], budget: int, rungs: Sequence[int]) -> float:
    """Count the epochs still to come where the best share of each rung goes on to the next.

    Of those that come to a rung the share goes on, and of those that are there what is missing of
    it: who was promoted before better ones came is not called back. One always comes to the end.
    """
    num_epochs, below, num_below, num_coming = 0.0, 0, 0, float(budget)
    for rung in rungs:
        num_there = sum(row.num_epochs >= rung for row in rows)
        halted = [row for row in rows if below <= row.num_epochs < rung]
        num_ended = sum(row.finished_s is not None for row in halted)
        num_running = sum(row.state == RUNNING for row in halted)
        if below:
            share = below / rung
            num_missing = max(0.0, share * num_below - num_there - num_running)
            num_able = len(halted) - num_ended + num_coming
            num_coming = num_running + share * num_coming + num_missing
            num_coming = min(num_able, max(num_coming, 1 - num_there))
        else:
            num_coming = budget - num_there - num_ended
        num_epochs += (rung - below) * num_coming
        num_epochs -= sum(row.num_epochs - below for row in halted if row.state == RUNNING)
        below, num_below = rung, num_there
    return max(0.0, num_epochs)

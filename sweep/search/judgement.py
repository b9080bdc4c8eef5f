"""Judges epochs and trials: which epoch is a trial's own, which trial is dead, which is best.

Loss alone misleads: a network that predicts zero everywhere has the null loss, and the hand-tuned
report ranked such a one above a working one (docs/PHYSICS.md, "Null loss").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sweep.config import SweepConfig
from sweep.metrics.score import get_score
from sweep.metrics.table import EFFICIENCY, FP_RATE, FRONT, OBJECTIVES, Metric, is_by_loss
from sweep.search.limits import is_within_fp
from sweep.storage.epochs import TrialRow
from sweep.storage.ranking import Ranking
from sweep.storage.sweeps import COMPLETE, TrialCounts
from sweep.storage.tables import Epoch

NULL_MARGIN = 0.02
"""A loss less than this share below the null loss counts as no better than it
(docs/PHYSICS.md, "Null loss")."""

PEAKS = Ranking(("found", "missed"), (), is_highest_first=False)
EVENTS = Ranking(("events",), (), is_highest_first=False)
"""Of how many true peaks and events the other metrics were counted; nothing is ranked by them."""

MIN_FAILURES = 3
MAX_FAILED_SHARE = 0.5
"""A sweep stops when at least MIN_FAILURES trials and more than this share of the finished ones
failed."""


def is_failing(counts: TrialCounts) -> bool:
    """Say whether so many trials failed that going on is no use."""
    return counts.failed >= MIN_FAILURES and counts.failed > MAX_FAILED_SHARE * counts.finished


def is_dead(epoch: Epoch, objective: str, null_loss: float) -> bool:
    """Say whether a network has found nothing.

    It finds no true peak; or, where the loss is the objective, predicting zero everywhere would
    have been about as good or better, however many peaks it draws.
    """
    return epoch.found == 0 or (is_by_loss(objective) and not _is_below_null(epoch, null_loss))


def explain_death(objective: str) -> str:
    """Say which networks `is_dead` calls dead."""
    if not is_by_loss(objective):
        return "no true peak found"
    return f"no true peak found, or a loss at or above {1 - NULL_MARGIN:g} of the null loss"


def _is_below_null(epoch: Epoch, null_loss: float) -> bool:
    return epoch.validation_loss < (1 - NULL_MARGIN) * null_loss


def judge_again(trial: TrialRow, config: SweepConfig) -> TrialRow:
    """Judge a stored trial by today's rule: earlier versions let a loss above the null loss live.

    Returns:
        The trial, as dead where it was stored as alive and is not.
    """
    if not trial.feasible or trial.best is None:
        return trial
    if not is_dead(trial.best, config.search.objective, config.data.null_loss):
        return trial
    return replace(trial, outcome="dead", feasible=False)


def get_value(epoch: Epoch, objective: str) -> float:
    """Give an epoch's value of the objective."""
    return OBJECTIVES[objective].measure(get_score(epoch))


def get_ranking(objective: str, max_fp: float | None = None) -> Ranking:
    """Tell how the database ranks trials by the objective.

    Args:
        max_fp: Behind those with no more false positives per event come all others, at a rung.
    """
    beside = (_rank_by(EFFICIENCY), _rank_by(FP_RATE), PEAKS, EVENTS) if objective == FRONT else ()
    return replace(_rank_by(OBJECTIVES[objective]), max_fp=max_fp, beside=beside)


def _rank_by(metric: Metric) -> Ranking:
    numerator, denominator = metric.columns
    return Ranking(numerator, denominator, is_highest_first=metric.goal == "maximize")


def is_better(value: float, other: float, objective: str) -> bool:
    """Say whether a value of the objective is strictly better than another."""
    return OBJECTIVES[objective].is_better(value, other)


def find_best_epoch(
    curve: Sequence[Epoch], objective: str, null_loss: float, max_fp: float | None = None
) -> Epoch | None:
    """Find the epoch whose weights and metrics are the trial's own.

    Returns:
        The epoch with the best objective among those that are not dead and have no more false
        positives per event than `max_fp`; where there is none, among those that are not dead; among
        all where every one is; None for an empty curve. The earliest of equals.
    """
    alive = [epoch for epoch in curve if not is_dead(epoch, objective, null_loss)] or list(curve)
    alive = [epoch for epoch in alive if is_within_fp(epoch, max_fp)] or alive
    sign = OBJECTIVES[objective].sign
    return min(alive, key=lambda epoch: sign * get_value(epoch, objective), default=None)


def rank_trials(trials: Iterable[TrialRow], objective: str) -> list[TrialRow]:
    """Rank the trials that may be called the best: complete and feasible, best first."""
    sign = OBJECTIVES[objective].sign
    rated = [
        (sign * get_value(trial.best, objective), trial.slot, trial)
        for trial in trials
        if trial.state == COMPLETE and trial.feasible and trial.best is not None
    ]
    return [trial for _value, _slot, trial in sorted(rated, key=lambda entry: entry[:2])]


def count_grace_epochs(config: SweepConfig) -> int:
    """Count the epochs a trial may always train: those within the recipe's grace of events."""
    return math.ceil(config.recipe.grace_events / (config.epoch_events or config.data.num_train))


def is_stuck(curve: Sequence[Epoch], config: SweepConfig) -> bool:
    """Say whether a trial is dead, and never was below the null loss, although its grace is over.

    A network below the null loss learns, also before its peaks are high enough to be found. Under
    the pruner `none` nothing is ever stuck.
    """
    if config.search.pruner.name == "none" or not curve:
        return False
    objective, null_loss = config.search.objective, config.data.null_loss
    return curve[-1].epoch >= count_grace_epochs(config) and all(
        is_dead(epoch, objective, null_loss) and not _is_below_null(epoch, null_loss)
        for epoch in curve
    )

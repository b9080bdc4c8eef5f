"""The best trial of a sweep: complete, feasible, first by the sweep's objective."""

from __future__ import annotations

from storage.epochs import Epoch, TrialRow
from sweep.errors import SweepError
from sweep.results.status import Status


def find_best(status: Status) -> TrialRow:
    """Find the best trial.

    Raises:
        SweepError: when no trial is complete and feasible yet.
    """
    if not status.ranked:
        counts = status.counts
        raise SweepError(
            f"sweep {status.sweep.name}: no best trial, got {counts.complete} complete "
            f"({status.num_dead} of the finished ones found nothing), expected a feasible one; "
            "train more trials or change the space"
        )
    return status.ranked[0]


def get_epoch(trial: TrialRow) -> Epoch:
    """Give the epoch whose metrics are a complete trial's own.

    Raises:
        SweepError: when the trial has none.
    """
    if trial.best is None:
        raise SweepError(f"trial {trial.number}: no epoch, got none, expected a trained one")
    return trial.best


def get_number(trial: TrialRow) -> int:
    """Give a trial's number in the study.

    Raises:
        SweepError: when it has not begun.
    """
    if trial.number is None:
        raise SweepError(f"trial in slot {trial.slot}: no number, got none, expected one begun")
    return trial.number

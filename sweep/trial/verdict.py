"""What can come of an attempt at a trial, in the words of the database and of the study."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.trial import TrialState

from sweep.storage.sweeps import COMPLETE, FAILED, PRUNED


@dataclass(frozen=True)
class Verdict:
    """What came of a trial, in the words of the database and of the study."""

    state: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True)
class Pause:
    """A trial is at its rung: whether it ever goes on is decided later."""

    epoch: int


DONE = Verdict(COMPLETE, "complete")
DEAD = Verdict(COMPLETE, "dead")
STUCK = Verdict(PRUNED, "dead", "no better than the null loss when its grace was over")
WORSE = Verdict(PRUNED, "pruned", "worse than the other trials at this epoch")
STUDY_STATES = {
    COMPLETE: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    FAILED: TrialState.FAIL,
}

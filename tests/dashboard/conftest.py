"""Sweeps with trials that nobody had to train."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made import make_epoch
from optuna.trial import TrialState
from workers import take

from sweep.metrics.score import get_score
from sweep.metrics.writing import describe_metrics
from sweep.storage import studies
from sweep.storage.claims import begin_claimed, finish_claim
from sweep.storage.epochs import record_epochs
from sweep.storage.sweeps import COMPLETE, PRUNED
from sweep.trial.session import Session

FinishTrial = Callable[..., int]


@pytest.fixture
def session(make_session: Callable[..., Session], sqlite_url: str) -> Session:
    """A sweep of five trials, none of them begun."""
    return make_session(sqlite_url, trials=5)


@pytest.fixture
def finish_trial() -> FinishTrial:
    """Bring a sweep's next trial to its end; gives its number in the study."""

    def finish(session: Session, loss: float, outcome: str = "complete", **point: float) -> int:
        claim = take(session)
        study = studies.load_study(session.study_storage, session.sweep.name)
        trial = studies.begin_trial(study, claim.slot, point)
        params = {"lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True)}
        begin_claimed(session.engine, claim, trial.number, params)
        epoch = make_epoch(1, loss, 90, 5, true=100, events=100)
        record_epochs(session.engine, claim, [epoch])
        studies.report_epochs(trial, {1: loss})
        studies.set_attributes(trial, describe_metrics(get_score(epoch)))
        is_pruned, is_feasible = outcome == "pruned", outcome == "complete"
        if not is_pruned:
            studies.set_constraints(trial, is_feasible)
        state = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
        studies.finish_trial(study, trial, state, loss)
        finish_claim(
            session.engine,
            claim,
            state=PRUNED if is_pruned else COMPLETE,
            outcome=outcome,
            reason=None,
            feasible=is_feasible,
            best_epoch=1,
        )
        return trial.number

    return finish

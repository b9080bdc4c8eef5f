"""Trials that pause at rungs: the budget stays exact, and a promoted trial is a whole one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

import sweep.trial.ending
from storage import studies
from storage.claims import Claim, claim_trial
from storage.epochs import Epoch, TrialRow, read_curve, read_trials
from storage.sweeps import TrialCounts, count_trials
from storage.tables import attempts, trials
from sweep.search.verdict import Pause
from sweep.signals import Signals
from sweep.trial.run import run_trial
from sweep.trial.session import Session
from sweep.worker.lease import Lease
from sweep.worker.worker import WorkerOptions, run_worker

MakeSession = Callable[..., Session]
HOUR_S = 3600.0
NUM_TRIALS, NUM_EPOCHS = 6, 4


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures, which take longer than these trainings."""
    monkeypatch.setattr(sweep.trial.ending, "draw_trial", lambda *_parts, **_options: [])


@pytest.fixture
def make_pausing(make_session: MakeSession) -> MakeSession:
    """Make a sweep of six trials whose rungs are the epochs 1, 2 and 4."""

    def make(url: str, *, pruner: str = "rungs", **options: object) -> Session:
        return make_session(
            url,
            trials=NUM_TRIALS,
            epochs=NUM_EPOCHS,
            grace_events=24,
            pruner=pruner,
            sampler="random",
            fixed=("batch_size=12",),
            **options,
        )

    return make


def work(session: Session, signals: Signals | None = None) -> list[str]:
    """Let a worker of this process work; gives what it said."""
    said: list[str] = []
    options = WorkerOptions(
        session.engine.url.render_as_string(hide_password=False),
        session.sweep.name,
        session.artifacts,
        num_threads=1,
    )
    run_worker(options, signals or Signals(), said.append)
    return said


def read_rows(session: Session) -> list[TrialRow]:
    """Read the trials that have begun."""
    return read_trials(session.engine, session.sweep.id)


def read_curves(session: Session) -> list[list[Epoch]]:
    """Read all curves by slot, without what is different each time."""
    return [
        [replace(epoch, duration_s=0.0) for epoch in read_curve(session.engine, row.id)]
        for row in read_rows(session)
    ]


def test_one_worker_ends_the_sweep(make_pausing: MakeSession, database_url: str) -> None:
    """Each trial begins, the best of each rung go on, and the others are ended with an account."""
    session = make_pausing(database_url)
    said = work(session)
    print("\n".join(said))
    rows = read_rows(session)
    print([(r.slot, r.state, r.outcome, r.reason, r.attempts, len(c)) for r, c in zip(rows, read_curves(session))])
    counts = count_trials(session.engine, session.sweep.id)
    print(counts)
    assert 0

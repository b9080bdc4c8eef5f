"""A worker of this process, for tests that look at what it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweep.machine.signals import Signals
from sweep.storage.claims import Claim, begin_claimed, claim_trial, finish_claim
from sweep.storage.epochs import TrialRow, read_curve, read_trials, record_epochs
from sweep.storage.tables import Epoch
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker


def work(
    session: Session, signals: Signals | None = None, at_once: int | None = None
) -> tuple[int, list[str]]:
    """Let a worker of this process work; gives how many trials it finished and what it said."""
    said: list[str] = []
    options = WorkerOptions(
        session.engine.url.render_as_string(hide_password=False),
        session.sweep.name,
        session.artifacts,
        num_threads=1,
        at_once=at_once,
    )
    return run_worker(options, signals or Signals(), said.append), said


def work_until(session: Session, is_enough: Callable[[], bool]) -> None:
    """Let a worker work until it is enough."""

    class Patience(Signals):
        """Asks the worker to leave."""

        def is_gentle(self) -> bool:
            return is_enough()

    work(session, Patience())


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that must come true."""
    deadline_s = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


def take(session: Session, worker: str = "a") -> Claim:
    """Claim a trial of which there must be one."""
    claim = claim_trial(session.engine, session.sweep.id, worker, 3600.0)
    assert claim is not None
    return claim


def end_trial(
    session: Session,
    params: Mapping[str, Any],
    epochs: Sequence[Epoch],
    state: str = "complete",
    reason: str | None = None,
    *,
    outcome: str | None = None,
    worker: str = "w",
) -> None:
    """Have the next trial end so, without a training; its last epoch is its best."""
    claim = take(session, worker)
    begin_claimed(session.engine, claim, claim.slot, params)
    record_epochs(session.engine, claim, epochs)
    finish_claim(
        session.engine,
        claim,
        state=state,
        outcome=outcome or state,
        reason=reason,
        feasible=(outcome or state) == "complete",
        best_epoch=epochs[-1].epoch if epochs else None,
    )


def read_rows(session: Session) -> list[TrialRow]:
    """Read the trials that have begun."""
    return read_trials(session.engine, session.sweep.id)


def read_curves(session: Session) -> list[list[Epoch]]:
    """Read all curves by slot, without what is different each time."""
    return [
        [replace(epoch, duration_s=0.0) for epoch in read_curve(session.engine, row.id)]
        for row in read_rows(session)
    ]

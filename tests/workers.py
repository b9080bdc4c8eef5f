"""A worker of this process, for tests that look at what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sweep.machine.signals import Signals
from sweep.storage.epochs import TrialRow, read_curve, read_trials
from sweep.storage.tables import Epoch
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker


def work(session: Session, signals: Signals | None = None) -> tuple[int, list[str]]:
    """Let a worker of this process work; gives how many trials it finished and what it said."""
    said: list[str] = []
    options = WorkerOptions(
        session.engine.url.render_as_string(hide_password=False),
        session.sweep.name,
        session.artifacts,
        num_threads=1,
    )
    return run_worker(options, signals or Signals(), said.append), said


def work_until(session: Session, is_enough: Callable[[], bool]) -> None:
    """Let a worker work until it is enough."""

    class Patience(Signals):
        """Asks the worker to leave."""

        def is_gentle(self) -> bool:
            return is_enough()

    work(session, Patience())


def read_rows(session: Session) -> list[TrialRow]:
    """Read the trials that have begun."""
    return read_trials(session.engine, session.sweep.id)


def read_curves(session: Session) -> list[list[Epoch]]:
    """Read all curves by slot, without what is different each time."""
    return [
        [replace(epoch, duration_s=0.0) for epoch in read_curve(session.engine, row.id)]
        for row in read_rows(session)
    ]

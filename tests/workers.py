"""A worker of this process, for tests that look at what it did."""

from __future__ import annotations

from sweep.signals import Signals
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

"""Small sweeps whose workers are real processes, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import NAME, NUM_EPOCHS, NUM_TRIALS, Job, register
from sweep.trial.session import Session


@pytest.fixture
def make_job(
    tmp_path: Path, own_network: Path, events_file: Path
) -> Iterator[Callable[[str], Job]]:
    """Make a job on a database; processes that a failed test left are ended."""
    words = ["--model", f"{own_network}:{NAME}", "--data", str(events_file), "--workers", "2"]
    words += ["--events", "24", "--val-events", "12", "--fix", "batch_size=12", "--fix", "lr=0.05"]
    words += ["--epochs", str(NUM_EPOCHS), "--trials", str(NUM_TRIALS), "--sampler", "random"]
    jobs = []

    def make(storage: str) -> Job:
        jobs.append(Job(tmp_path, storage, words))
        return jobs[-1]

    yield make
    for job in jobs:
        job.end()


@pytest.fixture
def make_open_job(
    make_job: Callable[[str], Job], make_session: Callable[..., Session]
) -> Callable[[str], Job]:
    """Make a job whose sweep is in the database already, for workers to join."""

    def make(storage: str) -> Job:
        register(make_session, storage)
        return make_job(storage)

    return make

"""Small sweeps whose workers are real processes, and the curves that they must draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import NAME, NUM_EPOCHS, NUM_TRIALS, Job
from storage.epochs import Epoch
from sweep.session import Session


@pytest.fixture
def make_job(
    tmp_path: Path, own_network: Path, events_file: Path
) -> Iterator[Callable[[str], Job]]:
    """Make a job on a database; processes that a failed test left are ended."""
    words = ["--model", f"{own_network}:{NAME}", "--data", str(events_file), "--workers", "2"]
    words += ["--events", "24", "--val-events", "12", "--fix", "batch_size=12", "--fix", "lr=0.05"]
    words += ["--epochs", str(NUM_EPOCHS), "--trials", str(NUM_TRIALS)]
    jobs = []

    def make(storage: str) -> Job:
        jobs.append(Job(tmp_path, storage, words))
        return jobs[-1]

    yield make
    for job in jobs:
        job.end()


def register(make_session: Callable[..., Session], storage: str) -> None:
    """Put the sweep that the job's own command would start into a database."""
    make_session(
        storage,
        NAME,
        name=NAME,
        trials=NUM_TRIALS,
        epochs=NUM_EPOCHS,
        pruner="median",
        num_startup_trials=5,
    )


@pytest.fixture
def make_open_job(
    make_job: Callable[[str], Job], make_session: Callable[..., Session]
) -> Callable[[str], Job]:
    """Make a job whose sweep is in the database already, for workers to join."""

    def make(storage: str) -> Job:
        register(make_session, storage)
        return make_job(storage)

    return make


@pytest.fixture(scope="session")
def reference(
    tmp_path_factory: pytest.TempPathFactory, make_session: Callable[..., Session]
) -> list[list[Epoch]]:
    """The curves of the same sweep when nothing interrupts it."""
    folder = tmp_path_factory.mktemp("reference")
    storage = f"sqlite:///{folder / 'sweep.db'}"
    register(make_session, storage)
    job = Job(folder, storage, [])
    assert job.work() == NUM_TRIALS
    return job.read_curves()

"""A group's database: sweeps are registered from anywhere, workers come, work and go."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forks import Command
from jobs import NAME, Job, end, wait_until
from sweep.storage.sweeps import TrialCounts, count_trials, find_sweep
from sweep.storage.workers import list_workers

OTHER = "another"
NUM_TRIALS = 2


@pytest.fixture
def register(
    call: Callable[..., Any], own_network: Path, events_file: Path, tmp_path: Path
) -> Callable[..., Any]:
    """Register a sweep of an own network, as from a laptop that trains nothing."""

    def run(storage: str, name: str, *more: str) -> Any:
        words = ["run", "--detach", "--model", f"{own_network}:FaintNet", "--sweep", name]
        words += ["--data", str(events_file), "--events", "24", "--val-events", "12"]
        words += ["--epochs", "3", "--fix", "batch_size=12", "--fix", "lr=0.05"]
        answer = call(*words, "--trials", str(NUM_TRIALS), "--storage", storage, *more)
        assert answer.code == 0, answer.err
        return answer

    return run


@pytest.fixture
def job(make_job: Callable[[str], Job], database_url: str) -> Job:
    """A database and the workers that join it."""
    return make_job(database_url)


def start_worker(job: Job, *arguments: str) -> Command:
    """Start a worker that takes trials of any sweep."""
    return job.start("worker", "--device", "cpu", "--threads", "1", *arguments)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_workers_train_what_was_registered_elsewhere(
    job: Job, register: Callable[..., Any], call: Callable[..., Any]
) -> None:
    """Two sweeps, two workers; status says who does what, stop and resume reach them all."""
    answer = register(job.storage, NAME)
    assert f"{NAME}: {NUM_TRIALS} of {NUM_TRIALS} trials wait for workers" in answer.err
    assert f"sweep worker --sweep {NAME} --storage" in answer.err
    assert json.loads(register(job.storage, OTHER, "--json").out)["waiting"] == NUM_TRIALS
    job.close_gate(2)
    workers = []
    for options in ((), ("--forever",)):  # one after the other: turns are fair, not simultaneous
        workers.append(start_worker(job, *options))
        wait_until(lambda: len(list(job.folder.glob("gate.*"))) == len(workers), job)

    place = ["--storage", job.storage]
    status = json.loads(call("status", "--sweep", NAME, *place, "--json").out)
    assert (status["running"], status["waiting"]) == (1, NUM_TRIALS - 1)
    (busy,) = status["workers"]
    assert busy["sweep"] == NAME
    assert busy["device"] == "cpu, 1 threads"
    assert 0 < busy["lease_s"] <= 60
    assert str(workers[0].pid) in call("status", "--sweep", busy["sweep"], *place).out or (
        str(workers[1].pid) in call("status", "--sweep", busy["sweep"], *place).out
    )

    for name in (NAME, OTHER):
        assert call("stop", "--sweep", name, *place).code == 0
    job.open_gate()
    end(workers[0])
    wait_until(lambda: count(job, NAME).running == count(job, OTHER).running == 0, job)
    assert count(job, NAME) == count(job, OTHER) == TrialCounts(NUM_TRIALS, 0, 0, 0, 0)

    for name in (NAME, OTHER):
        assert call("resume", "--sweep", name, *place).code == 0
    wait_until(lambda: count(job, NAME).complete + count(job, OTHER).complete == 4, job)
    assert workers[1].poll() is None
    workers[1].send_signal(signal.SIGTERM)
    end(workers[1])
    assert list_workers(job.engine) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_worker_without_work_leaves(
    job: Job, register: Callable[..., Any], call: Callable[..., Any]
) -> None:
    """Nothing is left to train, or not in the time it has."""
    register(job.storage, OTHER)
    worker = ["worker", "--device", "cpu", "--threads", 1, "--storage", job.storage]
    answer = call(*worker, "--timeout", 0.01)
    assert (answer.code, answer.err) == (0, "")
    assert count(job, OTHER).waiting == NUM_TRIALS
    assert call(*worker).code == 0
    assert count(job, OTHER).complete == NUM_TRIALS
    watched = call("status", "--watch", "--storage", job.storage)
    assert (watched.code, f"{NUM_TRIALS} of {NUM_TRIALS} trials" in watched.out) == (0, True)


def count(job: Job, name: str) -> TrialCounts:
    """Count the trials of a sweep by state."""
    return count_trials(job.engine, find_sweep(job.engine, name).id)

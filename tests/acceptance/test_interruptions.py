"""Real processes, real signals: whatever ends them, each trial is trained once and whole.

Trainings are held in mid-epoch by a gate, so that a signal meets them where the test wants.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from jobs import NAME, Job, end, get_process, is_alive, wait_until
from servers import run_postgres, stop_postgres
from storage.claims import expire_claims
from storage.epochs import Epoch
from storage.sweeps import TrialCounts, find_sweep
from sweep.identity import is_gone
from sweep.session import Session

NUM_TRIALS, NUM_EPOCHS = 3, 4
FAULTS = {"sqlite": "no such table: sweep_trials", "postgresql": "lease of slot 0 not renewed yet"}
"""What a worker says when a table is not there, which only SQLite counts among passing faults."""


def put_to_sleep(process: subprocess.Popen[str], job: Job) -> None:
    """Stop a process outside of its transactions: its locks would be held while it sleeps."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not is_in_transaction(process, job):
            return
        process.send_signal(signal.SIGCONT)


def is_in_transaction(process: subprocess.Popen[str], job: Job) -> bool:
    """Say whether a process that was just stopped holds locks of the database."""
    if job.engine.dialect.name == "postgresql":
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name "
        query += "AND datname = current_database() AND state <> 'idle'"
        with job.engine.connect() as connection:
            number = connection.execute(sa.text(query), {"name": name_connections(process)})
            return bool(number.scalar_one())
    connection = sqlite3.connect(str(job.engine.url.database), timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def name_connections(process: subprocess.Popen[str]) -> str:
    """Give the name under which the server knows a worker's connections."""
    return f"sweep {socket.gethostname()}:{process.pid}"


@pytest.fixture(scope="module")
def arguments(own_network: Path, events_file: Path) -> list[str]:
    """What `sweep run` is asked for."""
    words = ["--model", f"{own_network}:FaintNet", "--data", str(events_file), "--workers", "2"]
    words += ["--events", "24", "--val-events", "12", "--fix", "batch_size=12", "--fix", "lr=0.05"]
    return [*words, "--epochs", str(NUM_EPOCHS), "--trials", str(NUM_TRIALS)]


@pytest.fixture
def make_job(tmp_path: Path, arguments: list[str]) -> Iterator[Callable[[str], Job]]:
    """Make a job on a database; processes that a failed test left are ended."""
    jobs = []

    def make(storage: str) -> Job:
        jobs.append(Job(tmp_path, storage, arguments))
        return jobs[-1]

    yield make
    for job in jobs:
        job.open_gate()
        for process in job.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.communicate()


@pytest.fixture
def make_open_job(
    make_job: Callable[[str], Job], make_session: Callable[..., Session]
) -> Callable[[str], Job]:
    """Make a job whose sweep is in the database already, for workers to join."""

    def make(storage: str) -> Job:
        make_session(
            storage,
            NAME,
            name=NAME,
            trials=NUM_TRIALS,
            epochs=NUM_EPOCHS,
            pruner="median",
            num_startup_trials=5,
        )
        return make_job(storage)

    return make


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> list[list[Epoch]]:
    """The curves of the same sweep when nothing interrupts it."""
    folder = tmp_path_factory.mktemp("reference")
    job = Job(folder, f"sqlite:///{folder / 'sweep.db'}", arguments)
    end(job.start())
    return job.read_curves()


def check_whole(job: Job, reference: list[list[Epoch]]) -> None:
    """The budget is spent exactly, every curve is that of an uninterrupted sweep."""
    assert job.count() == TrialCounts(0, 0, NUM_TRIALS, 0, 0)
    assert job.read_curves() == reference
    told = job.read_told()
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * NUM_TRIALS
    assert list(job.folder.rglob("checkpoint.pt")) == []


def test_killed_worker_is_replaced_and_its_trial_goes_on(
    make_job: Callable[[str], Job], database_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGKILL in mid-epoch: the same trial, from its checkpoint, without waiting for the lease."""
    job = make_job(database_url)
    job.close_gate()
    process = job.start()
    victim = job.wait_for_held(2)[0]
    os.kill(get_process(victim), signal.SIGKILL)
    (successor,) = (row for row in job.wait_for_held(1, attempt=2) if row.id == victim.id)
    assert successor.number == victim.number
    assert successor.worker != victim.worker
    job.open_gate()
    _out, err = end(process)
    assert "stopped" not in err
    check_whole(job, reference)
    assert sorted(map(str, job.read_endings())) == ["expired"] + ["finished"] * NUM_TRIALS


def test_interrupted_sweep_goes_on(
    make_job: Callable[[str], Job], sqlite_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGINT, then a killed supervisor, then on to the end as if nothing had been."""
    job = make_job(sqlite_url)
    job.close_gate()
    process = job.start()
    job.wait_for_held(2)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping after this epoch" in process.stderr.readline()
    job.open_gate()
    _out, err = end(process)
    assert "stopped; to go on: sweep run --model" in err
    assert {trial.state for trial in job.read_told()} == {TrialState.WAITING}
    assert job.count() == TrialCounts(NUM_TRIALS, 0, 0, 0, 0)
    assert [len(curve) for curve in job.read_curves()] == [2, 2]

    job.close_gate(batch=6)
    process = job.start()
    wait_until(lambda: [row.attempts for row in job.read_rows()] == [2, 2], job)
    workers = [get_process(row) for row in job.read_rows()]
    process.kill()
    process.communicate()
    job.open_gate()
    wait_until(lambda: not any(map(is_alive, workers)), job)
    assert job.count().running == 0
    assert job.count().finished < NUM_TRIALS

    assert job.work() > 0
    check_whole(job, reference)
    assert "expired" not in job.read_endings()


def test_terminated_worker_leaves_at_once(
    make_open_job: Callable[[str], Job], database_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGTERM in mid-epoch: the epoch is given up, not the ones before it."""
    job = make_open_job(database_url)
    job.close_gate()
    process = job.start_worker()
    job.wait_for_held(1)
    process.send_signal(signal.SIGTERM)
    job.open_gate()
    _out, err = end(process)
    assert err == "slot 0: given back with its checkpoint\n"
    assert [trial.state for trial in job.read_told()] == [TrialState.WAITING]
    assert [len(curve) for curve in job.read_curves()] == [1]
    assert job.work() == NUM_TRIALS
    check_whole(job, reference)
    assert job.read_endings() == ["released"] + ["finished"] * NUM_TRIALS


def test_sleeping_worker_is_not_waited_for(
    make_open_job: Callable[[str], Job],
    database_url: str,
    reference: list[list[Epoch]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker stopped as by a laptop's lid: another takes its trial over, and it harms nothing."""
    monkeypatch.setenv("SWEEP_LEASE_S", "1")
    job = make_open_job(database_url)
    job.close_gate()
    sleeper = job.start_worker()
    job.wait_for_held(1)
    put_to_sleep(sleeper, job)
    assert job.work() == NUM_TRIALS
    told = job.read_told()
    job.open_gate()
    sleeper.send_signal(signal.SIGCONT)
    _out, err = end(sleeper)
    assert "ran out and another worker holds the trial" in err
    assert job.read_told() == told
    check_whole(job, reference)
    assert job.read_endings() == ["expired"] + ["finished"] * NUM_TRIALS


def test_lease_outlives_a_fault_of_the_database(
    make_open_job: Callable[[str], Job],
    database_url: str,
    reference: list[list[Epoch]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its renewals fail for a while, then succeed again; the trial never notices."""
    monkeypatch.setenv("SWEEP_LEASE_S", "1")
    job = make_open_job(database_url)
    job.close_gate()
    process = job.start_worker()
    job.wait_for_held(1)
    rename_table(job, "sweep_trials", "sweep_trials_away")
    assert process.stderr is not None
    assert FAULTS[job.engine.dialect.name] in process.stderr.readline()
    rename_table(job, "sweep_trials_away", "sweep_trials")
    lease_s = job.read_lease_s()
    wait_until(lambda: job.read_lease_s() > lease_s, job)
    job.open_gate()
    end(process)
    check_whole(job, reference)
    assert job.read_endings() == ["finished"] * NUM_TRIALS


def rename_table(job: Job, before: str, after: str) -> None:
    """Take a table away under the workers, or put it back."""
    with job.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")


def cut_connections(job: Job, process: subprocess.Popen[str]) -> int:
    """End all connections of a worker, which are known by its name; gives how many they were."""
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = :name"
    )
    with job.engine.connect() as connection:
        number = connection.execute(sa.text(query), {"name": name_connections(process)})
        return int(number.scalar_one())


def test_server_that_goes_away_is_waited_for(
    make_open_job: Callable[[str], Job], reference: list[list[Epoch]]
) -> None:
    """Stopped in mid-epoch until the worker misses it; then all its connections are cut."""
    with run_postgres() as address:
        job = make_open_job(address)
        job.close_gate()
        process = job.start_worker()
        job.wait_for_held(1)
        with stop_postgres(address):
            job.close_gate(batch=6)
            assert process.stderr is not None
            assert "waiting for the database" in process.stderr.readline()
        wait_until(lambda: [row.last and row.last.epoch for row in job.read_rows()] == [2], job)
        assert 1 <= cut_connections(job, process) <= 3
        job.open_gate()
        end(process)
        check_whole(job, reference)
        assert job.read_endings() == ["finished"] * NUM_TRIALS
        job.engine.dispose()


def test_worker_started_while_the_server_is_away_waits_for_it(
    make_open_job: Callable[[str], Job], reference: list[list[Epoch]]
) -> None:
    """So a supervisor may start and replace workers at any time."""
    with run_postgres() as address:
        job = make_open_job(address)
        with stop_postgres(address):
            process = job.start_worker("--parent", str(os.getpid()))
            assert process.stderr is not None
            assert "waiting for the database" in process.stderr.readline()
        end(process)
        check_whole(job, reference)
        job.engine.dispose()


def test_terminated_worker_does_not_wait_for_a_server_that_is_away(
    make_open_job: Callable[[str], Job], reference: list[list[Epoch]]
) -> None:
    """SIGTERM while it waits: one line, and its trial goes on elsewhere once the server is back."""
    with run_postgres() as address:
        job = make_open_job(address)
        job.close_gate()
        process = job.start_worker()
        job.wait_for_held(1)
        with stop_postgres(address):
            job.open_gate()
            assert process.stderr is not None
            assert "waiting for the database" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            _out, err = end(process, code=1)
            assert "the database does not do its work" in err.splitlines()[-1]
        expire_claims(job.engine, find_sweep(job.engine, NAME).id, is_gone)
        assert job.work() == NUM_TRIALS
        check_whole(job, reference)
        job.engine.dispose()

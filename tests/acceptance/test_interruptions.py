"""Real processes, real signals: whatever ends them, each trial is trained once and whole.

Trainings are held in mid-epoch by a gate, so that a signal meets them where the test wants.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from forks import Command
from jobs import NUM_TRIALS, Job, check_whole, end, get_process, hear, is_alive, wait_until
from servers import name_connections
from sweep.storage.sweeps import TrialCounts
from sweep.storage.tables import Epoch


def put_to_sleep(process: Command, job: Job) -> None:
    """Stop a process outside of its transactions: its locks would be held while it sleeps."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not is_in_transaction(process, job):
            return
        process.send_signal(signal.SIGCONT)


def is_in_transaction(process: Command, job: Job) -> bool:
    """Say whether a process that was just stopped holds locks of the database."""
    if job.engine.dialect.name == "postgresql":
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name "
        query += "AND datname = current_database() AND state <> 'idle'"
        with job.engine.connect() as connection:
            number = connection.execute(sa.text(query), {"name": name_connections(process.pid)})
            return bool(number.scalar_one())
    connection = sqlite3.connect(str(job.engine.url.database), timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


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
    hear(process, "stopping after this epoch")
    job.open_gate()
    _out, err = end(process)
    assert "stopped; to go on: sweep run --model" in err
    assert {trial.state for trial in job.read_told()} == {TrialState.WAITING}
    assert job.count() == TrialCounts(NUM_TRIALS, 0, 0, 0, 0)
    assert [len(curve) for curve in job.read_curves()] == [2, 2]

    job.close_gate(batch=6)
    process = job.start("run", *job.arguments, "--workers", "1")
    wait_until(lambda: [row.attempts for row in job.read_rows()] == [2, 1], job)
    worker = get_process(job.read_rows()[0])
    process.kill()
    process.communicate()
    job.open_gate()
    wait_until(lambda: not is_alive(worker), job)
    assert job.count().running == 0
    assert job.count().finished < NUM_TRIALS

    assert job.work() > 0
    check_whole(job, reference)
    assert "expired" not in job.read_endings()


def test_terminated_worker_leaves_at_once(
    make_open_job: Callable[[str], Job], postgres_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGTERM in mid-epoch: the epoch is given up, not the ones before it."""
    job = make_open_job(postgres_url)
    process = job.start_held_worker()
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
    sleeper = job.start_held_worker()
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

"""A database that fails, goes away, or drops its workers: it is waited for, and nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from forks import Command
from jobs import NAME, NUM_TRIALS, Job, check_whole, end, hear, wait_until
from servers import make_database, name_connections, open_server, run_postgres, stop_postgres
from sweep.machine.process import is_gone
from sweep.storage.claims import expire_claims
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import Epoch

FAULTS = {"sqlite": "no such table: sweep_trials", "postgresql": "lease of slot 0 not renewed yet"}
"""What a worker says when a table is not there, which only SQLite counts among passing faults."""


def test_lease_outlives_a_fault_of_the_database(
    make_open_job: Callable[[str], Job],
    database_url: str,
    reference: list[list[Epoch]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its renewals fail for a while, then succeed again; the trial never notices."""
    monkeypatch.setenv("SWEEP_LEASE_S", "1")
    job = make_open_job(database_url)
    process = job.start_held_worker()
    rename_table(job, "sweep_trials", "sweep_trials_away")
    hear(process, FAULTS[job.engine.dialect.name])
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


def cut_connections(job: Job, process: Command) -> int:
    """End all connections of a worker, which are known by its name; gives how many they were."""
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = :name"
    )
    with job.engine.connect() as connection:
        number = connection.execute(sa.text(query), {"name": name_connections(process.pid)})
        return int(number.scalar_one())


@pytest.fixture(scope="module")
def server() -> Iterator[sa.Engine]:
    """A PostgreSQL server that may be stopped: nobody else uses it."""
    with run_postgres() as address:
        yield open_server(address)


@pytest.fixture
def job(server: sa.Engine, make_open_job: Callable[[str], Job]) -> Iterator[Job]:
    """A job on a database of that server."""
    with make_database(server) as address:
        made = make_open_job(address)
        yield made
        made.end()
        made.engine.dispose()


def test_server_that_goes_away_is_waited_for(
    job: Job, server: sa.Engine, reference: list[list[Epoch]]
) -> None:
    """Stopped in mid-epoch until the worker misses it; then all its connections are cut."""
    process = job.start_held_worker()
    with stop_postgres(server):
        job.close_gate(batch=6)
        hear(process, "waiting for the database")
    wait_until(lambda: [row.last and row.last.epoch for row in job.read_rows()] == [2], job)
    assert 1 <= cut_connections(job, process) <= 3
    job.open_gate()
    end(process)
    check_whole(job, reference)
    assert job.read_endings() == ["finished"] * NUM_TRIALS


def test_worker_started_while_the_server_is_away_waits_for_it(
    job: Job, server: sa.Engine, reference: list[list[Epoch]]
) -> None:
    """So a supervisor may start and replace workers at any time."""
    with stop_postgres(server):
        process = job.start_worker("--parent", str(os.getpid()))
        hear(process, "waiting for the database")
    end(process)
    check_whole(job, reference)


def test_terminated_worker_does_not_wait_for_a_server_that_is_away(
    job: Job, server: sa.Engine, reference: list[list[Epoch]]
) -> None:
    """SIGTERM while it waits: one line, and its trial goes on elsewhere once the server is back."""
    process = job.start_held_worker()
    with stop_postgres(server):
        job.open_gate()
        hear(process, "waiting for the database")
        process.send_signal(signal.SIGTERM)
        _out, err = end(process, code=1)
        assert "the database does not do its work" in err.splitlines()[-1]
    expire_claims(job.engine, find_sweep(job.engine, NAME).id, is_gone)
    assert job.work() == NUM_TRIALS
    check_whole(job, reference)

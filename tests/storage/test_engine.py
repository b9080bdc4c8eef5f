"""Databases are opened so that processes can share them, and refused with one clear line."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

import sweep.storage.transactions
from sweep.storage import studies
from sweep.storage.engine import create_engine, is_answering, open_engine, parse_url
from sweep.storage.errors import StorageError
from sweep.storage.migrations import create_tables
from sweep.storage.passwords import hide_password
from sweep.storage.tables import SCHEMA_VERSION, check_tables, versions
from sweep.storage.transactions import read_time_s, retry, transact

HOLD = """
import sys
from sweep.storage.engine import open_engine, parse_url
engine = open_engine(parse_url(sys.argv[1]))
with engine.begin():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("text", "driver", "database"),
    [
        ("sqlite:///sweep.db", "sqlite", "sweep.db"),
        ("sqlite:////data/sweep.db", "sqlite", "/data/sweep.db"),
        ("postgresql://me:pw@host/sweeps", "postgresql+psycopg", "sweeps"),
        ("postgresql+psycopg2://host/sweeps", "postgresql+psycopg", "sweeps"),
    ],
)
def test_address_is_read(text: str, driver: str, database: str) -> None:
    """SQLite and Postgres are known; the driver of Postgres is always psycopg 3."""
    url = parse_url(text)
    assert (url.drivername, url.database) == (driver, database)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a database address"),
        ("sweep.db", "not a database address"),
        ("me:secret@host", "not a database address"),
        ("postgresql://me:secret@host:port/sweeps", "not a database address"),
        ("mysql://me:secret@host/sweeps", "unknown kind of database, got 'mysql'"),
        ("sqlite://", "processes cannot share a database in memory"),
        ("sqlite:///:memory:", "processes cannot share a database in memory"),
    ],
)
def test_bad_address_is_refused(text: str, reason: str) -> None:
    """One line says why, and never a password."""
    with pytest.raises(StorageError, match=reason) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:secret@host/sweeps",
        "postgresql://me:half@secret@host/sweeps",
        "postgresql://host/sweeps?user=me&password=secret",
        "postgresql://me:secret@host:port/sweeps",
        "me:secret@host",
        "postgresql://me:se%63ret@host/sweeps",
        "postgresql://me:part@sec/ret@host/sweeps",
        "postgresql://me%3Asecret@host/sweeps",
        "postgresql://host/sweeps?sslpassword=secret",
        "postgresql://host/sweeps?options=-c%20my.password%3Dsecret",
        "postgresql://host/sweeps?other=secret",
        "postgresql:///host=host user=me password=secret",
        "host=host user=me password=secret",
        "host=host password = 'half@\\'secret' user=me",
        'host=host PGPASSWORD="secret"',
        "postgresql:/host:secret",
    ],
)
def test_password_is_never_shown(text: str) -> None:
    """Wherever it stands in the address; the host stays readable."""
    shown = hide_password(text)
    assert not any(part in shown for part in ("secret", "se%63ret", "half", "part", "sec/"))
    assert "host" in shown


@pytest.mark.parametrize(
    "address", ["postgresql://me:secret@host/sweeps", "host=host user=me password=secret"]
)
def test_password_in_a_wrong_place_is_not_repeated(call: Callable[..., Any], address: str) -> None:
    """An address where no argument is expected is refused as any other word, without it."""
    answer = call("list", address)
    assert answer.code == 2
    assert "***" in answer.err
    assert "secret" not in answer.err


def test_unreachable_server_is_one_line_without_the_password() -> None:
    """Nobody listens on port 1."""
    url = parse_url("postgresql://me:secret@127.0.0.1:1/sweeps?connect_timeout=5")
    with pytest.raises(StorageError, match="storage: cannot open postgresql") as caught:
        open_engine(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    """Opening never creates."""
    path = tmp_path / "none.db"
    with pytest.raises(StorageError, match="no such file"):
        open_engine(parse_url(f"sqlite:///{path}"))
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """A database is not made in a folder that is not there."""
    with pytest.raises(StorageError, match="no such folder"):
        create_engine(parse_url(f"sqlite:///{tmp_path / 'none' / 'sweep.db'}"))


@pytest.mark.parametrize("make", [open_engine, create_engine])
def test_other_file_is_refused_and_not_harmed(tmp_path: Path, make: object) -> None:
    """A file that is no database stays as it is."""
    path = tmp_path / "events.npz"
    path.write_bytes(b"PK\3\4 and so on" * 100)
    before = path.read_bytes()
    assert callable(make)
    with pytest.raises(StorageError, match="file is not a database"):
        make(parse_url(f"sqlite:///{path}"))
    assert path.read_bytes() == before


def test_database_without_sweeps_is_refused(database_url: str) -> None:
    """A plain Optuna database is not ours."""
    storage_of_optuna = optuna.storages.RDBStorage(database_url)
    storage_of_optuna.engine.dispose()
    engine = open_engine(parse_url(database_url))
    with pytest.raises(StorageError, match="no sweeps in"):
        check_tables(engine)
    engine.dispose()


def test_other_schema_version_is_refused(engine: sa.Engine) -> None:
    """A database of a newer version of this project is not touched."""
    with engine.begin() as connection:
        connection.execute(versions.update().values(version=99))
    with pytest.raises(StorageError, match=f"got version 99, expected {SCHEMA_VERSION}"):
        create_tables(engine)


def test_tables_can_be_created_again(engine: sa.Engine) -> None:
    """The second time changes nothing."""
    create_tables(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.select(versions.c.version)).scalars().all() == [SCHEMA_VERSION]


def test_clock_counts_seconds_since_1970(engine: sa.Engine) -> None:
    """Within a minute of this machine's, and it does not go back."""
    first, second = read_time_s(engine), read_time_s(engine)
    assert abs(first - time.time()) < 60
    assert first <= second


def test_sqlite_logs_ahead(sqlite_url: str) -> None:
    """Write-ahead logging is a setting of the file: any later connection has it."""
    create_engine(parse_url(sqlite_url)).dispose()
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_sqlite_transaction_locks_out_writers_but_no_reader(
    sqlite_url: str, tmp_path: Path
) -> None:
    """A transaction that another process only began already keeps every other writer waiting."""
    engine = create_engine(parse_url(sqlite_url))
    create_tables(engine)
    script = tmp_path / "hold.py"
    script.write_text(HOLD)
    with subprocess.Popen(
        [sys.executable, str(script), sqlite_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        writer = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("BEGIN IMMEDIATE")
        writer.close()
        check_tables(engine)
        holder.communicate("go\n", timeout=60)
    engine.dispose()


def test_process_that_ends_leaves_no_log_beside_its_file(tmp_path: Path) -> None:
    """Whoever copies the file has all of it, though nobody takes the open engine apart."""
    path = tmp_path / "sweep.db"
    code = (
        "from sweep.machine.garbage import begin_loading\n"
        "begin_loading()\n"
        "from sweep.storage.engine import create_engine, parse_url\n"
        f"engine = create_engine(parse_url('sqlite:///{path}'))\n"
        "with engine.begin() as connection:\n"
        "    connection.exec_driver_sql('CREATE TABLE t (n INTEGER)')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert os.listdir(tmp_path) == ["sweep.db"]


FORK = """
import os, sys
import sqlalchemy as sa
from sweep.storage.engine import create_engine, parse_url
engine = create_engine(parse_url(sys.argv[1]))

def find_session():
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()

before, process = find_session(), os.fork()
if process:
    assert os.waitpid(process, 0) == (process, 0)
    assert find_session() == before
"""


def test_forked_process_leaves_its_parents_connections_open(postgres_url: str) -> None:
    """At its end it closes what it has opened itself; a session that is ended answers no more."""
    subprocess.run([sys.executable, "-c", FORK, postgres_url], check=True)


def test_dropped_connection_is_replaced(postgres_url: str, postgres_server: sa.Engine) -> None:
    """A server that drops an idle connection is no fault of the next transaction."""
    engine = create_engine(parse_url(postgres_url))
    with engine.connect() as connection:
        process = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with postgres_server.connect() as connection:
        end = sa.text("SELECT pg_terminate_backend(:pid, 60000)")
        assert connection.execute(end, {"pid": process}).scalar_one()
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() != process
    engine.dispose()


def test_admin_sees_who_connects(postgres_url: str, postgres_server: sa.Engine) -> None:
    """Host and process, also of Optuna's connections; a name in the address is kept."""
    query = sa.text("SELECT application_name FROM pg_stat_activity WHERE datname = :name")
    url = parse_url(postgres_url)
    engine = create_engine(url)
    create_tables(engine)
    studies.prepare_studies(url, [])
    study_storage = studies.open_study_storage(url)
    named = create_engine(url.update_query_dict({"application_name": "mine"}))
    with postgres_server.connect() as connection:
        names = sorted(connection.execute(query, {"name": url.database}).scalars())
    assert names == ["mine"] + 2 * [f"sweep {socket.gethostname()}:{os.getpid()}"]
    study_storage.remove_session()
    engine.dispose()
    named.dispose()


def test_server_may_be_away_for_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is waited for, in steps that grow, before the person is told."""
    now_s = [0.0]
    tried_s: list[float] = []

    def sleep(wait_s: float) -> None:
        now_s[0] += wait_s

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])

    def fail() -> None:
        tried_s.append(now_s[0])
        raise sa.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError("gone"))

    with pytest.raises(StorageError, match="got 'gone' 9 times"):
        retry(fail)
    waits = [later_s - earlier_s for earlier_s, later_s in pairwise(tried_s)]
    assert 30 <= sum(waits) <= 60
    assert waits[0] <= 1
    assert max(waits) <= 10


def _end_own_connection(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_transaction_is_repeated_whole_when_the_connection_drops(postgres_url: str) -> None:
    """A connection lost in mid-transaction: what was written is written once."""
    engine = create_engine(parse_url(postgres_url))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE notes (n INTEGER)"))
    tries = []

    def work(connection: sa.Connection) -> None:
        tries.append(len(tries))
        connection.execute(sa.text("INSERT INTO notes VALUES (1)"))
        if len(tries) == 1:
            _end_own_connection(connection)

    transact(work)(engine)
    assert tries == [0, 1]
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT n FROM notes")).scalars().all() == [1]
    engine.dispose()


def test_fault_that_does_not_pass_becomes_one_line(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last try the person is told, not shown a traceback."""
    monkeypatch.setattr(sweep.storage.transactions, "NUM_RETRIES", 1)
    engine = create_engine(parse_url(postgres_url))
    with pytest.raises(StorageError, match="the database does not do its work") as caught:
        transact(_end_own_connection)(engine)
    assert "\n" not in str(caught.value)
    engine.dispose()


def test_other_fault_is_raised_at_once(engine: sa.Engine) -> None:
    """A statement that cannot succeed is not repeated."""
    tries = []

    def work(connection: sa.Connection) -> None:
        tries.append(1)
        connection.execute(versions.insert().values(version=SCHEMA_VERSION))

    with pytest.raises(sa.exc.IntegrityError):
        transact(work)(engine)
    assert tries == [1]


def test_database_that_answers_is_told_from_one_that_does_not(
    engine: sa.Engine, postgres_server: sa.Engine, tmp_path: Path
) -> None:
    """A file that was taken away, or a server that lets nobody in."""
    assert is_answering(engine)
    if engine.dialect.name == "sqlite":
        Path(str(engine.url.database)).rename(tmp_path / "elsewhere")
    else:
        name = str(engine.url.database)
        with postgres_server.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.exec_driver_sql(kill, (name,))
    assert not is_answering(engine)

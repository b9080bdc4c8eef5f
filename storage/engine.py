"""Opens a database so that many processes can share it.

SQLite ignores `SELECT ... FOR UPDATE`, so every transaction there starts with `BEGIN IMMEDIATE`:
one writer at a time, the others wait up to a minute. Write-ahead logging lets readers go on
meanwhile. Postgres needs none of that, but drops idle connections, so each is tested before use.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from sweep.storage.database_file import check_file, require_folder
from sweep.storage.errors import StorageError
from sweep.storage.passwords import hide_keywords, hide_password, show_url
from sweep.storage.rights import watch_rights
from sweep.storage.sqlite import Reader, connect, log_ahead, may_write

logger = logging.getLogger(__name__)

NUM_RETRIES, NUM_HURRIED_RETRIES = 9, 3
MAX_DELAY_S = 8.0
POLL_S = 0.1
READ_ONLY = "sweep_read_only"
SERVER_OPTIONS = {
    "connect_timeout": 10,
    # A server that vanished without a word is noticed within a minute, not within hours: by the
    # first while it is waited for, by the second while it has not received what was sent.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}

Result = TypeVar("Result")
Args = ParamSpec("Args")
Transaction: TypeAlias = Callable[Concatenate[sa.Engine, Args], Result]

_is_hurried = False


def parse_url(text: str) -> URL:
    """Read a database address.

    Args:
        text: `sqlite:///path/to/sweep.db` or `postgresql://user:password@host/database`.

    Returns:
        The address, with the psycopg 3 driver for Postgres.

    Raises:
        StorageError: when it is no address, names another kind of database, or is an in-memory
            SQLite database, which processes cannot share.
    """
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError) as exc:
        raise StorageError(
            f"storage: not a database address, got {hide_password(text)!r}, expected "
            "sqlite:///FILE or postgresql://USER@HOST/NAME; check --storage or SWEEP_STORAGE"
        ) from exc
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise StorageError(
            f"storage: unknown kind of database, got {kind!r}, expected sqlite or postgresql; "
            "check --storage or SWEEP_STORAGE"
        )
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise StorageError(
            "storage: processes cannot share a database in memory, got "
            f"{hide_password(text)!r}, expected sqlite:///FILE; name a file"
        )
    return url.set(drivername="postgresql+psycopg" if kind == "postgresql" else "sqlite")


def find_path(url: URL) -> Path | None:
    """Find the file of a SQLite database; None for any other."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def get_engine_options(url: URL) -> dict[str, Any]:
    """Give the keyword arguments of `create_engine` that make the database fit to be shared."""
    path = find_path(url)
    if path is not None:
        path = path.absolute()
        # How a file is read that cannot be written is decided anew for each transaction.
        pool = {} if may_write(path) else {"poolclass": sa.NullPool}
        return {"creator": partial(connect, path), **pool}
    name = f"sweep {socket.gethostname()}:{os.getpid()}"  # as pg_stat_activity shows it
    options = {**SERVER_OPTIONS, "application_name": name}
    return {
        "connect_args": {key: value for key, value in options.items() if key not in url.query},
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        "pool_size": 1,
        "max_overflow": 4,
    }


def prepare_engine(engine: sa.Engine) -> sa.Engine:
    """Make every transaction of a SQLite engine take the write lock at its beginning.

    Without this four workers were seen to take 9 to 20 of 60 trials twice. Other databases are
    returned as they are. Connections made before are dropped. A right that is missing is told as
    such, on any database (`sweep.storage.rights`).
    """
    watch_rights(engine)
    if find_path(engine.url) is None:
        return engine

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        is_reader = isinstance(connection.connection.driver_connection, Reader)
        reading = is_reader or connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    engine.dispose()
    return engine


def open_engine(url: URL, *, is_awaited: bool = False) -> sa.Engine:
    """Open a database that is there already.

    Args:
        is_awaited: Whether to wait for it as `retry` does where it does not answer.

    Raises:
        StorageError: when the file is missing or no database, or the server does not answer.
    """
    if (path := find_path(url)) is not None:
        check_file(path)
    engine = _make_engine(url)
    if is_awaited:
        retry(lambda: _knock(engine))
    return _check_answer(engine)


def create_engine(url: URL) -> sa.Engine:
    """Open a database, making the SQLite file where there is none.

    Raises:
        StorageError: when the folder is missing or not writable, or the server does not answer.
    """
    path = find_path(url)
    if path is not None:
        require_folder(path)
    engine = _check_answer(_make_engine(url))
    if path is not None:
        try:
            with closing(engine.raw_connection()) as connection:
                log_ahead(cast("sqlite3.Connection", connection.driver_connection))
        except (sqlite3.Error, sa.exc.SQLAlchemyError) as exc:
            raise StorageError(
                f"storage: cannot write to {show_url(url)}, got {str(exc)!r}, expected a file that "
                "may be written; check its permissions"
            ) from exc
    return engine


def _make_engine(url: URL) -> sa.Engine:
    return prepare_engine(sa.create_engine(url, **get_engine_options(url)))


def is_answering(engine: sa.Engine) -> bool:
    """Say whether a database answers now; asked once, without patience."""
    path = find_path(engine.url)
    if path is not None and not path.is_file():
        return False
    try:
        with open_reader(engine) as connection:
            connection.execute(sa.text("SELECT 1 FROM sweep_versions"))
    except (sa.exc.SQLAlchemyError, StorageError):
        return False
    return True


@contextmanager
def close_after(engine: sa.Engine) -> Iterator[sa.Engine]:
    """Close a database at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


def _check_answer(engine: sa.Engine) -> sa.Engine:
    """Give an engine back whose database answers, or raise a StorageError."""
    try:
        _knock(engine)
    except sa.exc.SQLAlchemyError as exc:
        raise StorageError(
            f"storage: cannot open {show_url(engine.url)}, got {_describe(exc)!r}, expected a "
            "database; check --storage or SWEEP_STORAGE"
        ) from exc
    return engine


def open_reader(engine: sa.Engine) -> sa.Connection:
    """Open a connection that blocks no writer."""
    return engine.connect().execution_options(**{READ_ONLY: True})


def _knock(engine: sa.Engine) -> None:
    with open_reader(engine) as connection:
        connection.execute(sa.text("SELECT 1"))
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA schema_version")


def _describe(exc: BaseException) -> str:
    """Give the first line of what the driver said."""
    while not isinstance(exc, sa.exc.DBAPIError) and exc.__cause__ is not None:
        exc = exc.__cause__
    text = (str(getattr(exc, "orig", None) or exc).strip() or repr(exc)).splitlines()[0]
    return hide_keywords(text).rpartition("@")[2]  # what stands before may be part of a password


def is_passing(exc: BaseException) -> bool:
    """Say whether a database fault may go away by itself: a lock, a dropped connection."""
    if isinstance(exc, StorageError):
        return False
    if isinstance(exc, sa.exc.PendingRollbackError):  # the connection broke within a session
        return True
    if isinstance(exc, sa.exc.DBAPIError):
        return exc.connection_invalidated or isinstance(exc, sa.exc.OperationalError)
    cause = exc.__cause__
    return cause is not None and is_passing(cause)


def hurry() -> None:
    """Have `retry` wait no longer in this process, which is to leave at once."""
    global _is_hurried  # a lock, as an event has, could be held by what a signal interrupts
    _is_hurried = True


def retry(operation: Callable[[], Result]) -> Result:
    """Run an operation on the database, again where a passing fault stopped it.

    Args:
        operation: safe to run twice: a transaction that was not committed, or a call that leaves
            the same rows when repeated.

    Raises:
        StorageError: when a passing fault did not pass within NUM_RETRIES tries, which wait for
            half a minute at least: a server may be restarted meanwhile. After `hurry` there are
            NUM_HURRIED_RETRIES without a wait.
        Exception: what the operation raised, when it is no passing fault.
    """
    for attempt in range(NUM_RETRIES):
        try:
            return operation()
        except Exception as exc:
            if not is_passing(exc):
                raise
            num_tries = attempt + 1
            if num_tries == NUM_RETRIES or (_is_hurried and num_tries >= NUM_HURRIED_RETRIES):
                raise StorageError(
                    f"storage: the database does not do its work, got {_describe(exc)!r} "
                    f"{num_tries} times, expected an answer; see to it and run the command again"
                ) from exc
            if attempt == 1:  # the first is common: a connection that was dropped
                logger.warning("waiting for the database: %s", _describe(exc))
            _wait(min(0.5 * 2**attempt, MAX_DELAY_S) * random.uniform(0.8, 1.2))
    raise AssertionError("unreachable")


def _wait(timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not _is_hurried and (left_s := deadline_s - time.monotonic()) > 0:
        time.sleep(min(left_s, POLL_S))


def transact(work: Callable[Concatenate[sa.Connection, Args], Result]) -> Transaction[Args, Result]:
    """Have a function called with an engine in place of its connection.

    What it does is one transaction, and done again where a passing fault undid it.
    """
    return _run_whole(work, lambda engine: engine.begin())


def read(work: Callable[Concatenate[sa.Connection, Args], Result]) -> Transaction[Args, Result]:
    """As `transact`, for a function that only reads: its transaction blocks no writer."""
    return _run_whole(work, open_reader)


def _run_whole(
    work: Callable[Concatenate[sa.Connection, Args], Result],
    begin: Callable[[sa.Engine], AbstractContextManager[sa.Connection]],
) -> Transaction[Args, Result]:
    @wraps(work)
    def run(engine: sa.Engine, /, *args: Args.args, **named: Args.kwargs) -> Result:
        def attempt() -> Result:
            with begin(engine) as connection:
                return work(connection, *args, **named)

        return retry(attempt)

    return run


@read
def read_rows(
    connection: sa.Connection, query: sa.Select[*tuple[Any, ...]]
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Read all rows of a query."""
    return connection.execute(query).all()


@read
def read_value(connection: sa.Connection, query: sa.Executable) -> Any:
    """Read the one value of a query; None where it gives no row."""
    return connection.execute(query).scalar()


@contextmanager
def open_snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that only reads, blocks no writer, and sees the database as it is now."""
    options: dict[str, Any] = {READ_ONLY: True}
    if find_path(engine.url) is None:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        yield connection


def tell_time_s(connection: sa.Connection) -> sa.ColumnElement[float]:
    """Give what tells the database's clock in a statement: seconds since 1970, as all workers
    share them.
    """
    if connection.dialect.name == "sqlite":
        return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Float)
    now = "extract(epoch FROM clock_timestamp())::double precision"
    return sa.literal_column(now, sa.Float)


def read_clock_s(connection: sa.Connection) -> float:
    """Read the database's clock, as `tell_time_s` tells it."""
    return float(connection.execute(sa.select(tell_time_s(connection))).scalar_one())


read_time_s = read(read_clock_s)

"""Opens a database so that many processes can share it.

SQLite ignores `SELECT ... FOR UPDATE`, so every transaction there starts with `BEGIN IMMEDIATE`:
one writer at a time, the others wait up to a minute. Write-ahead logging lets readers go on
meanwhile. Postgres needs none of that, but drops idle connections, so each is looked at before use.
"""

from __future__ import annotations

import atexit
import os
import select
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from sweep.storage.database_file import check_file, require_folder
from sweep.storage.errors import StorageError
from sweep.storage.passwords import hide_password, show_url
from sweep.storage.rights import watch_rights
from sweep.storage.sqlite import Reader, connect, log_ahead, may_write
from sweep.storage.transactions import READ_ONLY, open_reader, quote_driver, retry

SERVER_OPTIONS = {
    "connect_timeout": 10,
    # A server that vanished without a word is noticed within a minute, not within hours: by the
    # first while it is waited for, by the second while it has not received what was sent.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
_OPEN: WeakSet[sa.Engine] = WeakSet()
"""Engines whose connections the process closes at its end: SQLite then puts its log away."""


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
        "pool_recycle": 1800,
        "pool_size": 1,
        "max_overflow": 4,
    }


def prepare_engine(engine: sa.Engine) -> sa.Engine:
    """Make every transaction of a SQLite engine take the write lock at its beginning.

    Without this four workers were seen to take 9 to 20 of 60 trials twice. A server's
    connections are replaced that it has closed. Those made before are dropped. A right that is
    missing is told as such, on any database (`sweep.storage.rights`).
    """
    watch_rights(engine)
    _OPEN.add(engine)
    if find_path(engine.url) is None:
        _replace_closed(engine)
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


@atexit.register
def _close_all() -> None:
    for engine in [*_OPEN]:
        engine.dispose()


if hasattr(os, "register_at_fork"):  # what is inherited is the parent's to close
    os.register_at_fork(after_in_child=_OPEN.clear)


def _replace_closed(engine: sa.Engine) -> None:
    """Look at a server's connections before they are used, and open those anew that it has closed.

    It says so unasked: to ask it each time would be a round trip for each transaction.
    """

    @sa.event.listens_for(engine, "checkout")
    def _look(connection: Any, _record: Any, _proxy: Any) -> None:
        try:
            said = select.poll()
            said.register(connection, select.POLLIN)
            if said.poll(0):
                engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as exc:
            raise sa.exc.InvalidatePoolError from exc


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
            f"storage: cannot open {show_url(engine.url)}, got {quote_driver(exc)!r}, expected a "
            "database; check --storage or SWEEP_STORAGE"
        ) from exc
    return engine


def _knock(engine: sa.Engine) -> None:
    with open_reader(engine) as connection:
        connection.execute(sa.text("SELECT 1"))
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA schema_version")

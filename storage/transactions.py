"""Transactions on a database: begun, read by, and done again where a passing fault undid them."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import sqlalchemy as sa

from sweep.storage.errors import StorageError
from sweep.storage.passwords import hide_keywords

logger = logging.getLogger(__name__)

NUM_RETRIES, NUM_HURRIED_RETRIES = 9, 3
MAX_DELAY_S = 8.0
POLL_S = 0.1
_chance = random.Random()  # not the process's own, which networks draw from
READ_ONLY = "sweep_read_only"

Result = TypeVar("Result")
Args = ParamSpec("Args")
Transaction: TypeAlias = Callable[Concatenate[sa.Engine, Args], Result]

_is_hurried = False


def open_reader(engine: sa.Engine) -> sa.Connection:
    """Open a connection that blocks no writer.

    On a server each of its statements is a transaction of its own: that spares two round trips, and
    a statement sees what was committed before it, as it does in a longer transaction.
    """
    options: dict[str, Any] = {READ_ONLY: True}
    if engine.dialect.name != "sqlite":
        options = {"isolation_level": "AUTOCOMMIT"}
    return engine.connect().execution_options(**options)


def quote_driver(exc: BaseException) -> str:
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
                    f"storage: the database does not do its work, got {quote_driver(exc)!r} "
                    f"{num_tries} times, expected an answer; see to it and run the command again"
                ) from exc
            if attempt == 1:  # the first is common: a connection that was dropped
                logger.warning("waiting for the database: %s", quote_driver(exc))
            _wait(min(0.5 * 2**attempt, MAX_DELAY_S) * _chance.uniform(0.8, 1.2))
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
    connection: sa.Connection, /, query: sa.Select[*tuple[Any, ...]], **values: Any
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Read all rows of a query; `values` are those that it leaves open."""
    return connection.execute(query, values).all()


@read
def read_value(connection: sa.Connection, query: sa.Executable) -> Any:
    """Read the one value of a query; None where it gives no row."""
    return connection.execute(query).scalar()


@contextmanager
def open_snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that only reads, blocks no writer, and sees the database as it is now."""
    options: dict[str, Any] = {READ_ONLY: True}
    if engine.dialect.name != "sqlite":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        yield connection


def tell_time_s(connection: sa.Connection) -> sa.ColumnElement[float]:
    """Give what tells the database's clock in a statement: seconds since 1970, as all workers
    share them.
    """
    return _make_clock(connection.dialect.name)


@cache
def _make_clock(dialect: str) -> sa.ColumnElement[float]:
    if dialect == "sqlite":
        return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Float)
    now = "extract(epoch FROM clock_timestamp())::double precision"
    return sa.literal_column(now, sa.Float)


@cache
def _ask_clock(dialect: str) -> sa.Select[float]:
    return sa.select(_make_clock(dialect))


def read_clock_s(connection: sa.Connection) -> float:
    """Read the database's clock, as `tell_time_s` tells it."""
    return float(connection.execute(_ask_clock(connection.dialect.name)).scalar_one())


read_time_s = read(read_clock_s)

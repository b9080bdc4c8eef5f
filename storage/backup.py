"""Backs a database up into one SQLite file, while workers go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from sweep.storage import studies
from sweep.storage.claims import release_all
from sweep.storage.engine import close_after, create_engine, find_path, open_engine
from sweep.storage.errors import StorageError
from sweep.storage.files import write_file
from sweep.storage.migrations import create_tables
from sweep.storage.rows import SweepRows
from sweep.storage.sweeps import list_sweeps
from sweep.storage.tables import open_sweeps, sweeps
from sweep.storage.transactions import open_snapshot, read_clock_s, read_time_s, retry


def back_up(source: URL, file: Path, progress: Callable[[int, int], None]) -> Sequence[str]:
    """Write a copy of a database, as it is at one moment, into a new SQLite file.

    In the copy nobody holds a trial: those that are being trained wait, to be gone on with from
    their checkpoints.

    Args:
        source: the database. Of SQLite the whole file is copied, of Postgres the sweeps.
        file: to write, whole or not at all.

    Returns:
        The names of the sweeps in it.

    Raises:
        StorageError: when the file is there already or cannot be written, or the database cannot
            be used.
    """
    for path in (file, file.with_name(f"{file.name}-wal")):
        if path.exists():
            raise StorageError(
                f"backup: the file is there already, got {path}, expected a new name; choose one"
            )
    with close_after(open_sweeps(source)) as origin:
        try:
            write_file(file, lambda path: retry(lambda: _write(origin, path, progress)))
        except (OSError, sqlite3.Error) as exc:
            raise StorageError(
                f"backup: {file} cannot be written, got {str(exc)!r}, expected room on the disk "
                "and a folder that is writable; see to it or choose another"
            ) from exc
    with close_after(open_engine(_name_file(file))) as copy:
        return [sweep.name for sweep in list_sweeps(copy)]


def _name_file(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def _write(origin: sa.Engine, path: Path, progress: Callable[[int, int], None]) -> None:
    path.unlink(missing_ok=True)
    is_file = find_path(origin.url) is not None
    now_s = _clone(origin, path) if is_file else _fill(origin, path, progress)
    with close_after(create_engine(_name_file(path))) as copy, copy.begin() as connection:
        release_all(connection, now_s)
        studies.suspend_all(connection)
    with closing(sqlite3.connect(path)) as copied:  # one file, without a log beside it
        copied.execute("PRAGMA journal_mode=DELETE")


def _clone(origin: sa.Engine, path: Path) -> float:
    """Copy a SQLite file; gives the time of the copy by the database's clock."""
    now_s = read_time_s(origin)
    with closing(origin.raw_connection()) as connection, closing(sqlite3.connect(path)) as copy:
        assert isinstance(connection.driver_connection, sqlite3.Connection)
        connection.driver_connection.backup(copy)
    return now_s


def _fill(origin: sa.Engine, path: Path, progress: Callable[[int, int], None]) -> float:
    """Copy the sweeps of another database; gives the time of the copy by its clock."""
    url = _name_file(path)
    with close_after(create_engine(url)) as copy, open_snapshot(origin) as reader:
        create_tables(copy)
        studies.prepare_studies(url, [])
        now_s = read_clock_s(reader)
        names = reader.execute(sa.select(sweeps.c.name).order_by(sweeps.c.id)).scalars().all()
        rows = SweepRows(reader, names)
        total = rows.count()
        with copy.begin() as writer:
            rows.write(writer, lambda done: progress(done, total))
    return now_s

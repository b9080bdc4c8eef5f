"""How a SQLite file is opened: to be written, or only read where this user may do no more.

A file with write-ahead logging needs two files beside it, `-wal` and `-shm`, even to be read. Where
they cannot be made, the log is either there, with the writer's `-shm`, or it is empty: then all is
in the file itself, which is read as one that does not change. Whether that is so is asked anew for
each transaction, since a writer elsewhere may begin at any time; what it writes goes into the log.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sweep.storage.database_file import is_allowed

BUSY_TIMEOUT_S = 60


class Reader(sqlite3.Connection):
    """A connection that can only read."""


def may_write(path: Path) -> bool:
    """Say whether this user may write a SQLite file, which takes its folder, too."""
    real = _resolve(path)
    return is_allowed(real.parent, os.W_OK) and (
        not os.path.exists(real) or is_allowed(real, os.W_OK)
    )


def has_log(path: Path) -> bool:
    """Say whether something is in a file's write-ahead log."""
    try:
        return os.stat(f"{_resolve(path)}-wal").st_size > 0
    except OSError:
        return False


def connect(path: Path) -> sqlite3.Connection:
    """Open a file as far as this user may; one that is missing is made.

    Raises:
        sqlite3.Error: when it cannot be opened.
    """
    if may_write(path):
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    address = f"{_resolve(path).as_uri()}?mode=ro"
    if _logs_ahead(path) and not has_log(path):
        address += "&immutable=1"
    return sqlite3.connect(
        address, uri=True, factory=Reader, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )


def log_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging, once: the setting stays with the file."""
    if not isinstance(connection, Reader):
        connection.execute("PRAGMA journal_mode=WAL").close()


def _resolve(path: Path) -> Path:
    """Find the file behind links: its log lies beside that."""
    return Path(os.path.realpath(path))


def _logs_ahead(path: Path) -> bool:
    """Say whether a file is one with write-ahead logging, by its header (sqlite.org/fileformat)."""
    try:
        with open(path, "rb") as file:
            return file.read(20)[18:] == b"\2\2"
    except OSError:
        return False

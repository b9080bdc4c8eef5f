"""Files that a person asks for: their names are checked before long work, and they are whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from importlib.util import find_spec
from pathlib import Path

from sweep.errors import DataError, list_allowed
from sweep.storage.files import write_file


def check_output(path: Path, endings: Collection[str], *, is_new: bool = False) -> None:
    """Check before long work that a file can be given this name.

    Args:
        endings: That its name may have, as `.png`.
        is_new: Whether nothing may have the name already.

    Raises:
        DataError: when the name ends otherwise, its folder is missing, or it is taken by what no
            file can take the place of.
    """
    if path.suffix not in endings:
        raise DataError(
            f"{path}: unknown format, got {path.suffix!r}, expected {list_allowed(endings)}; "
            "rename it"
        )
    if not path.parent.is_dir():
        raise DataError(
            f"{path}: no such folder, got {path.parent}, expected one that is there; make it first"
        )
    _refuse_taken(path, is_new=is_new)


def _refuse_taken(path: Path, *, is_new: bool = False) -> None:
    """Refuse a name that something has already: a file only where it has to be new."""
    if path.exists() and (is_new or not path.is_file()):
        kind = "file" if path.is_file() else "folder" if path.is_dir() else "pipe or a device"
        raise DataError(
            f"{path}: exists already, got a {kind}, expected a new name; choose another"
        )


def check_parquet() -> None:
    """Refuse Parquet where what writes it is missing, with a DataError."""
    if find_spec("pyarrow") is None:
        raise DataError(
            "parquet: pyarrow is not installed, got none, expected it beside pandas; "
            "`pip install pyarrow`, or take CSV"
        )


@contextlib.contextmanager
def telling_faults(path: Path) -> Iterator[None]:
    """Tell of a fault of the disk as one of this file.

    Raises:
        DataError: when there is any.
    """
    try:
        yield
    except OSError as exc:
        raise DataError(
            f"{path}: cannot be written, got {exc.strerror or exc}, expected room in a folder that "
            "is writable; make room or choose another"
        ) from exc


def write_output(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file that a person asked for, whole or not at all; `write` gets another path.

    A link stays one: what it leads to is written.

    Raises:
        DataError: when it cannot be written; what was there before is then still there.
    """
    _refuse_taken(path)
    with telling_faults(path):
        write_file(Path(os.path.realpath(path)), write)

"""Whether the file of a database is there and open to this user.

Loads nothing heavy: a file that is missing is told before SQLAlchemy, which takes half a second.
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from sweep.storage.errors import RightsError, StorageError

FILE_ADDRESS = re.compile(r"sqlite:///([^?]+)")


def check_file(path: Path) -> None:
    """Refuse the file of a database that is not there.

    Raises:
        StorageError: when it is missing, or a folder above it is closed.
    """
    if not os.path.isfile(path):  # False also where it may not be asked
        raise find_closed_path(path) or StorageError(
            f"storage: no such file, got {path}, expected a database of sweeps; "
            "start one with `sweep run` or name another with --storage"
        )


def check_address(text: str) -> None:
    """Refuse the address of a SQLite file that is not there; says nothing of any other."""
    path = _find_file(text)
    if path is not None:
        check_file(path)


def check_folder(text: str) -> None:
    """Refuse the address of a SQLite file in a folder that is not there."""
    path = _find_file(text)
    if path is not None:
        require_folder(path)


def is_new(text: str) -> bool:
    """Say whether an address is of a SQLite file that is yet to be made."""
    path = _find_file(text)
    return path is not None and not os.path.exists(path)


def _find_file(text: str) -> Path | None:
    """Find the file that an address is of; None for any other database, and one in memory."""
    address = FILE_ADDRESS.match(text)
    return Path(address[1]) if address and address[1] != ":memory:" else None


def require_folder(path: Path) -> None:
    """Refuse a SQLite file that cannot be made, since its folder is not there.

    Raises:
        StorageError: when that is missing or closed.
    """
    folder = path.absolute().parent
    if not os.path.isdir(folder):
        raise find_closed_path(path) or StorageError(
            f"storage: no such folder, got {folder}, expected an existing one; make it first"
        )


def find_closed_path(path: Path) -> RightsError | None:
    """Say of a SQLite file whether it or a folder above it is closed to this user."""
    real = Path(os.path.realpath(path))
    for folder in reversed(real.parents):
        if is_allowed(folder, os.F_OK) and not is_allowed(folder, os.X_OK):
            return RightsError(
                f"storage: {path} may not be read, got a folder {folder} that is closed to "
                f"{name_user()}, expected one that may be entered; ask its owner"
            )
    if is_allowed(real, os.F_OK) and not is_allowed(real, os.R_OK):
        return RightsError(
            f"storage: {path} may not be read, got a file that is closed to {name_user()}, "
            "expected one that may be read; ask its owner"
        )
    return None


def is_allowed(path: Path, mode: int) -> bool:
    """Say whether this user may do with a path what `os.access` knows by this mode."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def name_user() -> str:
    """Name the user that this process acts for."""
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:  # a container's user, who has no name
        return f"user {os.geteuid()}"

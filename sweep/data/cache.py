"""The cache directory: who may write in it now.

Several users and machines may share it: what is made there has the group and permissions of the
folder. It trusts whoever may write to that folder, so where everybody may (mode o+w) only this
user's own stores, and the administrator's, are used. A writer holds the lock of its store.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sweep.errors import DataError
from sweep.files.shared import make_shared_folder, open_lock


def get_cache_dir() -> Path:
    """Return the directory under which stores are kept, not necessarily existing.

    Returns:
        `$SWEEP_CACHE` where it is set, else the user's cache directory for `pv-sweep`.
    """
    chosen = os.environ.get("SWEEP_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pv-sweep"))


@contextlib.contextmanager
def lock_store(name: str) -> Iterator[None]:
    """Hold the right to write a store, waiting for whoever holds it now.

    Where the file system knows no locks this does nothing: two writers then both do the work, and
    the second finds the first one's store in place.

    Raises:
        DataError: When the cache directory cannot be written.
    """
    directory = get_cache_dir() / "locks"
    try:
        make_shared_folder(directory)
        handle = open_lock(directory / name)
    except OSError as exc:
        raise DataError(
            f"{directory}: the cache cannot be written, got {exc.strerror or exc}; "
            "set SWEEP_CACHE to a directory that can"
        ) from exc
    with open(handle, "rb"):
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def check_owner(path: Path) -> None:
    """Refuse a store that somebody may have put there whom nobody let in.

    Raises:
        DataError: When it is another user's in a cache where everybody may write.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        owner = path.lstat().st_uid
        if path.parent.stat().st_mode & stat.S_IWOTH and owner not in (0, os.geteuid()):
            raise DataError(
                f"{path}: cached events of somebody else, got a cache that everybody may write to, "
                "expected one that is yours or a group's; set SWEEP_CACHE to another directory"
            )

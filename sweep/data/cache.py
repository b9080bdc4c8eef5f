"""The cache directory: who may write in it now, and what killed writers left there.

Several users and machines may share it: what is made there has the group and permissions of the
folder. It trusts whoever may write to that folder, so where everybody may (mode o+w) only this
user's own stores, and the administrator's, are used. A writer holds the lock of its store and
writes in a directory of its own, whose name tells store and machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sweep.errors import DataError
from sweep.shared import make_shared_folder, open_lock

QUIET_S = 3600.0
"""What a writer of another machine left is removed when nothing there was written for an hour."""


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

    Args:
        name: Name of the store.

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
            for left in (get_cache_dir() / "events").glob(f".{name}-*"):
                shutil.rmtree(left, ignore_errors=True)  # of a writer that was killed
            _remove_leftovers()
        yield


def check_owner(path: Path) -> None:
    """Refuse a store that somebody may have put there whom nobody let in.

    Args:
        path: A store, which need not be there.

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


def make_temporary(name: str) -> Path:
    """Make a directory to write a store in, beside its place.

    Args:
        name: Name of the store.

    Raises:
        OSError: When the cache cannot be written.
    """
    directory = get_cache_dir() / "events"
    make_shared_folder(directory)
    return Path(tempfile.mkdtemp(prefix=f".{name}-{_name_machine()}-", dir=directory))


def _remove_leftovers() -> None:
    """Remove what killed writers of other stores left.

    A writer holds the lock of its store; where that is free the writer is gone. The locks of
    another machine may not be seen on a shared disk, so what one left must have been quiet too.
    """
    import fcntl

    for left in (get_cache_dir() / "events").glob(".*-*-*"):
        name, machine, _ = left.name[1:].rsplit("-", 2)
        try:
            with open(open_lock(get_cache_dir() / "locks" / name, is_new=False), "rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if machine == _name_machine() or _is_quiet(left):
                    shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # its writer lives, or it is another user's


def _name_machine() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _is_quiet(directory: Path) -> bool:
    changes = [path.stat().st_mtime for path in (directory, *directory.iterdir())]
    return time.time() - max(changes) > QUIET_S

"""The cache directory: who may write in it now, and what killed writers left there.

Several users and machines may share it. A writer holds the lock of its store and writes in a
directory of its own, whose name tells store and machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sweep.errors import DataError

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
        directory.mkdir(parents=True, exist_ok=True)
        handle = open(directory / name, "wb")  # noqa: SIM115 (closed by the with below)
    except OSError as exc:
        raise DataError(
            f"{directory}: the cache cannot be written, got {exc.strerror}; "
            "set SWEEP_CACHE to a directory that can"
        ) from exc
    with handle:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
            for left in (get_cache_dir() / "events").glob(f".{name}-*"):
                shutil.rmtree(left, ignore_errors=True)  # of a writer that was killed
            _remove_leftovers()
        yield


def make_temporary(name: str) -> Path:
    """Make a directory to write a store in, beside its place.

    Args:
        name: Name of the store.

    Raises:
        OSError: When the cache cannot be written.
    """
    directory = get_cache_dir() / "events"
    directory.mkdir(parents=True, exist_ok=True)
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
            with open(get_cache_dir() / "locks" / name, "rb") as handle:
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

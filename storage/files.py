"""Files that are whole or not there, and files of folders that others write to.

What is written lies in a hidden folder beside its place until it is whole, flushed to the disk, and
renamed. Its writer holds a lock there, by which the next writer knows what a killed one left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

PREFIX = ".sweep-writes-"
QUIET_S = 3600.0
"""What a writer of another machine left is removed when nothing there was written for an hour."""
LOCK = "lock"


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all.

    Args:
        path: where it shall be; its folder is made where it is missing.
        write: writes the content to the path it is given.

    Raises:
        OSError: when the disk is full or the folder not writable; `path` is then as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_scratch(path.parent) as scratch:
        temporary = scratch / "file"
        write(temporary)
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Write a folder whole or not at all; a folder of that name must not be there.

    Raises:
        FileExistsError: when `path` exists.
        OSError: when the disk is full or the place not writable.
    """
    if path.exists():
        raise FileExistsError(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_scratch(path.parent) as scratch:
        temporary = scratch / "folder"
        temporary.mkdir()
        write(temporary)
        for file in temporary.rglob("*"):
            flush(file)
        temporary.chmod(0o755)
        os.replace(temporary, path)
        flush(path.parent)


@contextlib.contextmanager
def open_scratch(parent: Path) -> Iterator[Path]:
    """Make a folder for what is not whole yet; it is removed in the end.

    What killed writers left in the same place is removed first.

    Raises:
        OSError: when the place is not writable.
    """
    remove_leftovers(parent)
    scratch, lock = _make_scratch(parent)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def _make_scratch(parent: Path) -> tuple[Path, int]:
    """Make a scratch folder, and hold the lock of its file."""
    while True:
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=f"{PREFIX}{_name_machine()}-"))
        with contextlib.suppress(FileNotFoundError):  # taken for a leftover before it was locked
            lock = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            _try_to_lock(lock, is_patient=True)
            if os.fstat(lock).st_nlink:
                return scratch, lock
            os.close(lock)


def remove_leftovers(parent: Path) -> None:
    """Remove what writers left who were killed: they hold the lock of their folder no more.

    The lock of another machine may not be seen on a shared disk, so what one left must have been
    quiet too.
    """
    for left in parent.glob(f"{PREFIX}*-*"):
        is_near = left.name.startswith(f"{PREFIX}{_name_machine()}-")
        try:
            if left.is_symlink() or not (is_near or _is_quiet(left)):
                continue
            with open_plain(left / LOCK) as lock:
                if _try_to_lock(lock.fileno()):
                    shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                left.rmdir()  # only where it is empty: its writer came no further
        except OSError:
            continue  # another user's


def _try_to_lock(descriptor: int, *, is_patient: bool = False) -> bool:
    """Lock a file; False where another does, or the file system knows no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def _name_machine() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _is_quiet(folder: Path) -> bool:
    changes = [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
    return time.time() - max(changes) > QUIET_S


def open_plain(path: Path) -> BinaryIO:
    """Open a file of a folder that others write to, where a name may be a link to anywhere.

    Raises:
        OSError: when it is a link or no plain file, is missing, or may not be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return open(descriptor, "rb")


def flush(path: Path) -> None:
    """Make sure that a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files and folders in places where other users may write: the cache, artifacts, the system's own.

A name there may be a link that somebody else made, or a folder of theirs. So files are opened
without following links and are never emptied, what is shared has the permissions of the folder that
it is in, and what is this user's alone is checked to be that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

from sweep.errors import ConfigError

SHARED_BITS = 0o2775
"""Of a folder's permissions those that what is in it follows: never to be written by everybody."""


def open_lock(path: Path, *, is_new: bool = True) -> int:
    """Open a file to lock, which may be another user's, without changing what is in it.

    Args:
        is_new: Whether to make it where it is missing.

    Returns:
        Its descriptor, to be closed by the caller.

    Raises:
        OSError: When it is a link or no plain file, is missing, or may not be read.
    """
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_RDWR | (os.O_CREAT if is_new else 0), 0o600)
    except PermissionError:  # another user's: reading is enough to lock it
        descriptor = os.open(path, flags | os.O_RDONLY)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        if is_new and state.st_uid == os.geteuid():
            follow_folder(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_log(path: Path, *, is_new: bool) -> int:
    """Open a log to be added to.

    Args:
        is_new: Whether it takes the place of what is there.

    Returns:
        Its descriptor, to be closed by the caller.

    Raises:
        OSError: When it is a link, is missing although not new, or may not be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    if is_new:
        path.unlink(missing_ok=True)
        flags |= os.O_CREAT | os.O_EXCL
    return os.open(path, flags, 0o666)


def make_shared_folder(path: Path) -> None:
    """Make a folder, where it is missing, that those may use who may use the folder it is in.

    Raises:
        OSError: When it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        follow_folder(path)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(path))


def follow_folder(path: Path) -> None:
    """Give a file or folder of this user the group and permissions of the folder it is in.

    Where the group is one that this user is not in, it gets no more rights than others. A file
    system without permissions is left as it is.
    """
    above, state = os.stat(path.parent), os.lstat(path)
    mode = above.st_mode & (SHARED_BITS if stat.S_ISDIR(state.st_mode) else SHARED_BITS & 0o666)
    with contextlib.suppress(PermissionError):
        if state.st_gid != above.st_gid:
            try:
                os.chown(path, -1, above.st_gid, follow_symlinks=False)
            except PermissionError:
                mode &= ~0o2020
        os.chmod(path, mode)


def make_private_folder() -> Path:
    """Make the folder of this user's locks on this machine, where it is missing.

    Returns:
        `sweep` in the user's runtime directory, where there is one, else `sweep-UID` in the
        temporary folder.

    Raises:
        ConfigError: When it is another user's, or others may write in it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_private(Path(runtime)):
        folder = Path(runtime) / "sweep"
    else:
        folder = Path(tempfile.gettempdir()) / f"sweep-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder):
        raise ConfigError(
            f"{folder}: not this user's own, got a link, or a folder that others own or may write "
            "to, expected a private one; remove it, or set TMPDIR to a folder of your own"
        )
    return folder


def _is_private(path: Path) -> bool:
    """Say whether a path is a folder, and no link, of this user, where nobody else may write."""
    try:
        state = os.lstat(path)
    except OSError:
        return False
    is_own = stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid()
    return is_own and not state.st_mode & 0o022

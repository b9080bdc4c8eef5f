"""Files and folders of shared places: never through a link, never emptied, never a stranger's."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path

import pytest
import torch

from rights import as_plain_user
from sweep.errors import ConfigError
from sweep.files.shared import make_private_folder, make_shared_folder, open_lock, open_log
from sweep.worker.device_lock import DeviceLock

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes two users, so root")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the system, without a runtime directory of the user."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path


@pytest.mark.parametrize("kind", ["link", "dead link", "pipe"])
def test_lock_is_a_plain_file(tmp_path: Path, kind: str) -> None:
    """What a link leads to is neither emptied nor made; a pipe is not waited for."""
    precious = tmp_path / "precious"
    if kind == "link":
        precious.write_text("content")
    lock = tmp_path / "lock"
    if kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(precious)
    with pytest.raises(OSError, match=r"link|plain"):
        open_lock(lock)
    assert precious.exists() == (kind == "link")
    assert kind != "link" or precious.read_text() == "content"


def test_log_takes_the_place_of_a_link(tmp_path: Path) -> None:
    """A new log is a file of its own; one that became a link meanwhile is not written to."""
    precious, log = tmp_path / "precious", tmp_path / "worker.log"
    precious.write_text("content")
    log.symlink_to(precious)
    os.close(open_log(log, is_new=True))
    assert not log.is_symlink()
    log.unlink()
    log.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        open_log(log, is_new=False)
    assert precious.read_text() == "content"


@needs_root
def test_two_users_take_the_same_lock(open_folder: Path) -> None:
    """Whoever made the file; of a folder that a group may write to the group may write the lock."""
    open_folder.chmod(0o2775)
    os.chown(open_folder, -1, 65534)
    locks = open_folder / "locks"
    make_shared_folder(locks)
    assert (stat.S_IMODE(locks.stat().st_mode), locks.stat().st_gid) == (0o2775, 65534)
    own = open_lock(locks / "mine")
    assert stat.S_IMODE(os.fstat(own).st_mode) == 0o664
    with as_plain_user():
        other = open_lock(locks / "mine")
        theirs = open_lock(locks / "theirs")
    fcntl.flock(own, fcntl.LOCK_EX)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for descriptor in (own, other, theirs):
        os.close(descriptor)


@needs_root
def test_lock_that_may_only_be_read_is_taken(open_folder: Path) -> None:
    """In a folder where each may only write what is theirs."""
    open_folder.chmod(0o1777)
    own = open_lock(open_folder / "lock")
    os.chmod(open_folder / "lock", 0o644)
    with as_plain_user():
        other = open_lock(open_folder / "lock")
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(BlockingIOError):
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(own)
    os.close(other)


@pytest.mark.parametrize("kind", ["link", "dead link", "open", "file", "other user's"])
def test_private_folder_is_this_users_own(temporary: Path, kind: str) -> None:
    """Somebody who was there first in the temporary folder gets nothing of ours."""
    folder = temporary / f"sweep-{os.geteuid()}"
    if kind == "link":
        (temporary / "elsewhere").mkdir(mode=0o700)
    if kind in ("link", "dead link"):
        folder.symlink_to(temporary / "elsewhere")
    elif kind == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777 if kind == "open" else 0o700)
    if kind == "other user's":
        if os.geteuid() != 0:
            pytest.skip("takes another user, so root")
        os.chown(folder, 65534, 65534)
    lock = DeviceLock(torch.device("cpu"))
    with (
        pytest.raises(ConfigError, match="not this user's own"),
        lock.hold(alone=False, is_given_up=lambda _timeout_s: True),
    ):
        pytest.fail("held")
    assert not (temporary / "elsewhere").exists() or not list((temporary / "elsewhere").iterdir())


def test_private_folder_is_in_the_runtime_directory(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the user has one; one that others may write to is none."""
    runtime = temporary / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert make_private_folder() == runtime / "sweep"
    runtime.chmod(0o777)
    assert make_private_folder() == temporary / f"sweep-{os.geteuid()}"
    assert stat.S_IMODE(make_private_folder().stat().st_mode) == 0o700


def test_device_is_held_again_after_its_folder_went(temporary: Path) -> None:
    """As the system takes a runtime directory away when the user logs out."""
    lock = DeviceLock(torch.device("cpu"))
    for _ in range(2):
        with lock.hold(alone=True, is_given_up=lambda _timeout_s: True) as is_held:
            assert is_held
        for path in sorted(temporary.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

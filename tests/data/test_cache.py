"""The cache takes only what fits, and is cleared of what killed writers left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rights import NOBODY, as_plain_user, make_open_folder
from sweep.data.cache import get_cache_dir, lock_store
from sweep.data.formats import open_events
from sweep.data.store import find_store, write_store
from sweep.data.toy import open_toy_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz

HALF = np.dtype("f2")

WRITE_FOR_EVER = """
import itertools, sys
import numpy as np
from sweep.data.cache import lock_store
from sweep.data.store import find_store, write_store
half = np.dtype("f2")
event = np.zeros((1, 4, 4000), half), np.zeros((1, 4000), half)
def tell(done, of):
    if done == 1: print(flush=True)
with lock_store("other"):
    write_store("other", "endless", 10**4, (half, half), itertools.cycle([event]), progress=tell)
"""


def test_more_than_the_disk_has_room_for_is_refused_before_it_is_written(cache: Path) -> None:
    """The line tells what is free and what is needed; no event is read or made."""

    def fail():
        pytest.fail("an event was asked for")
        yield

    with pytest.raises(DataError, match=r"not enough room for the cached .* expected 400 TB"):
        write_store("big", "", 10**10, (HALF, HALF), fail())
    with pytest.raises(DataError, match="not enough room"):
        open_toy_events(10**10, 1)
    assert list((cache / "events").glob("*")) == []


def test_what_a_killed_conversion_left_is_removed_by_the_next(write_npz: WriteNpz) -> None:
    """Whatever file the next one reads; while the writer lives nothing of it is touched."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER], stdout=subprocess.PIPE, env=os.environ
    )
    with process:
        assert process.stdout is not None and process.stdout.read(1)
        (left,) = (get_cache_dir() / "events").glob(".sweep-writes-*")
        open_events([write_npz("a.npz")])
        assert left.is_dir()
        process.send_signal(signal.SIGKILL)
    open_events([write_npz("b.npz")])
    assert not left.exists()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes two users, so root")
EVENT = np.ones((1, 4, 4000), HALF), np.ones((1, 4000), HALF)


@needs_root
def test_two_users_share_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder with a group's rights both read what the other wrote, whatever their umask."""
    with make_open_folder() as folder:
        os.chown(folder, -1, NOBODY)
        folder.chmod(0o2775)
        monkeypatch.setenv("SWEEP_CACHE", str(folder))
        before = os.umask(0o077)
        try:
            with lock_store("ours"):
                write_store("ours", "", 1, (HALF, HALF), [EVENT])
            with as_plain_user():
                store = find_store("ours")
                assert store is not None
                assert store.x_NCL.shape == (1, 4, 4000)
                with lock_store("theirs"), lock_store("ours"):
                    write_store("theirs", "", 1, (HALF, HALF), [EVENT])
        finally:
            os.umask(before)
        assert find_store("theirs") is not None


@needs_root
def test_store_of_a_stranger_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cache where everybody may write one line says why; the stranger uses it, as theirs."""
    with make_open_folder() as folder:
        monkeypatch.setenv("SWEEP_CACHE", str(folder))
        (folder / "events").mkdir()
        (folder / "events").chmod(0o1777)
        write_store("ours", "", 1, (HALF, HALF), [EVENT])
        with as_plain_user():
            write_store("theirs", "", 1, (HALF, HALF), [EVENT])
            assert find_store("theirs") is not None
            assert find_store("ours") is not None  # the administrator's
        os.chown(folder / "events" / "theirs", 1234, -1)
        with as_plain_user(), pytest.raises(DataError, match="cached events of somebody else"):
            find_store("theirs")


@needs_root
def test_store_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of before stores followed their folder."""
    with make_open_folder() as folder:
        monkeypatch.setenv("SWEEP_CACHE", str(folder))
        write_store("ours", "", 1, (HALF, HALF), [EVENT]).path.chmod(0o700)
        with as_plain_user(), pytest.raises(DataError, match="ask their owner for `chmod"):
            find_store("ours")

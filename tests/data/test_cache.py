"""The cache takes only what fits, and is cleared of what killed writers left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sweep.data.cache import get_cache_dir, lock_store, make_temporary
from sweep.data.formats import open_events
from sweep.data.store import write_store
from sweep.data.toy import open_toy_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz

HALF = np.dtype("f2")

WRITE_FOR_EVER = """
import itertools, sys
import numpy as np
from sweep.data.cache import lock_store
from sweep.data.store import write_store
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
        (left,) = (get_cache_dir() / "events").glob(".other-*")
        open_events([write_npz("a.npz")])
        assert left.is_dir()
        process.send_signal(signal.SIGKILL)
    open_events([write_npz("b.npz")])
    assert not left.exists()


def test_what_another_machine_left_is_removed_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Locks of another machine may not be seen, so its directory must also have been quiet."""
    with monkeypatch.context() as patch, lock_store("other"):
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        left = make_temporary("other")
    (left / "x.npy").touch()
    with lock_store("this"):
        assert left.is_dir()
    long_ago = time.time() - 7200
    for path in (left / "x.npy", left):
        os.utime(path, (long_ago, long_ago))
    with lock_store("this"):
        assert not left.exists()

"""The supervisor on one machine: workers are replaced, but not for ever, and their faults told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from workers import read_rows

import forks
from sweep.errors import SweepError
from sweep.launch.launcher import FreeTrials, Job
from sweep.launch.local import LocalWorkers
from sweep.launch.places import Place
from sweep.storage.attempts import EXPIRED
from sweep.storage.claims import expire_claims
from sweep.storage.sweeps import FAILED, count_trials
from sweep.trial.session import Session

DEADLINE_S = 100.0
PLACE = Place("cpu", None, 1)
SIZE_OF_FIRST = 3
"""Hidden size of the first of four trials that are drawn at random."""


@pytest.fixture
def make_workers(tmp_path: Path) -> Iterator[Callable[..., LocalWorkers]]:
    """Make workers that are ended with the test."""
    made = []

    def make(
        storage: str,
        sweep: str,
        free_trials: FreeTrials = lambda _is_gone, _how: 0,
        place: Place = PLACE,
    ) -> LocalWorkers:
        made.append(LocalWorkers(Job(storage, sweep, tmp_path), [place], free_trials))
        return made[-1]

    yield make
    for workers in made:
        workers.end()


def list_workers(folder: Path) -> list[int]:
    """List the worker processes with this artifact folder that are alive.

    They are known by the log that they write to: a process has its output before it becomes
    `sweep worker`, but its arguments only some time after.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            output = (process / "fd" / "1").readlink()
        except OSError:  # a process that has ended meanwhile, or another user's
            continue
        if output.parent == folder / "logs":
            found.append(int(process.name))
    return found


def kill_again_and_again(workers: LocalWorkers, folder: Path, times: int) -> int:
    """Kill whatever worker is there so many times; gives how often one was killed."""
    for time_ in range(times):
        (child,) = list_workers(folder)
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # the supervisor reaps it
        try:
            workers.watch()
        except SweepError:
            return time_ + 1
    return times


def test_fault_of_a_worker_is_told_with_its_log(
    make_workers: Callable[..., LocalWorkers], make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """The last line it wrote, and where the rest is."""
    make_session(sqlite_url)
    forked = replace(PLACE, forks=forks.begin())
    workers = make_workers(sqlite_url, "no such sweep", place=forked)
    workers.start()
    deadline_s = time.monotonic() + DEADLINE_S
    with pytest.raises(SweepError, match=r"sweep: not in the database, .*\(log of the worker: .*"):
        while workers.watch():
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def test_worker_killed_without_a_trial_is_given_up(
    make_workers: Callable[..., LocalWorkers], sqlite_url: str, tmp_path: Path
) -> None:
    """Four times in a row: something kills it before it can work."""
    workers = make_workers(sqlite_url, "net")
    workers.start()
    assert kill_again_and_again(workers, tmp_path, 10) == 4


def test_worker_killed_with_a_trial_in_hand_is_replaced(
    make_workers: Callable[..., LocalWorkers], sqlite_url: str, tmp_path: Path
) -> None:
    """As often as it takes: the trial is given up after its lost attempts, not the worker."""
    workers = make_workers(sqlite_url, "net", lambda _is_gone, _how: 1)
    workers.start()
    assert kill_again_and_again(workers, tmp_path, 6) == 6
    assert workers.watch() == 1


def test_network_that_ends_its_process_fails_alone(
    make_workers: Callable[..., LocalWorkers],
    make_session: Callable[..., Session],
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of four that are trained at once in one process: the others come to their end."""
    session = make_session(sqlite_url, "EndingNet", trials=4, sampler="random", pruner="none")
    (tmp_path / "end").write_text(str(SIZE_OF_FIRST))
    monkeypatch.setenv("NET_END", str(tmp_path / "end"))
    sweep_id, at_once = session.sweep.id, replace(PLACE, num_workers=4)

    def free(is_gone: Callable[[str], bool], how: str | None) -> int:
        return expire_claims(session.engine, sweep_id, is_gone, how or EXPIRED)

    workers = make_workers(sqlite_url, session.sweep.name, free, at_once)
    workers.start()
    deadline_s = time.monotonic() + DEADLINE_S
    while workers.watch():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    failed = {row.slot: row.reason for row in read_rows(session) if row.state == FAILED}
    ending = [row.slot for row in read_rows(session) if row.params["hidden_size"] == SIZE_OF_FIRST]
    assert 0 < len(ending) < 4
    assert list(failed) == ending
    assert all("ended its process (exit code 7) 2 times" in str(said) for said in failed.values())
    assert count_trials(session.engine, sweep_id).complete == 4 - len(ending)


def test_password_is_not_among_the_arguments() -> None:
    """All users of a machine see them; the environment is its owner's alone."""
    job = Job("postgresql://me:secret@host/db", "cnn", Path("/artifacts"))
    assert "secret" not in " ".join(job.list_arguments(PLACE))
    assert job.describe_environment()["SWEEP_STORAGE"] == job.storage

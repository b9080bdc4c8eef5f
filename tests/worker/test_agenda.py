"""What workers do next: any open sweep in fair turn, and what they leave to others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.errors import ConflictError
from sweep.machine.signals import Signals
from sweep.storage import studies
from sweep.storage.epochs import read_trials
from sweep.storage.sweeps import count_trials, create_sweep, request_stop
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

MakeSession = Callable[..., Session]


class Diary:
    """What a worker said, and what happens when it says a certain thing."""

    def __init__(self, word: str = "", event: Callable[[], object] = bool) -> None:
        self.lines: list[str] = []
        self._word = word
        self._event = event

    def hear(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)
        if self._word and self._word in line:
            self._event()


def work(session: Session, name: str | None, diary: Diary) -> int:
    """Let a worker of this process work; gives how many trials it finished."""
    url = session.engine.url.render_as_string(hide_password=False)
    options = WorkerOptions(url, name, session.artifacts, "cpu", 1)
    return run_worker(options, Signals(), diary.hear)


def list_order(*sessions: Session) -> list[str]:
    """List the sweeps in the order in which their trials began."""
    rows = [
        (row.started_s or 0.0, session.sweep.name)
        for session in sessions
        for row in read_trials(session.engine, session.sweep.id)
    ]
    return [name for _started_s, name in sorted(rows)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Draw no pictures, and share the device with no worker outside of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_worker_takes_trials_of_all_sweeps_in_turn(
    make_session: MakeSession, database_url: str
) -> None:
    """One of each, as long as both have some."""
    first = make_session(database_url, name="first", trials=3, epochs=1)
    second = make_session(database_url, name="second", trials=2, epochs=1)
    assert work(first, None, Diary()) == 5
    assert list_order(first, second) == ["first", "second", "first", "second", "first"]


def test_worker_of_one_sweep_leaves_the_others(make_session: MakeSession, sqlite_url: str) -> None:
    """As it was told."""
    first = make_session(sqlite_url, name="first", epochs=1)
    second = make_session(sqlite_url, name="second", epochs=1)
    assert work(first, "second", Diary()) == 2
    assert list_order(first, second) == ["second", "second"]


def test_sweep_that_cannot_be_worked_on_here_is_left_to_others(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """Its files may be on another machine: it is said once, and the rest goes on."""
    here = make_session(sqlite_url, name="here", epochs=1)
    config = here.config.model_copy(update={"model_digest": "another program"})
    create_sweep(here.engine, "elsewhere", config.to_json(), {}, 2)
    diary = Diary()
    assert work(here, None, diary) == 2
    told = [line for line in diary.lines if line.startswith("elsewhere: not worked on here: model")]
    assert len(told) == 1
    with pytest.raises(ConflictError, match="another program than the sweep began with"):
        work(here, "elsewhere", Diary())


def test_failing_sweep_does_not_stop_the_others(make_session: MakeSession, sqlite_url: str) -> None:
    """Its reason is said, and its other trials are spared."""
    broken = make_session(sqlite_url, "BrokenNet", name="broken", trials=5)
    sound = make_session(sqlite_url, name="sound", trials=3, epochs=1)
    diary = Diary()
    assert work(sound, None, diary) == 6
    assert "broken: stopped: 3 of 3 finished trials failed" in diary.lines
    assert count_trials(broken.engine, broken.sweep.id).waiting == 2
    assert count_trials(sound.engine, sound.sweep.id).complete == 3


def test_worker_that_stays_takes_what_comes(make_session: MakeSession, sqlite_url: str) -> None:
    """It waits where nothing is left, and leaves when it is asked to."""
    first = make_session(sqlite_url, name="first", trials=1, epochs=1)
    waiting = make_session(sqlite_url, name="second", trials=1, epochs=1)
    request_stop(waiting.engine, waiting.sweep.id)
    signals = Signals()
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        request_stop(waiting.engine, waiting.sweep.id, stop=False)
        if len(lines) == 2:
            signals.ask()

    options = WorkerOptions(sqlite_url, None, first.artifacts, "cpu", 1, is_forever=True)
    assert run_worker(options, signals, hear) == 2
    assert list_order(first, waiting) == ["first", "second"]


def test_full_memory_is_tried_again_alone(
    make_session: MakeSession,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It says nothing about the configuration where others were on the device."""
    room = tmp_path / "room"
    monkeypatch.setenv("NET_ROOM", str(room))
    session = make_session(database_url, "HungryNet", trials=1)
    diary = Diary("given back", room.touch)
    assert work(session, session.sweep.name, diary) == 1
    assert diary.lines == ["slot 0: given back with its checkpoint", "slot 0: complete"]
    (row,) = read_trials(session.engine, session.sweep.id)
    assert (row.attempts, row.outcome) == (2, "complete")


def test_full_memory_when_alone_fails_the_trial(
    make_session: MakeSession, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By its name, with the traceback, and never as a value that the sampler would learn from."""
    monkeypatch.setenv("NET_ROOM", str(tmp_path / "room"))
    session = make_session(sqlite_url, "HungryNet", trials=1)
    assert work(session, session.sweep.name, Diary()) == 1
    (row,) = read_trials(session.engine, session.sweep.id)
    assert (row.attempts, row.state, row.outcome) == (2, "failed", "out_of_memory")
    assert "tried to allocate 80.00 GiB" in str(row.reason)
    study = studies.load_study(session.study_storage, session.sweep.name)
    (told,) = study.trials
    assert (told.state.name, told.value, told.intermediate_values) == ("FAIL", None, {})


def test_worker_leaves_when_its_time_is_up(session: Session, sqlite_url: str) -> None:
    """As a batch system gives it; what it began goes on elsewhere."""
    options = WorkerOptions(sqlite_url, None, session.artifacts, "cpu", 1, is_forever=True)
    assert run_worker(options, Signals(timeout_s=0.001), Diary().hear) == 0
    assert run_worker(replace(options, is_forever=False), Signals(), Diary().hear) == 2

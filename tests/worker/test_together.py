"""Several workers of one process: each trains what it would have trained alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from workers import read_curves, read_rows, work

from sweep.machine.signals import Signals
from sweep.machine.turns import others_turn
from sweep.storage.sweeps import count_trials
from sweep.training import forward, trainer
from sweep.training.replay import Recording
from sweep.trial.session import Session
from sweep.worker.together import run_together

MakeSession = Callable[..., Session]
TIMEOUT_S = 60.0


def test_trials_trained_at_once_are_those_trained_alone(
    make_pausing: MakeSession, whole: Session, database_url: str
) -> None:
    """To the last bit of each epoch, dropout and all, whatever is trained in between."""
    session = make_pausing(database_url, pruner="none")
    num_finished, said = work(session, at_once=3)
    assert num_finished == len(said) == 4
    assert read_curves(session) == read_curves(whole)
    assert len({row.worker for row in read_rows(session)}) > 1


class Pacing:
    """What waits for a device after each batch, as for a GPU, and cannot record."""

    device = torch.device("cpu")

    def open_lane(self) -> AbstractContextManager[None]:
        return nullcontext()

    def observe(self, action: Callable[[], None]) -> str | None:
        action()
        return "it is a stand-in"

    def record(self, _action: Callable[[], None]) -> Recording:
        raise NotImplementedError

    def keep_pace(self) -> None:
        with others_turn():
            pass

    catch_up = keep_pace


def test_trials_that_wait_for_a_device_within_an_epoch_are_those_trained_alone(
    make_pausing: MakeSession, whole: Session, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch by batch of all four in turn, in training and validation."""
    for module in (trainer, forward):
        monkeypatch.setattr(module, "open_recorder", lambda _device: Pacing())
    session = make_pausing(sqlite_url, pruner="none")
    assert work(session, at_once=4)[0] == 4
    assert read_curves(session) == read_curves(whole)


def test_trials_that_pause_are_trained_at_once(make_pausing: MakeSession, sqlite_url: str) -> None:
    """The budget stays exact, and each epoch is what it is alone."""
    session = make_pausing(sqlite_url)
    work(session, at_once=4)
    counts = count_trials(session.engine, session.sweep.id)
    assert (counts.finished, counts.failed, counts.unfinished) == (4, 0, 0)


def test_all_leave_when_they_are_asked_to(
    make_pausing: MakeSession, whole: Session, sqlite_url: str
) -> None:
    """With every trial given back, to go on where it was."""
    session = make_pausing(sqlite_url, pruner="none")

    class Patience(Signals):
        """Asks to leave as soon as three trials have begun."""

        def is_gentle(self) -> bool:
            return len(read_rows(session)) >= 3

    work(session, Patience(), at_once=3)
    counts = count_trials(session.engine, session.sweep.id)
    assert (counts.running, counts.failed) == (0, 0)
    work(session, at_once=2)
    assert read_curves(session) == read_curves(whole)


def test_fault_of_one_has_all_leave() -> None:
    """It is raised where they were started, once they have left."""
    signals, have_left = Signals(), list[bool]()

    def fail() -> None:
        raise OSError("the disk is full")

    def wait() -> None:
        assert signals.wait(TIMEOUT_S)
        have_left.append(True)

    with pytest.raises(OSError, match="the disk is full"):
        run_together([wait, fail, wait], torch.device("cpu"), signals)
    assert have_left == [True, True]

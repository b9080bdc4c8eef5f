"""Trials that pause at rungs: the budget stays exact, and a promoted trial is a whole one."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState
from safetensors.torch import load_file
from workers import read_curves, read_rows, work, work_until

import sweep.trial.attempt
import sweep.trial.ending
import sweep.worker.agenda
from sweep.results.glance import tell_progress
from sweep.results.status import read_status
from sweep.storage import studies
from sweep.storage.artifacts import TrialFolder
from sweep.storage.claims import release_claim
from sweep.storage.flatness import set_stop_when_flat
from sweep.storage.sweeps import (
    TrialCounts,
    change_budget,
    count_trials,
    find_sweep,
    request_stop,
)
from sweep.storage.tables import trials
from sweep.trial.session import Session
from sweep.worker.agenda import Agenda

MakeSession = Callable[..., Session]
NUM_TRIALS, NUM_EPOCHS = 4, 4


class KilledError(BaseException):
    """Ends a worker where it is, as a kill would: nothing is given back or told."""


@pytest.fixture(scope="module")
def undisturbed(make_pausing: MakeSession) -> Session:
    """The sweep whose trials pause, trained by one worker that nothing disturbed."""
    session = make_pausing()
    work(session)
    return session


def work_until_paused(session: Session, num_paused: int = 1) -> None:
    """Let a worker work until so many trials are paused."""
    work_until(session, lambda: count_trials(session.engine, session.sweep.id).paused >= num_paused)


def open_agenda(session: Session) -> Agenda:
    """Open the agenda of another worker, on the same disk."""
    storage, device = session.study_storage, session.device
    return Agenda(session.engine, storage, None, device, session.artifacts, lambda _text: None)


def run_out(session: Session) -> None:
    """Let the leases of killed workers run out now."""
    late = trials.update().where(trials.c.state == "running").values(lease_until_s=1.0)
    with session.engine.begin() as connection:
        connection.execute(late)


def describe(session: Session) -> list[object]:
    """Give all that a sweep has come to, without what is different each time."""
    rows = [
        (row.slot, row.number, row.state, row.outcome, row.reason) for row in read_rows(session)
    ]
    study = studies.load_study(session.study_storage, session.sweep.name)
    told = [(trial.state, trial.params, trial.intermediate_values) for trial in study.trials]
    return [rows, told, read_curves(session)]


def list_checkpoints(session: Session) -> list[int]:
    """List the slots of the trials that have a checkpoint."""
    folders = (TrialFolder(session.artifacts, session.sweep, slot) for slot in range(NUM_TRIALS))
    return [slot for slot, folder in enumerate(folders) if folder.checkpoint.exists()]


def list_files(session: Session) -> list[str]:
    """List what a sweep has on the disk, by slot and name."""
    found = session.artifacts.glob("trials/*/*/*")
    return sorted(f"{path.parent.name}/{path.name}" for path in found)


def test_one_worker_ends_the_sweep(make_pausing: MakeSession, database_url: str) -> None:
    """Each trial begins, the best of each rung go on, and the others are ended with an account."""
    session = make_pausing(database_url)
    _num_finished, said = work(session)
    rows = read_rows(session)
    counts = count_trials(session.engine, session.sweep.id)
    assert counts == TrialCounts(0, 0, counts.complete, NUM_TRIALS - counts.complete, 0)
    assert 1 <= counts.complete < NUM_TRIALS
    assert "slot 0: paused after epoch 1" in said
    for row, curve in zip(rows, read_curves(session), strict=True):
        assert len(curve) == (NUM_EPOCHS if row.state == "complete" else len(curve))
        if row.state == "pruned":
            assert row.reason is not None
            assert f"after epoch {len(curve)}, of which at most" in row.reason
    assert list_checkpoints(session) == []
    study = studies.load_study(session.study_storage, session.sweep.name)
    assert [trial.state for trial in study.trials] == [
        TrialState.COMPLETE if row.state == "complete" else TrialState.PRUNED for row in rows
    ]


def test_promoted_trial_is_that_without_a_pause(undisturbed: Session, whole: Session) -> None:
    """Every curve is the beginning of the same trial's unpaused one; so are the best weights."""
    for row, curve, reference in zip(
        read_rows(undisturbed), read_curves(undisturbed), read_curves(whole), strict=True
    ):
        assert curve == reference[: len(curve)]
        if row.state == "complete":
            folders = (TrialFolder(s.artifacts, s.sweep, row.slot) for s in (undisturbed, whole))
            first, second = (load_file(folder.weights) for folder in folders)
            assert first.keys() == second.keys()
            assert all(first[name].equal(second[name]) for name in first)


def test_paused_trial_waits_in_the_study_with_what_it_has(
    make_pausing: MakeSession, sqlite_url: str
) -> None:
    """The dashboard does not show it as running; parameters and values are there."""
    session = make_pausing(sqlite_url)
    work_until_paused(session)
    (told,) = studies.load_study(session.study_storage, session.sweep.name).trials
    assert told.state == TrialState.WAITING
    assert (len(told.params) > 0, list(told.intermediate_values)) == (True, [1])
    assert list_checkpoints(session) == [0]
    status = read_status(session.engine, session.sweep)
    assert status.describe()["paused"] == 1


def die_at(monkeypatch: pytest.MonkeyPatch, module: Any, step: str, *calls: int) -> None:
    """Have a worker killed where it takes a step for these times, counted from 1."""
    real, count = getattr(module, step), itertools.count(1)

    def die(*arguments: Any, **options: Any) -> Any:
        if next(count) in calls:
            raise KilledError
        return real(*arguments, **options)

    monkeypatch.setattr(module, step, die)


def test_kills_around_pauses_change_nothing(
    make_pausing: MakeSession,
    undisturbed: Session,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Right at a pause, in the promoted part, or at the end: the sweep comes to the same."""
    session = make_pausing(sqlite_url)
    die_at(monkeypatch, studies, "suspend_trial", 1, 4)
    die_at(monkeypatch, sweep.trial.ending, "pause_claim", 1, 4)
    die_at(monkeypatch, sweep.trial.attempt, "record_epochs", 1, 5, 9)
    die_at(monkeypatch, sweep.trial.ending, "finish_claim", 1, 3)
    die_at(monkeypatch, sweep.trial.ending, "drop_unneeded", 1)
    for _ in range(10):
        with pytest.raises(KilledError):
            work(session)
        run_out(session)
    work(session)
    assert describe(session) == describe(undisturbed)
    assert list_files(session) == list_files(undisturbed)


def test_litter_of_a_killed_worker_goes_with_the_sweep(
    make_pausing: MakeSession,
    undisturbed: Session,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was killed right after it had spent the last slot; another finds nothing left to do."""
    session = make_pausing(sqlite_url)
    other = open_agenda(session)
    claimed = other.claim("other", 3600.0, lambda: False)
    assert claimed is not None
    release_claim(session.engine, claimed[1])
    die_at(monkeypatch, sweep.trial.ending, "drop_unneeded", NUM_TRIALS)
    with pytest.raises(KilledError):
        work(session)
    assert count_trials(session.engine, session.sweep.id).unfinished == 0
    assert list_files(session) != list_files(undisturbed)
    assert other.claim("other", 3600.0, lambda: False) is None
    assert other.is_done
    assert list_files(session) == list_files(undisturbed)


def test_trial_without_its_checkpoint_begins_anew(
    make_pausing: MakeSession,
    undisturbed: Session,
    sqlite_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On a machine without the artifacts it is said, and comes to the same numbers."""
    session = make_pausing(sqlite_url)
    work_until_paused(session, 2)
    shutil.rmtree(session.artifacts / "trials")
    with caplog.at_level(logging.WARNING):
        work(session)
    assert "begins anew" in caplog.text
    assert describe(session) == describe(undisturbed)


def test_stopped_sweep_goes_on_where_it_paused(
    make_pausing: MakeSession, undisturbed: Session, sqlite_url: str
) -> None:
    """A stop leaves paused trials as they are, and says that they stand still."""
    session = make_pausing(sqlite_url)
    work_until_paused(session, 2)
    request_stop(session.engine, session.sweep.id)
    assert work(session) == (0, [])
    counts = count_trials(session.engine, session.sweep.id)
    assert (counts.paused, counts.running) == (2, 0)
    stopped = replace(session.sweep, stop_requested=True)
    assert "sweep stop" in str(read_status(session.engine, stopped).stopped)
    request_stop(session.engine, session.sweep.id, stop=False)
    work(session)
    assert describe(session) == describe(undisturbed)


def test_worker_keeps_what_it_knows_of_the_rungs(
    make_pausing: MakeSession, sqlite_url: str
) -> None:
    """From one claim to the next, as long as the sweep is as it was."""
    made = make_pausing(sqlite_url)
    agenda = open_agenda(made)
    first, second = (agenda.claim("a", 3600.0, lambda: False) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first[0].promotion is second[0].promotion is not None


def test_larger_budget_leaves_what_was_ended(make_pausing: MakeSession, sqlite_url: str) -> None:
    """New trials join those that are there; an account that was given stands."""
    session = make_pausing(sqlite_url)
    work(session)
    before = describe(session)
    change_budget(session.engine, session.sweep.id, NUM_TRIALS + 2)
    work(session)
    after = describe(session)
    for old, new in zip(before, after, strict=True):
        assert isinstance(old, list)
        assert isinstance(new, list)
        assert new[:NUM_TRIALS] == old
    counts = count_trials(session.engine, session.sweep.id)
    assert (counts.finished, counts.unfinished) == (NUM_TRIALS + 2, 0)


def test_flat_search_ends_with_an_account_of_every_trial(
    make_pausing: MakeSession, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that pause when no further one pays are promoted or ended, and nothing else begins."""
    session = make_pausing(sqlite_url)
    set_stop_when_flat(session.engine, session.sweep, stop=True)
    asked: list[int] = []

    def find(_session: Session) -> str | None:
        asked.append(count_trials(session.engine, session.sweep.id).waiting)
        return "no gain" if asked[-1] == 2 else None

    monkeypatch.setattr(sweep.worker.agenda, "find_flatness", find)
    _num_finished, said = work(session)
    assert asked == [4, 3, 2]
    assert "flat: no gain; 2 trials are not begun" in said
    status = read_status(session.engine, find_sweep(session.engine, session.sweep.name))
    assert (status.counts.complete, status.counts.pruned, status.counts.unfinished) == (1, 1, 0)
    assert status.to_json()["flat"] == {"reason": "no gain", "budget": 4, "not_begun": 2}
    assert any(line.startswith("flat: no gain; 2 of 4") for line in tell_progress(status))

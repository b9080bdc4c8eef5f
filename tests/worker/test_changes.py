"""A sweep that is changed while workers train it: what has begun stays, what comes is of now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from workers import read_curves, read_rows, work, work_until

from sweep.config import SweepConfig
from sweep.machine.signals import Signals
from sweep.plan.changes import AskedChange, change_sweep
from sweep.plan.versions import give_version
from sweep.storage import studies
from sweep.storage.points import add_points
from sweep.storage.sweeps import Sweep, change_budget, count_trials, find_sweep
from sweep.storage.tables import trials
from sweep.trial.session import Session
from sweep.worker.options import WorkerOptions
from sweep.worker.worker import run_worker

MakeSession = Callable[..., Session]
NUM_TRIALS = 4


def change(session: Session, *dimensions: str, **asked: Any) -> Sweep:
    """Change the sweep of a session."""
    found = find_sweep(session.engine, session.sweep.name)
    return change_sweep(session.engine, found, AskedChange(dimensions, **asked), "anna")


def test_running_worker_takes_a_change_up_with_its_next_trial(
    make_session: MakeSession, database_url: str
) -> None:
    """Other choices, a dimension more and one less; the budget stays exact, every trial says of
    which version it is, and a point that was added before is tried in the space of then.
    """
    session = make_session(
        database_url, trials=4, epochs=1, sampler="mixed", fixed=("batch_size=12",)
    )
    assert add_points(session.engine, session.sweep, [{"hidden_size": 7}], 2) == [2]
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            change(session, "hidden_size=2,9", "weight_decay=0:0.1", fixed=("lr=0.05",), trials=6)

    options = WorkerOptions(database_url, None, session.artifacts, num_threads=1)
    assert run_worker(options, Signals(), hear) == 6
    (told,) = (line for line in said if "version 2 from the next trial on: hidden_size" in line)
    assert told.startswith("net: ")
    rows = read_rows(session)
    assert [row.version for row in rows] == [1, 1, 1, 2, 2, 2]
    assert rows[2].params["hidden_size"] == 7
    later = [row.params for row in rows[3:]]
    assert {params["hidden_size"] for params in later} <= {2, 9}
    assert {params["lr"] for params in later} == {0.05}
    assert all("weight_decay" in params for params in later)
    assert count_trials(session.engine, session.sweep.id).complete == 6
    study = studies.load_study(session.study_storage, session.sweep.name)
    assert [trial.params["hidden_size"] for trial in study.trials] == [
        row.params["hidden_size"] for row in rows
    ]


def test_paused_trials_go_on_as_they_began_where_the_pruner_no_longer_pauses(
    make_pausing: MakeSession, sqlite_url: str, whole: Session
) -> None:
    """Each to its end, in the space that it was begun in, bit by bit as undisturbed."""
    session = make_pausing(sqlite_url)
    work_until(session, lambda: count_trials(session.engine, session.sweep.id).paused >= 2)
    num_begun = len(read_rows(session))
    change(session, "hidden_size=9,10", "lr=1e-3,2e-3", pruner="none")
    work(session)
    rows = read_rows(session)
    assert [row.version for row in rows] == [1] * num_begun + [2] * (NUM_TRIALS - num_begun)
    assert [row.state for row in rows] == ["complete"] * NUM_TRIALS
    assert read_curves(session)[:num_begun] == read_curves(whole)[:num_begun]
    assert all(row.params["hidden_size"] in (9, 10) for row in rows[num_begun:])


def test_killed_trial_goes_on_in_the_version_that_it_was_begun_with(
    make_pausing: MakeSession,
    sqlite_url: str,
    whole: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also before it had an epoch, and where later ones pause: it does not."""

    class KilledError(BaseException):
        """Ends a worker where it is."""

    def kill(*_given: object) -> None:
        raise KilledError

    session = make_pausing(sqlite_url, pruner="none")
    with monkeypatch.context() as patched:
        patched.setattr("sweep.trial.run.Attempt.reach_end", kill)
        with pytest.raises(KilledError):
            work(session)
    change(session, "hidden_size=1", pruner="rungs")
    late = trials.update().where(trials.c.state == "running").values(lease_until_s=1.0)
    with session.engine.begin() as connection:
        connection.execute(late)
    work(session)
    rows = read_rows(session)
    assert [row.version for row in rows] == [1, 2, 2, 2]
    assert read_curves(session)[0] == read_curves(whole)[0]
    assert [row.params["hidden_size"] for row in rows[1:]] == [1, 1, 1]
    assert [row.attempts for row in rows][:2] == [2, 2]
    assert {row.state for row in rows[1:]} == {"complete", "pruned"}


def test_changes_are_counted_one_by_one(make_pausing: MakeSession, database_url: str) -> None:
    """Of two who looked at the same version neither is lost, nor what is no part of a version."""
    session = make_pausing(database_url)
    stale = find_sweep(session.engine, session.sweep.name)
    change_sweep(session.engine, stale, AskedChange(("lr=1e-3:1e-2:log",), why="too hot"), "anna")
    change_budget(session.engine, stale.id, 6)
    now = change_sweep(session.engine, stale, AskedChange(("hidden_size=3",), priority=2), "ben")
    assert (now.version, now.budget, now.priority) == (3, 6, 2)
    config = SweepConfig.from_json(now.config)
    assert [(one.said[0].split()[0], one.why) for one in config.changes] == [
        ("lr", "too hot"),
        ("hidden_size", None),
    ]
    assert give_version(config, 1).space == session.config.space
    assert give_version(config, 2).space["hidden_size"] == session.config.space["hidden_size"]
    assert give_version(config, 2).space["lr"] == config.space["lr"]


def test_architecture_of_several_changes_alone_or_with_the_others(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """As `sweep run` has it; each still knows its own trials."""
    session = make_session(
        sqlite_url, "MyNet,FaintNet", trials=7, epochs=1, sampler="mixed", fixed=("batch_size=12",)
    )
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            change(session, "MyNet.hidden_size=9,10", "lr=1e-3:1e-2:log")

    options = WorkerOptions(sqlite_url, "net", session.artifacts, num_threads=1)
    assert run_worker(options, Signals(), hear) == 7
    later = [row.params for row in read_rows(session) if row.version == 2]
    assert len(later) == 4
    assert all(1e-3 <= params["lr"] <= 1e-2 for params in later)
    sizes = {(params["model"], params["hidden_size"] > 8) for params in later}
    assert sizes <= {("MyNet", True), ("FaintNet", False)}
    config = SweepConfig.from_json(find_sweep(session.engine, "net").config)
    (made,) = config.changes
    assert {line.split()[0] for line in made.said} == {
        "MyNet.hidden_size",
        "MyNet.lr",
        "FaintNet.lr",
    }
    assert give_version(config, 1).architectures == session.config.architectures

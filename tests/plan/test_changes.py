"""`sweep change`: what may be another while a sweep lives, what may not, and who is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from sweep.api.database import open as open_sweeps
from sweep.cli.change import FROZEN
from sweep.cli.request_options import SearchOptions
from sweep.config import CandidateConfig, SweepConfig
from sweep.dashboard.publication import publish, write_note
from sweep.errors import ConfigError, ConflictError
from sweep.machine.signals import Signals
from sweep.metrics.table import FRONT
from sweep.plan.changes import AskedChange, plan_change
from sweep.plan.confirmation_plan import add_pairs, plan_confirmation
from sweep.plan.plan import plan_sweep
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.plan.space import read_space
from sweep.plan.versions import give_version, list_outdated
from sweep.report.provenance import list_commands
from sweep.report.trial_table import list_varied
from sweep.report.tuning import build_tuning_part
from sweep.results.candidates import list_candidates
from sweep.results.edits import begin_version
from sweep.results.importance import list_comparable
from sweep.results.status import read_status
from sweep.search.suggestion import find_misfits, list_ends
from sweep.storage import studies
from sweep.storage.epochs import read_curves
from sweep.storage.flatness import end_flat, set_stop_when_flat
from sweep.storage.sweeps import find_sweep
from sweep.trial.session import Session
from sweep.worker.options import WorkerOptions
from sweep.worker.worker import run_worker


@pytest.fixture(scope="module")
def config(events_file: Path) -> SweepConfig:
    """The config of a small sweep."""
    request = Request(model="mlp", data=(str(events_file),), events=24, val_events=12, epochs=2)
    return plan_sweep(request, CPU).config


@pytest.fixture(scope="module")
def changed(
    make_session: Callable[..., Session], tmp_path_factory: pytest.TempPathFactory
) -> Session:
    """A finished sweep of three trials that was changed after the first and after the second."""
    url = f"sqlite:///{tmp_path_factory.mktemp('changed')}/sweep.db"
    session = make_session(url, trials=3, epochs=1, sampler="random")
    asked = [
        AskedChange(("hidden_size=9,10",), why="wider", priority=1),
        AskedChange(("weight_decay=0.01:0.1",), ("hidden_size=4",), pruner="median"),
    ]

    def change_next(line: str) -> None:
        if asked and line.startswith("slot"):
            found = find_sweep(session.engine, "net")
            begin_version(session.engine, found, asked.pop(0), "anna")

    options = WorkerOptions(url, None, session.artifacts, num_threads=1)
    run_worker(options, Signals(), change_next)
    return replace(session, sweep=find_sweep(session.engine, "net"))


def test_versions_come_back_from_the_database(config: SweepConfig) -> None:
    """Each with its space and its search, the last one as it is."""
    second = plan_change(config, AskedChange(("lr=1e-3:1e-2:log",), pruner="none"), [])
    third = plan_change(second, AskedChange(fixed=("beta1=0.9",), sampler="random", why="so"), [])
    kept = SweepConfig.from_json(json.loads(json.dumps(third.to_json())))
    assert [change.said for change in kept.changes] == [
        (f"lr from {read_space(config)['lr']} to 0.001:0.01:log", "pruner from rungs to none"),
        (f"beta1 from {read_space(config)['beta1']} to 0.9", "sampler from mixed to random"),
    ]
    versions = [give_version(kept, number) for number in (1, 2, 3)]
    for version, was in zip(versions, (config, second, third), strict=True):
        assert (version.space, version.search) == (was.space, was.search)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (AskedChange(), "nothing would be another"),
        (AskedChange(pruner="rungs"), "nothing would be another"),
        (AskedChange(("lr=1e-3:1e4",)), "space.lr: impossible, got 10000"),
        (AskedChange(("width=3",)), "--set width: no such hyperparameter"),
        (AskedChange(fixed=("lr=1e-3:1",)), "--fix lr: not one value"),
        (AskedChange(sampler="grid"), "sampler: unknown"),
        (AskedChange(pruner="median"), "pruner: compares one number, got median"),
    ],
)
def test_what_cannot_be_is_refused(config: SweepConfig, asked: AskedChange, reason: str) -> None:
    """In the words of `sweep run`."""
    search = config.search.model_copy(update={"objective": FRONT})
    with pytest.raises(ConfigError, match=reason):
        plan_change(config.model_copy(update={"search": search}), asked, [])


def test_sweep_goes_on_with_the_options_of_any_of_its_versions(config: SweepConfig) -> None:
    """What differs is told against the version of now; what no version had is refused so."""
    first, now = Request(pruner="rungs"), Request(dimensions=("lr=1e-3:1e-2:log",), pruner="none")
    changed = plan_change(config, AskedChange(now.dimensions, pruner="none"), [])
    again = plan_sweep(now, CPU, changed)
    assert list_outdated(changed, again.config) == []
    again = plan_sweep(first, CPU, changed)
    assert list_outdated(changed, again.config) == [
        'search.pruner.name: stored "none", asked "rungs"',
        "search.pruner.reduction_factor: stored nothing, asked 2",
    ]
    space = f"lr={read_space(config)['lr']}"
    again = plan_sweep(Request(dimensions=(space,)), CPU, changed)
    assert [line.split(":")[0] for line in list_outdated(changed, again.config)] == ["space.lr"]
    with pytest.raises(ConflictError, match=r'space.lr: stored "0.001:0.01:log", asked "0.1"'):
        plan_sweep(Request(fixed=("lr=0.1",)), CPU, changed)


def test_same_words_begin_no_trial_of_a_search_that_was_found_flat(
    events_file: Path, sqlite_url: str
) -> None:
    """As where its budget is spent; others do."""
    request = Request(model="mlp", data=(str(events_file),), events=24, val_events=12, epochs=2)
    engine, made, _notes = prepare_sweep(request, sqlite_url, None, 5, CPU)
    set_stop_when_flat(engine, made, stop=True)
    assert end_flat(engine, made.id, "no gain", first_slot=2) == 3
    for trials, stops_when_flat, budget in ((5, True, 2), (None, None, 2), (5, None, 5)):
        _engine, found, _notes = prepare_sweep(
            request, sqlite_url, None, trials, CPU, stops_when_flat=stops_when_flat
        )
        assert found.budget == budget
    engine.dispose()


def test_frozen_options_are_refused_with_the_reason(changed: Session, call: Any) -> None:
    """And what nobody knows as wrong usage."""
    where = ("--storage", changed.engine.url.render_as_string())
    answer = call("change", "net", "--epochs", "9", *where)
    assert "--epochs: frozen while a sweep lives, since trials trained otherwise" in answer.fault
    assert call("change", "--objective=loss", "net", *where).code == 1
    assert call("change", "net", "--width", "9", *where).code == 2
    answer = call("change", "net", "--trials", "2", *where)
    assert "trials: got 2, expected at least 3, since 3 have begun" in answer.err
    assert find_sweep(changed.engine, "net").version == 3


def test_each_option_of_a_search_can_change_or_is_frozen() -> None:
    """A new one is thought of, too."""
    own = {"dimensions", "fixed", "sampler", "pruner"}
    asked = {f"--{one.name.replace('_', '-')}" for one in fields(SearchOptions)}
    frozen = {option for options in FROZEN.values() for option in options}
    assert asked - frozen == {f"--{name}" for name in own}


def test_versions_are_told_wherever_a_sweep_is(changed: Session, call: Any) -> None:
    """From which trial on, what, why, who and when: status, best, tables, report, note."""
    where = ("--storage", changed.engine.url.render_as_string())
    told = json.loads(call("status", "--json", *where).out)
    assert (told["priority"], told["version"]) == (1, 3)
    assert [(one["version"], one["from_trial"], one["why"]) for one in told["changes"]] == [
        (2, 1, "wider"),
        (3, 2, None),
    ]
    assert told["changes"][0]["changed"] == [
        "hidden_size from 1:8 to 9,10",
        "priority from 0 to 1",
    ]
    line = "version 2, from trial 1 on: hidden_size from 1:8 to 9,10; priority from 0 to 1 ("
    assert line in " ".join(call("status", *where).out.split())
    assert line in " ".join(call("best", *where).out.split())
    assert json.loads(call("best", "--json", *where).out)["changes"] == told["changes"]
    rows = json.loads(call("trials", "--json", *where).out)
    assert [row["version"] for row in rows] == [1, 2, 3]
    status = read_status(changed.engine, changed.sweep)
    part = build_tuning_part(
        status, read_curves(changed.engine, changed.sweep.id), changed.artifacts, None
    )
    assert "Changed while it ran" in [shown.title for shown in part.blocks]
    assert {"hidden_size", "weight_decay"} <= set(list_varied(status))
    assert [text.split(" ", 2)[1] for text in list_commands(status)] == ["run", "change", "change"]
    assert list_commands(status)[2].endswith(
        "--pruner median --fix hidden_size=4 --set weight_decay=0.01:0.1"
    )
    space = read_space(status.config)
    assert [row.number for row in list_comparable(status, space)] == [2]
    publish(changed.study_storage, status, lambda: None)
    study = studies.load_study(changed.study_storage, "net")
    assert f"- {line}" in write_note(study, status)


def test_python_changes_as_the_command_does(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """And gives back what the sweep went through."""
    make_session(sqlite_url)
    with open_sweeps(sqlite_url) as opened:
        told = opened.change("net", set={"hidden_size": [2, 4]}, trials=5, why="small")
        assert opened.sweeps().loc[0, "budget"] == 5
    assert [(one["changed"], one["from_trial"]) for one in told] == [
        (["hidden_size from 1:8 to 2,4", "trials from 2 to 5"], None)
    ]


def test_best_of_every_version_can_be_confirmed(changed: Session) -> None:
    """With all values that it was trained with, also those that no choice has any more."""
    status = read_status(changed.engine, changed.sweep)
    candidates = list_candidates(status, 3, {})
    planned = plan_confirmation(status.config, "net", 3, candidates, 2)
    assert planned.changes == ()
    space = read_space(planned)
    assert all(not find_misfits(point, space) for point in planned.starting_points)
    assert {point["weight_decay"] for point in planned.starting_points} >= {
        status.config.recipe.weight_decay
    }
    assert len(candidates) == 3
    points = ({"hidden_size": 4},) * 9
    change = {"starting_points": points, "num_hand_tuned": len(points) - 1}
    untried = replace(status, config=status.config.model_copy(update=change))
    own = list_candidates(untried, 1, {})[-1]
    assert (own.trial, own.is_recommended, own.params["weight_decay"]) == (None, True, 0.01)


def test_confirmation_takes_what_a_later_version_named(config: SweepConfig) -> None:
    """A trial that joins has it, and those of before train with what held for them."""
    params = {name: list_ends(dimension)[0] for name, dimension in read_space(config).items()}
    first, later = (
        CandidateConfig(trial=number, params=params | more, claimed=None, is_recommended=False)
        for number, more in enumerate(({}, {"weight_decay": 0.02, "asymmetry": 1.0}))
    )
    begun = plan_confirmation(config, "net", 1, [first], 2)
    assert begun.confirmation is not None
    grown = begun.confirmation.model_copy(update={"candidates": (first, later)})
    planned = add_pairs(begun.model_copy(update={"confirmation": grown}), [(1, 1)])
    assert not any(find_misfits(one, read_space(planned)) for one in planned.starting_points)
    assert [one["asymmetry"] for one in planned.starting_points] == [0.0, 0.0, 1.0]

"""The whole path of a person: run, go on, look, take the best model home, judge it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from pages import ask, read_address, serve
from workers import work

import forks
from servers import make_database
from sweep.machine.signals import Signals
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.storage import studies
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.epochs import read_curve, read_trials
from sweep.storage.sweeps import find_sweep
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

NAME = "MyNet"
PLAIN = {forks.WITHOUT_PICTURES: "1"}
ON_SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
"""For what never asks which database it is."""
METRICS = ["validation_loss", "efficiency", "fp_rate"]
RESIDUALS = ("residual_width_mm", "residual_mean_mm")
COUNTS = ["events", "true_peaks", "found", "missed", "predicted_found", "false_positives"]
STATES = [
    "sweep",
    "kind",
    "budget",
    "priority",
    "version",
    "complete",
    "pruned",
    "failed",
    "paused",
    "running",
    "waiting",
    "stopped",
    "flat",
]


@dataclass(frozen=True)
class Place:
    """A folder with a finished sweep of three trials, and what the run printed."""

    folder: Path
    storage: str
    arguments: list[str]
    out: str = ""
    err: str = ""

    @property
    def options(self) -> list[str]:
        """What the commands that look at it need, wherever they are called."""
        return ["--storage", self.storage]


def run(folder: Path, *arguments: str, **settings: str) -> tuple[str, str]:
    """Run a command as a shell would; gives what it wrote."""
    code, out, err = forks.run(*arguments, folder=folder, settings=settings)
    assert code == 0, err
    return out, err


def read_tables(storage: str) -> dict[str, list[Any]]:
    """Read every row of the database."""
    with open_engine(parse_url(storage)).connect() as connection:
        return {
            name: [tuple(row) for row in connection.execute(sa.text(f'SELECT * FROM "{name}"'))]
            for name in sa.inspect(connection).get_table_names()
        }


def write_namesakes(folder: Path) -> None:
    """Put files of a person's own into a folder that are called like our packages."""
    for name in ("models", "storage", "sweep"):
        (folder / f"{name}.py").write_text("raise SystemExit('not the package')\n")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_network: Path,
    events_file: Path,
) -> Iterator[Place]:
    """The main job, run to its end on two workers; on SQLite with the default of the storage."""
    folder = tmp_path_factory.mktemp("job")
    write_namesakes(folder)
    arguments = ["run", "--model", f"{own_network}:MyNet", "--data", str(events_file)]
    arguments += ["--events", "24", "--val-events", "12", "--epochs", "3", "--workers", "2"]
    arguments += ["--fix", "lr=0.05", "--fix", "batch_size=12"]
    job = [*arguments, "--trials", "3", "--json"]
    if request.param == "sqlite":
        job += ["--notify", "cat >> told"]
        out, err = run(folder, *job, **PLAIN)
        yield Place(folder, f"sqlite:///{folder / 'sweep.db'}", arguments, out, err)
        return
    with make_database(request.getfixturevalue("postgres_server")) as storage:
        out, err = run(folder, *job, "--storage", storage, **PLAIN)
        yield Place(folder, storage, arguments, out, err)


@ON_SQLITE
def test_end_is_told_to_a_persons_command(place: Place) -> None:
    """Once, with what `sweep list --json` says of the sweep."""
    told = json.loads((place.folder / "told").read_text())
    assert (told["event"], told["sweep"], told["fault"]) == ("finished", NAME, None)
    assert told["status"]["budget"] == 3
    assert list(told["status"])[: len(STATES)] == list(json.loads(place.out))[: len(STATES)]


@pytest.fixture
def copy(place: Place, tmp_path: Path) -> Place:
    """A copy of the finished sweep, on SQLite, that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(place.folder, folder)
    return Place(folder, f"sqlite:///{folder / 'sweep.db'}", place.arguments)


def test_budget_is_exact_and_json_is_all_there_is(place: Place) -> None:
    """Standard output is one object; each finished trial is told on standard error."""
    printed = json.loads(place.out)
    best = printed.pop("best")
    assert printed.pop("confirmation") is None
    assert printed.pop("audit") is None
    account = {"epochs": 9, "epochs_of_all": 9, "finished": 3, "pruned": 0}
    assert printed.pop("pruning") == account
    assert printed == dict(
        zip(STATES, [NAME, "search", 3, 0, 1, 3, 0, 0, 0, 0, 0, None, None], strict=True)
    )
    assert best["efficiency"] > 0.5
    for number in range(3):
        assert f"trial {number} complete" in place.err
    written = {path.name for path in place.folder.iterdir() if "-" not in path.name}
    files = {"sweep.db", "told"} if place.storage.startswith("sqlite") else set()
    assert written == {*files, "sweep_artifacts", "models.py", "storage.py", "sweep.py"}


def test_workers_of_one_seed_draw_their_own_points(place: Place) -> None:
    """Two workers, each with the sampler of the one seed that the sweep has."""
    points = [row.params for row in read_trials(open_engine(parse_url(place.storage)), 1)]
    assert len({json.dumps(point) for point in points}) == len(points) == 3


@ON_SQLITE
def test_run_again_goes_on_to_a_larger_budget_and_then_does_nothing(
    copy: Place, call: Callable[..., Any]
) -> None:
    """The trials that were there stay as they were, and options that are not given too."""
    engine = open_engine(parse_url(copy.storage))
    before = read_trials(engine, 1)
    artifacts = ["--artifacts", str(copy.folder / "sweep_artifacts")]
    again = [*copy.arguments[:3], *copy.options, *artifacts]
    out, _err = run(copy.folder, *again, "--trials", "4", "--workers", "1", "--json", **PLAIN)
    printed = json.loads(out)
    assert (printed["budget"], printed["complete"]) == (4, 4)
    after = read_trials(engine, 1)
    assert after[:3] == before
    assert [row.slot for row in after] == [0, 1, 2, 3]
    curves = [read_curve(engine, row.id) for row in after]
    assert len({tuple(e.validation_loss for e in curve) for curve in curves}) == 4
    tables = read_tables(copy.storage)
    answer = call(*again, "--trials", 2)
    assert answer.code == 0
    assert "4 trials have begun already; the budget stays 4" in answer.err
    assert "nothing left to train: 4 of 4 trials finished" in answer.err
    for table in ("sweep_sweeps", "sweep_trials", "sweep_epochs", "trials"):
        assert read_tables(copy.storage)[table] == tables[table]


@ON_SQLITE
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (["--set", "hidden_size=2:4"], 'space.hidden_size: stored "1:8", asked "2:4"'),
        (["--fix", "lr=0.1"], 'space.lr: stored "0.05", asked "0.1"'),
        (["--data", "other.npz"], "data.files"),
    ],
)
def test_other_sweep_of_the_same_name_is_refused(
    place: Place,
    call: Callable[..., Any],
    events_file: Path,
    tmp_path: Path,
    change: list[str],
    difference: str,
) -> None:
    """One line says what differs, and nothing stored is harmed."""
    with np.load(events_file) as events:
        np.savez(tmp_path / "other.npz", X=events["X"] * 0.5, y=events["y"])
    before = read_tables(place.storage)
    answer = call(*place.arguments, *place.options, "--trials", 9, *change)
    assert difference in answer.fault
    assert answer.err.startswith("error: sweep: it is another one already")
    assert read_tables(place.storage) == before


def test_another_direction_categories_and_range_are_refused_at_once(
    place: Place, call: Callable[..., Any]
) -> None:
    """One line names each of them."""
    before = read_tables(place.storage)
    change = ["--objective", "efficiency", "--set", "batch_size=6,12", "--set", "hidden_size=2:4"]
    arguments = [*place.arguments[:9], *place.options, "--fix", "lr=0.05", *change]
    answer = call(*arguments)
    for name in ("search.objective", "space.batch_size", "space.hidden_size"):
        assert f"{name}: stored" in answer.fault
    assert read_tables(place.storage) == before


def test_status_and_list_say_how_far_it_is(place: Place, call: Callable[..., Any]) -> None:
    """As objects with the keys that scripts count on, and as tables."""
    status = json.loads(call("status", *place.options, "--json").out)
    keys = [*STATES, "best"]
    assert sorted(status) == sorted([*keys, "workers", "trials_per_hour", "time_left_s", "changes"])
    assert status["best"] == json.loads(call("best", *place.options, "--json").out)
    assert status["complete"] == 3
    assert (status["workers"], status["trials_per_hour"], status["time_left_s"]) == ([], None, None)
    listed = json.loads(call("list", *place.options, "--json").out)
    assert listed == [{name: status[name] for name in keys}]
    assert NAME in call("list", *place.options).out
    assert "3 of 3 trials" in call("status", *place.options).out
    assert "nothing to stop: 3 of 3 finished" in call("stop", *place.options).err


def test_best_has_the_lowest_loss(place: Place, call: Callable[..., Any]) -> None:
    """And says by which hyperparameters, by their own names."""
    best = json.loads(call("best", *place.options, "--json").out)
    assert list(best) == ["sweep", "trial", *METRICS, *RESIDUALS, "params"]
    assert sorted(best["params"]) == ["batch_size", "beta1", "beta2", "hidden_size", "lr"]
    rows = read_trials(open_engine(parse_url(place.storage)), 1)
    losses = {row.number: row.best.validation_loss for row in rows if row.best}
    assert best["validation_loss"] == min(losses.values()) == losses[best["trial"]]
    assert "Null loss" in call("best", *place.options).out


@ON_SQLITE
def test_best_model_is_taken_home_and_judged_alike(
    place: Place, call: Callable[..., Any], events_file: Path, tmp_path: Path
) -> None:
    """Exported, checked in a fresh process, then evaluated on its own and on other events."""
    write_namesakes(tmp_path)
    artifacts = ["--artifacts", place.folder / "sweep_artifacts"]
    answer = call("best", *place.options, *artifacts, "--export", "model", "--json")
    assert answer.code == 0, answer.err
    best = json.loads(answer.out)
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"README.md", "config.json", "metrics.json", "mynet.py", "weights.safetensors"} <= files
    evaluated = json.loads(call("evaluate", "model", "--json").out)
    assert set(COUNTS + METRICS) <= set(evaluated)
    assert evaluated["validation_loss"] == pytest.approx(best["validation_loss"], rel=1e-5)
    assert [evaluated[key] for key in METRICS[1:]] == [best[key] for key in METRICS[1:]]
    other = json.loads(call("evaluate", "model", "--data", events_file, "--json").out)
    assert other["events"] == 36
    again = call("best", *place.options, *artifacts, "--export", "model")
    assert again.code == 1
    assert "exists already" in again.err


def test_dashboard_shows_everything_and_changes_nothing(place: Place) -> None:
    """A process of its own: strangers see nothing, who knows the password only sees."""
    before = read_tables(place.storage)["trials"]
    password = "correct horse"
    with serve(place.folder, *place.options, SWEEP_DASHBOARD_PASSWORD=password) as server:
        address = f"{read_address(server)}/api/studies"
        assert ask(address)[0] == 401
        _code, listed = ask(address, password=password)
        ids = {study["study_name"]: study["study_id"] for study in listed["study_summaries"]}
        for method in ("POST", "PUT", "DELETE"):
            assert ask(f"{address}/{ids[NAME]}", method, password)[0] == 405
        _code, shown = ask(f"{address}/{ids[NAME]}?after=0", password=password)
    assert [trial["state"] for trial in shown["trials"]] == ["Complete"] * 3
    assert [trial["constraints"] for trial in shown["trials"]] == [[0.0]] * 3
    assert read_tables(place.storage)["trials"] == before


def test_histograms_from_anywhere_are_scored(
    events_file: Path, call: Callable[..., Any], tmp_path: Path
) -> None:
    """The truth against itself finds everything."""
    with np.load(events_file) as events:
        np.savez(tmp_path / "prediction.npz", prediction=events["y"])
    score = json.loads(call("score", events_file, "prediction.npz", "--json").out)
    assert set(COUNTS + METRICS) <= set(score)
    assert (score["efficiency"], score["fp_rate"]) == (1.0, 0.0)
    assert score["validation_loss"] == pytest.approx(0, abs=1e-6)


def test_models_are_listed(call: Callable[..., Any], own_network: Path, tmp_path: Path) -> None:
    """Those of this project, and a person's own beside the shell."""
    listed = json.loads(call("models", "--json").out)
    assert {model["name"] for model in listed} >= {"birnn", "cnn", "mlp", "rcnn"}
    for model in listed:
        assert {"name", "parameters", "space", "starting_points"} <= set(model)
    shutil.copy(own_network, tmp_path / "mynet.py")
    (own,) = json.loads(call("models", "--model", "mynet.py:MyNet", "--json").out)
    assert own["space"]["hidden_size"] == "1:8"


def test_dead_and_pruned_trials_are_never_best(
    make_session: Callable[..., Session], database_url: str, call: Callable[..., Any]
) -> None:
    """However low their loss: there is no best trial then, and one line says so."""
    work(make_session(database_url, "DeadNet"))
    for arguments in (["best"], ["best", "--json"]):
        answer = call(*arguments, "--storage", database_url)
        assert "error: sweep net: no best trial, got 2 of 2 finished trials" in answer.fault


@pytest.mark.usefixtures("forked_check")
def test_dead_trial_is_taken_home_as_such(
    make_session: Callable[..., Session], sqlite_url: str, call: Callable[..., Any]
) -> None:
    """Who asks for the model all the same gets the least bad one, which its card calls dead."""
    session = make_session(sqlite_url, "DeadNet")
    work(session)
    place = ("--storage", sqlite_url, "--artifacts", session.artifacts)
    answer = call("best", "--export", "model", *place)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("warning: No best trial: 2 of 2 finished trials dead")
    assert "**This network is dead** (no true peak found" in Path("model/README.md").read_text()


def test_networks_that_diverge_are_pruned_as_such(
    database_url: str,
    make_session: Callable[..., Session],
    call: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whenever it happens: none is left running, none is the best, all keep what was before."""
    faults = ["nan 1 training", "nan 5 training", "inf 4 judged", "inf 6 judged"]
    num_epochs = [0, 2, 1, 2]
    # Of eight hidden sizes, four points of a Sobol sequence have one of each two neighbours.
    monkeypatch.setenv("NET_FAULT", ", ".join(fault for fault in faults for _size in range(2)))
    fixed = ("lr=0.05", "batch_size=12", "beta1=0.9", "beta2=0.999")
    make_session(database_url, "FaultyNet", name=NAME, trials=4, sampler="qmc", fixed=fixed)
    answer = call("worker", "--storage", database_url, "--threads", 1)
    assert answer.code == 0, answer.err
    rows = read_trials(open_engine(parse_url(database_url)), 1)
    verdicts = {(row.state, row.outcome, row.feasible) for row in rows}
    assert verdicts == {("pruned", "diverged", False)}
    stored = {
        (row.params["hidden_size"] - 1) // 2: row.last.epoch if row.last else 0 for row in rows
    }
    assert stored == dict(enumerate(num_epochs))
    for row in rows:
        assert f"slot {row.slot}: diverged" in answer.err
    storage = studies.open_study_storage(parse_url(database_url))
    told = studies.load_study(storage, NAME).trials
    assert [trial.state for trial in told] == [TrialState.PRUNED] * 4


def test_sweep_whose_trials_fail_stops_with_the_reason(
    tmp_path: Path, own_network: Path, events_file: Path, call: Callable[..., Any]
) -> None:
    """After three of six, with exit code 1; the traceback is kept."""
    arguments = ["--model", f"{own_network}:BrokenNet", "--data", str(events_file), "--trials", "6"]
    arguments += ["--events", "24", "--val-events", "12", "--epochs", "2", "--workers", "1"]
    code, _out, err = forks.run("run", *arguments, folder=tmp_path, settings=forks.QUIET)
    assert code == 1
    assert "trial 0 error" in err
    last = err.splitlines()[-1]
    assert last.startswith("error: sweep BrokenNet: most trials fail, got 3 of 3, the last with")
    assert "no such layer" in last
    engine = open_engine(parse_url(f"sqlite:///{tmp_path / 'sweep.db'}"))
    rows = read_trials(engine, find_sweep(engine, "BrokenNet").id)
    assert [row.state for row in rows] == ["failed"] * 3
    assert all("Traceback" in str(row.reason) for row in rows)
    status = call("status", "--watch").out  # which does not wait for ever
    assert "stopped: most trials fail, 3 of 3, the last with" in status
    assert " left" not in status
    assert "3 of 6, stopped" in call("list").out


def test_cnn_tries_the_hand_tuned_settings_first(
    sqlite_url: str, events_file: Path, tmp_path: Path
) -> None:
    """The project's own network: the starting points are the first trials."""
    request = Request(
        model="cnn",
        data=(str(events_file),),
        events=24,
        val_events=12,
        epochs=1,
        dimensions=("hidden_size=8,16", "num_layers=2:3"),
    )
    _engine, sweep, notes = prepare_sweep(request, sqlite_url, None, 4, CPU)
    options = WorkerOptions(sqlite_url, "cnn", tmp_path / "artifacts", num_threads=1)
    assert run_worker(options, Signals()) == 4
    engine = open_engine(parse_url(sqlite_url))
    rows = read_trials(engine, sweep.id)
    points = sweep.config["starting_points"]
    assert points
    assert any("starting point 0: moved hidden_size 64 to 16" in note for note in notes)
    for row, point in zip(rows, points, strict=False):
        for name, value in point.items():
            assert row.params[name] == pytest.approx(value)

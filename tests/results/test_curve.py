"""`sweep curve`: what it takes from other sweeps, what it finds, and how it shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from made import make_row

from sweep.config import OriginConfig, SweepConfig
from sweep.errors import ConfigError
from sweep.figures.curve import draw_curves, write_curves
from sweep.machine.signals import Signals
from sweep.metrics.intervals import compute_efficiency_interval
from sweep.models.space import Fixed
from sweep.plan.plan import plan_sweep
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import CurveRequest, Request
from sweep.plan.space import read_space
from sweep.results.curve import (
    SampleSizeCurve,
    compute_curve,
    compute_gain,
    describe_caveats,
)
from sweep.results.curve_origin import complete_request, find_origin
from sweep.results.status import Status
from sweep.storage import studies
from sweep.storage.engine import create_engine, open_engine, parse_url
from sweep.storage.epochs import read_curve, read_trials
from sweep.storage.sweeps import Sweep, TrialCounts, find_sweep
from sweep.storage.tables import Epoch
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

NAME = "MyNet sample size"
SIZES = (6, 24)
FIXED = (
    "lr=0.01",
    "beta1=0.9",
    "beta2=0.99",
    "hidden_size=8",
    "num_layers=2",
    "head=softplus",
    "activation=relu",
)
GOOD = Epoch(2, 100, 0.05, 0.05, 12, 40, 10, 40, 6, 1e-3, 1.0)


@pytest.fixture
def config(events_file: Path) -> SweepConfig:
    """The config of a study of two sizes in three repeats."""
    request = Request(
        model="cnn",
        data=(str(events_file),),
        val_events=12,
        fixed=FIXED,
        curve=CurveRequest(sizes=SIZES, repeats=3),
    )
    return plan_sweep(request, CPU).config


def make_status(config: SweepConfig, found: list[int | None]) -> Status:
    """Make the status of a study whose trials found so many of 50 true peaks; None for a dead one.

    With six numbers the study is done; with fewer the others have not begun.
    """
    rows = []
    for slot, number in enumerate(found):
        best = GOOD if number is None else replace(GOOD, found=number, missed=50 - number)
        outcome = "dead" if number is None else "complete"
        rows.append(make_row(slot, best, outcome=outcome, feasible=number is not None, params={}))
    return Status(
        sweep=Sweep(1, "cnn sample size", {}, {}, 6, 0.0, False, None),
        config=config,
        counts=TrialCounts(6 - len(rows), 0, len(rows), 0, 0),
        begun=rows,
        workers=[],
        trials_per_hour=None,
        time_left_s=None,
        stopped=None,
    )


@pytest.fixture
def curve(config: SweepConfig) -> SampleSizeCurve:
    """A finished study; in its second repeat the small sample taught nothing."""
    return compute_curve(make_status(config, [30, 40, None, 44, 34, 48]))


def test_points_are_means_over_the_living_repeats(curve: SampleSizeCurve) -> None:
    """With the lowest and the highest; a dead one is counted, its numbers left out."""
    small, large = curve.points
    assert (small.num_train, sorted(small.epochs), small.num_dead, small.num_lost) == (
        6,
        [1, 3],
        1,
        0,
    )
    assert (large.num_train, sorted(large.epochs), large.num_dead) == (24, [1, 2, 3], 0)
    efficiency = small.spreads["efficiency"]
    assert (efficiency.mean, efficiency.low, efficiency.high) == pytest.approx((0.64, 0.60, 0.68))
    assert efficiency.interval == compute_efficiency_interval(32, 50)
    assert large.spreads["efficiency"].mean == pytest.approx(0.88)
    assert small.spreads["fp_rate"].mean == pytest.approx(0.5)
    assert small.spreads["validation_loss"].interval is None


def test_gain_is_taken_within_repeats(curve: SampleSizeCurve) -> None:
    """From the smallest to the largest size, where a repeat has both."""
    gain = compute_gain(curve)
    assert gain is not None
    assert (gain.first, gain.last, gain.num_repeats, gain.num_better) == (6, 24, 2, 2)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.24, 0.20, 0.28))


def test_unfinished_study_has_what_it_has(config: SweepConfig) -> None:
    """Sizes without a trial have no numbers, and there is no gain without a pair."""
    begun = compute_curve(make_status(config, [30]))
    assert [len(point.epochs) for point in begun.points] == [1, 0]
    assert begun.points[1].spreads == {}
    assert compute_gain(begun) is None
    assert compute_gain(compute_curve(make_status(config, []))) is None


def test_pruned_and_failed_trials_are_lost(config: SweepConfig) -> None:
    """They were cut short: what they had is no result."""
    status = make_status(config, [30, 40])
    rows = [replace(row, state="pruned", outcome="timeout", feasible=False) for row in status.begun]
    cut = compute_curve(replace(status, begun=rows))
    assert [(len(p.epochs), p.num_dead, p.num_lost) for p in cut.points] == [(0, 0, 1), (0, 0, 1)]


def test_tuning_on_the_same_validation_events_is_said(curve: SampleSizeCurve) -> None:
    """With the sweep, the trial and the number of events; not where there are none."""
    assert any("the architecture's own settings" in line for line in describe_caveats(curve))
    for num_shared in (0, 12):
        origin = OriginConfig(sweep="net", trial=7, num_train=24, num_shared_validation=num_shared)
        design = curve.design.model_copy(update={"origin": origin})
        lines = describe_caveats(replace(curve, design=design))
        assert any("trial 7 of sweep net, found best with 24 training" in line for line in lines)
        said = [line for line in lines if "was chosen on 12 of these validation events" in line]
        assert len(said) == (num_shared > 0)


def test_repeats_that_share_their_events_are_said(curve: SampleSizeCurve) -> None:
    """The largest size is all there is here: the repeats differ in weights and order only."""
    assert any("at 24 of 24 training events" in line for line in describe_caveats(curve))


def test_figure_shows_band_mean_and_every_repeat(curve: SampleSizeCurve) -> None:
    """Three metrics with three traces each, twice for two architectures; one legend entry each."""
    other = replace(curve, sweep="rcnn sample size")
    figure = draw_curves([curve, other])
    assert len(figure.data) == 18
    band, mean, repeats = figure.data[3:6]  # of the second metric, the efficiency
    assert list(band.y) == pytest.approx([0.68, 0.96, 0.80, 0.60])
    assert (list(mean.x), list(mean.y)) == ([6, 24], pytest.approx([0.64, 0.88]))
    low, high = compute_efficiency_interval(32, 50)
    assert mean.error_y.array[0] == pytest.approx(high - 0.64)
    assert mean.error_y.arrayminus[0] == pytest.approx(0.64 - low)
    assert len(repeats.x) == 5
    assert [t.name for t in figure.data if t.showlegend] == ["cnn sample size", "rcnn sample size"]


@pytest.mark.parametrize("name", ["curve.png", "curve.html"])
def test_figure_of_any_study_is_written(
    curve: SampleSizeCurve, config: SweepConfig, tmp_path: Path, name: str
) -> None:
    """Also of one that has found nothing yet; a page needs no network."""
    nothing = compute_curve(make_status(config, [None]))
    write_curves(tmp_path / name, [curve, nothing], title="sizes")
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG") or b'src="http' not in content


def test_settings_come_from_the_best_trial(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """Hyperparameters, data, recipe and seed of the sweep; what is asked wins. It is noted."""
    session = make_session(sqlite_url, name="MyNet", epochs=2, seed=5)
    run_worker(WorkerOptions(sqlite_url, "MyNet", session.artifacts, num_threads=1), Signals())
    model = session.config.model
    origin = find_origin(session.engine, model, None)
    assert origin is not None
    asked = CurveRequest(sizes=SIZES)
    request = complete_request(
        session.engine, "study", Request(model=model, fixed=("lr=0.1",)), asked, None
    )
    assert request.seed == 5
    planned = plan_sweep(request, CPU).config
    expected = {**origin.params, "lr": 0.1}
    space = read_space(planned)
    assert {name: space[name] for name in expected} == {
        name: Fixed(value) for name, value in expected.items()
    }
    assert planned.recipe.epochs == 2
    assert planned.data.validation_fingerprint == session.config.data.validation_fingerprint
    assert planned.curve is not None
    assert planned.curve.origin == OriginConfig(
        sweep="MyNet", trial=origin.trial, num_train=24, num_shared_validation=12
    )


def test_settings_of_another_model_are_refused(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """Named, it is a fault; found by the model's name, it is left alone."""
    session = make_session(sqlite_url, name="cnn")
    assert find_origin(session.engine, "cnn", None) is None
    with pytest.raises(ConfigError, match="from: no settings for this curve, got sweep cnn of"):
        find_origin(session.engine, "cnn", "cnn")


def test_without_a_sweep_the_architecture_recommends(sqlite_url: str, events_file: Path) -> None:
    """Its recommended settings, for the rest its defaults."""
    engine = create_engine(parse_url(sqlite_url))
    asked = Request(model="cnn", data=(str(events_file),), val_events=12)
    request = complete_request(engine, "study", asked, CurveRequest(sizes=SIZES), None)
    engine.dispose()
    config = plan_sweep(request, CPU).config
    fixed = [read_space(config)[name] for name in ("lr", "beta1", "hidden_size")]
    assert fixed == [Fixed(0.005), Fixed(0.9), Fixed(16)]
    assert config.curve is not None
    assert config.curve.origin is None


@dataclass(frozen=True)
class Place:
    """Where a finished study is, and what the command needs to show it."""

    url: str
    options: list[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, own_network: Path, events_file: Path) -> Place:
    """A study of two sizes in two repeats, trained by a worker of this process."""
    folder = tmp_path_factory.mktemp("curve")
    url, artifacts = f"sqlite:///{folder / 'sweep.db'}", folder / "artifacts"
    asked = Request(
        model=f"{own_network}:MyNet",
        data=(str(events_file),),
        val_events=12,
        epochs=1,
        fixed=("lr=0.05", "batch_size=6"),
    )
    sizes = CurveRequest(sizes=(24, 6), repeats=2)
    engine = create_engine(parse_url(url))
    request = complete_request(engine, NAME, asked, sizes, None)
    prepare_sweep(request, url, NAME, None, CPU)
    run_worker(WorkerOptions(url, NAME, artifacts, num_threads=1), Signals())
    return Place(url, ["--storage", url, "--artifacts", str(artifacts)])


def test_study_is_registered_for_workers_elsewhere(
    own_network: Path, events_file: Path, call: Callable[..., Any]
) -> None:
    """With its own name and a trial for each size in each repeat; the network's own settings."""
    arguments = ["--model", f"{own_network}:MyNet", "--data", events_file, "--val-events", 12]
    answer = call("curve", *arguments, "--events", "24,6", "--detach", "--json")
    assert answer.code == 0, answer.err
    printed = json.loads(answer.out)
    assert (printed["sweep"], printed["budget"], printed["waiting"]) == (NAME, 6, 6)
    assert f"sweep worker --sweep '{NAME}'" in answer.err


def test_curve_is_printed_and_drawn(place: Place, call: Callable[..., Any], tmp_path: Path) -> None:
    """One JSON value with a point a size, from the smallest; the picture is there."""
    answer = call("curve", "--sweep", NAME, *place.options, "--json", "--plot", "curve.html")
    assert answer.code == 0, answer.err
    assert "nothing left to train: 4 of 4 trials finished" in answer.err
    printed = json.loads(answer.out)
    assert (printed["sweep"], printed["budget"], printed["complete"]) == (NAME, 4, 4)
    points = printed["points"]
    assert [(point["num_train"], point["found_something"]) for point in points] == [(6, 2), (24, 2)]
    for point in points:
        assert [trial["repeat"] for trial in point["trials"]] == [1, 2]
        values = [trial["efficiency"] for trial in point["trials"]]
        spread = point["efficiency"]
        assert (spread["low"], spread["high"]) == (min(values), max(values))
        low, high = spread["interval"]
        assert low < spread["mean"] <= high
    assert printed["gain"]["num_repeats"] == 2
    assert (tmp_path / "curve.html").stat().st_size > 10_000
    assert f"curve.html: {NAME} drawn" in answer.err


def test_trials_are_told_by_size_and_repeat(place: Place) -> None:
    """Optuna knows them by both, none was pruned, and all saw as many events."""
    url = parse_url(place.url)
    wanted = [{"num_train": size, "repeat": repeat} for repeat in (1, 2) for size in SIZES]
    study = studies.load_study(studies.open_study_storage(url), NAME)
    assert [trial.params for trial in study.trials] == wanted
    engine = open_engine(url)
    rows = read_trials(engine, find_sweep(engine, NAME).id)
    assert [{name: row.params[name] for name in wanted[0]} for row in rows] == wanted
    assert {row.state for row in rows} == {"complete"}
    assert [row.last.events_seen for row in rows if row.last] == [24] * 4
    firsts = [read_curve(engine, row.id)[0].validation_loss for row in rows]
    assert len(set(firsts)) == 4


def test_table_fits_a_terminal(place: Place, call: Callable[..., Any], tmp_path: Path) -> None:
    """A line a size; `sweep run` knows the study too."""
    answer = call("curve", "--sweep", NAME, *place.options, "--plot", "c.png")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["6", "24"]
    assert max(len(line) for line in lines[:4]) <= 80
    assert "efficiency from 6 to 24 events" in answer.out
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    again = call("run", "--sweep", NAME, *place.options)
    assert again.code == 0, again.err
    status = call("status", "--sweep", NAME, *place.options[:2])
    said = " ".join(status.out.split())
    assert "6, 24 of 24 training and 12 validation events" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--model", "cnn"], "events: no sizes to train with, got none"),
        (["--model", "cnn", "--events", "0,5"], "events: no sizes to train with, got 0, 5"),
        (["--model", "cnn", "--events", "5,5"], "got 5, 5, expected different"),
        (["--model", "cnn", "--events", "6,99"], "fewer than the largest size, got 24"),
        (["--model", "cnn", "--events", "6", "--equal", "steps"], "equal: unknown, got 'steps'"),
        (["--model", "cnn", "--events", "6", "--from", "none"], "no sweeps in"),
        (["--model", "cnn", "--events", "6", "--fix", "lr=1:2"], "--fix lr: not one value"),
        (["--model", "cnn", "--events", "6", "--fix", "size=1"], "no such hyperparameter"),
    ],
)
def test_bad_value_is_refused(
    events_file: Path, call: Callable[..., Any], arguments: list[str], reason: str
) -> None:
    """One line, before anything trains."""
    answer = call("curve", "--data", events_file, "--val-events", 12, *arguments)
    assert reason in answer.fault


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--events", "6,12"], "curve.sizes: stored [6, 24], asked [6, 12]"),
        (["--fix", "lr=0.1"], 'space.lr: stored "0.05", asked "0.1"'),
        (["--from", "nothing"], "sweep: not in the database, got 'nothing'"),
        (["--from", NAME], "got sweep MyNet sample size of a sample-size curve"),
    ],
)
def test_other_study_of_the_same_name_is_refused(
    place: Place, call: Callable[..., Any], arguments: list[str], reason: str
) -> None:
    """With the difference; the same options again are no difference."""
    answer = call("curve", "--sweep", NAME, *place.options, *arguments)
    assert reason in answer.fault
    same = call("curve", "--sweep", NAME, "--fix", "lr=0.05", *place.options)
    assert same.code == 0, same.err

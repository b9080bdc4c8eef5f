"""`sweep compare`: the same events for both, none that either was trained on, and a verdict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from workers import work

from sweep.config import DataConfig
from sweep.data.formats import open_events
from sweep.errors import ConfigError, ConflictError, DataError, ModelError
from sweep.metrics.table import EFFICIENCY
from sweep.models import ARCHITECTURES
from sweep.results.bootstrap import Difference
from sweep.results.comparison import EventFiles, compare, describe_difference
from sweep.results.contender import Contender
from sweep.results.evaluation import evaluate
from sweep.storage.artifacts import TrialFolder
from sweep.storage.epochs import TrialRow, read_trials
from sweep.trial.session import Session

FAIR = {"num_resamples": 200, "seed": 1}


@dataclass(frozen=True)
class Place:
    """Two finished sweeps of one network in one database, and how commands find them."""

    session: Session
    rows: list[TrialRow]
    options: list[str]


@pytest.fixture(scope="module")
def place(make_session: Callable[..., Session], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """`good` learns much in its two trials, `slow` hardly."""
    folder = tmp_path_factory.mktemp("compare")
    url = f"sqlite:///{folder / 'sweep.db'}"
    for name, fixed in (("good", "lr=0.2"), ("slow", "lr=0.000001")):
        session = make_session(
            url, name=name, epochs=1, fixed=("batch_size=12", fixed, "hidden_size=1")
        )
        session = replace(session, artifacts=folder / "artifacts")
        work(session)
    rows = read_trials(session.engine, session.sweep.id)
    options = ["--storage", url, "--artifacts", str(session.artifacts), "--resamples", "300"]
    return Place(session, rows, options)


@pytest.fixture(scope="module")
def fresh_events(tmp_path_factory: pytest.TempPathFactory, events_file: Path) -> Path:
    """Events that no sweep has seen: those of the file, shifted by some bins."""
    path = tmp_path_factory.mktemp("fresh") / "fresh.npz"
    with np.load(events_file) as events:
        np.savez(path, X=np.roll(events["X"], 7, axis=2), y=np.roll(events["y"], 7, axis=1))
    return path


class Scale(nn.Module):
    """Gives the first feature back, times a factor, within the first bins only."""

    def __init__(self, factor: float, num_bins: int = 4000) -> None:
        super().__init__()
        self.factor, self.num_bins = factor, num_bins

    def forward(self, x_BCL: torch.Tensor) -> torch.Tensor:
        y_BL = self.factor * x_BCL[:, 0]
        y_BL[:, self.num_bins :] = 0.0
        return y_BL


def make_contender(place: Place, network: nn.Module, **change: object) -> Contender:
    """Make a network that claims to be of the sweep."""
    data = DataConfig.model_validate({**place.session.config.data.model_dump(), **change})
    return Contender(type(network).__name__, network, data)


def test_sweeps_and_trials_are_compared_on_their_validation_events(
    place: Place, call: Callable[..., Any]
) -> None:
    """A sweep means its best trial; the numbers are those it was stored with."""
    answer = call("compare", "good", "slow:1", *place.options, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["a"]["label"].startswith("good, trial ")
    assert (found["b"]["label"], found["events"]) == ("slow, trial 1", 12)
    stored = place.rows[1].best
    assert stored is not None
    assert found["b"]["validation_loss"] == pytest.approx(stored.validation_loss, rel=1e-5)
    for name in ("found", "missed", "false_positives"):
        assert found["b"][name] == getattr(stored, name)
    assert sum(found["per_event"]["b"]["found"]) == stored.found
    assert sum(found["per_event"]["true_peaks"]) == stored.found + stored.missed
    difference = found["differences"]["validation_loss"]
    assert difference["difference"] == pytest.approx(
        found["b"]["validation_loss"] - found["a"]["validation_loss"]
    )
    low, high = difference["interval_95"]
    assert low <= difference["difference"] <= high
    assert any("chosen on these very events" in note for note in found["notes"])


def test_table_says_who_is_better(place: Place, call: Callable[..., Any]) -> None:
    """Within 80 columns, one verdict a metric; the same seed gives the same table."""
    first, again = (call("compare", "good", "slow", *place.options) for _ in range(2))
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert lines[0].startswith("A: good, trial")
    assert max(len(line) for line in lines[:8]) <= 80
    for metric in ("efficiency: ", "FP / event: ", "loss: "):
        (sentence,) = [line for line in lines if line.startswith(metric)]
        assert "beyond chance" in sentence
    assert again.out == first.out


def test_exports_need_no_database(
    place: Place, call: Callable[..., Any], tmp_path: Path, fresh_events: Path
) -> None:
    """Two folders, judged on events that are named."""
    structure = {"hidden_size": 4, "num_layers": 1, "head": "identity", "activation": "relu"}
    for name, factor in (("one", 1.0), ("two", 2.0)):
        (tmp_path / name).mkdir()
        weights = ARCHITECTURES["cnn"].build(structure).state_dict()
        positive = {key: factor * tensor.abs() for key, tensor in weights.items()}
        save_file(positive, tmp_path / name / "weights.safetensors")
        data = {"data": place.session.config.data.model_dump(mode="json")}
        config = {"model": "cnn", "hyperparameters": structure, "sweep_config": data}
        (tmp_path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    arguments = ["one", "two", "--data", fresh_events, "--storage", "sqlite:///none.db"]
    answer = call("compare", *arguments, "--resamples", 50, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["a"]["label"], found["events"]) == ("export one", 36)
    assert not any("chosen" in note for note in found["notes"])


def test_scores_are_those_of_each_alone(place: Place, fresh_events: Path) -> None:
    """What is added up from the events is what `sweep evaluate` gives."""
    a, b = (make_contender(place, Scale(1.0, bins)) for bins in (4000, 2000))
    found = compare(a, b, EventFiles([fresh_events]), **FAIR)
    events = open_events([fresh_events])
    for scores, contender in ((found.scores_a, a), (found.scores_b, b)):
        expected = evaluate(contender.network, events, torch.device("cpu"))
        assert scores.score.counts == expected.counts
        assert scores.score.validation_loss == pytest.approx(expected.validation_loss)
    assert (found.num_a_finds_more, found.num_b_finds_more) == (35, 0)
    assert found.differences["efficiency"].is_beyond_chance
    assert found.differences["efficiency"].value < -0.3


def test_comparison_tells_how_far_it_is(place: Place) -> None:
    """Both networks judge the 12 events, then events are drawn again."""
    a, b = (make_contender(place, Scale(1.0, bins)) for bins in (4000, 2000))
    told: list[tuple[int, int]] = []
    compare(a, b, EventFiles(), **FAIR, progress=lambda *done: told.append(done))
    assert told == [(12, 24), (24, 24), (200, 200)]


def test_other_validation_events_are_refused(place: Place) -> None:
    """Unless events are named."""
    a = make_contender(place, Scale(1.0))
    b = make_contender(place, Scale(1.0), validation_fingerprint="0" * 16)
    with pytest.raises(ConflictError, match=r"validated on different events.*name the events"):
        compare(a, b, EventFiles(), **FAIR)


def test_training_events_are_refused(place: Place, events_file: Path) -> None:
    """With how many there are, and of whom."""
    a = make_contender(place, Scale(1.0))
    with pytest.raises(DataError, match=r"Scale was trained on these events, got 24 of 36"):
        compare(a, a, EventFiles([events_file]), **FAIR)


def test_events_that_chose_a_network_are_said(
    place: Place, tmp_path: Path, fresh_events: Path
) -> None:
    """And those that cannot be checked, where the files of its training are not here."""
    chosen = place.session.split.validation
    x_NCL, y_NL = chosen.load(range(len(chosen)))
    with np.load(fresh_events) as others:
        np.savez(
            tmp_path / "mixed.npz",
            X=np.concatenate([x_NCL, others["X"][:5]]),
            y=np.concatenate([y_NL, others["y"][:5]]),
        )
    a = make_contender(place, Scale(1.0))
    b = make_contender(place, Scale(1.0), files=(str(tmp_path / "gone.npz"),))
    notes = compare(a, b, EventFiles([tmp_path / "mixed.npz"]), **FAIR).notes
    assert notes[0] == "Scale was chosen on 12 of these 17 events, which flatters it"
    assert notes[1].startswith("not checked whether Scale was trained on some of these events")


def test_different_features_need_a_choice(place: Place, tmp_path: Path) -> None:
    """A file with both kinds is read as neither would expect, unless a person says how."""
    a = make_contender(place, Scale(1.0), variant="poca")
    b = make_contender(place, Scale(1.0), variant="kernel")
    with pytest.raises(ConfigError, match="trained on different features, got poca and kernel"):
        compare(a, b, EventFiles([tmp_path / "some.h5"]), **FAIR)


@pytest.mark.parametrize(
    ("factor", "reason"), [(float("nan"), "predicts no numbers, got NaN in event"), (1e38, "Scale")]
)
def test_network_without_numbers_is_refused(place: Place, factor: float, reason: str) -> None:
    """In one line; whatever comes next in this process can be trained as before."""
    a, b = (make_contender(place, Scale(f)) for f in (1.0, factor))
    with pytest.raises(ModelError, match=reason) as caught:
        compare(a, b, EventFiles(), **FAIR)
    assert "\n" not in str(caught.value)
    del caught
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        ((0.01, 0.03), "B finds more of the true peaks, by 0.01 to 0.03 (95 %): beyond chance"),
        ((-0.03, -0.01), "A finds more of the true peaks, by 0.01 to 0.03 (95 %): beyond chance"),
        ((-0.01, 0.03), "no difference beyond chance: -0.01 to +0.03 (95 %)"),
    ],
)
def test_sentence_names_the_better_one(interval: tuple[float, float], sentence: str) -> None:
    """Or neither."""
    a, b = 0.8, 0.8 + sum(interval) / 2
    difference = Difference(a, b, interval, interval)
    assert describe_difference(EFFICIENCY, difference).startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["good", "nothing"], "sweep: not in the database, got 'nothing'"),
        (["good", "slow:99"], "sweep slow: no such trial, got '99'"),
        (["good", "slow:best"], "sweep slow: no such trial, got 'best'"),
        (["good", "slow", "--resamples", "0"], "resamples: got 0"),
        (["good", "slow", "--seed", "-1"], "seed: got -1"),
        (["good", "slow", "--data", "none.npz"], "none.npz"),
    ],
)
def test_bad_value_is_refused(
    place: Place, call: Callable[..., Any], arguments: list[str], reason: str
) -> None:
    """One line each."""
    answer = call("compare", *place.options, *arguments)
    assert reason in answer.fault


def test_trial_without_weights_is_refused(
    make_session: Callable[..., Session], sqlite_url: str, call: Callable[..., Any]
) -> None:
    """A dead one kept none; those of a living one may be on another machine."""
    dead = make_session(sqlite_url, "DeadNet", name="dead", trials=1, epochs=1)
    alive = make_session(sqlite_url, name="alive", trials=1, epochs=1)
    for session in (dead, alive):
        work(session)
    options = ["--storage", sqlite_url, "--artifacts", str(alive.artifacts)]
    answer = call("compare", "dead:0", "alive", *options)
    assert "trial 0 of dead: no weights, got one that is dead" in answer.err
    shutil.rmtree(TrialFolder(alive.artifacts, alive.sweep, 0).path)
    answer = call("compare", "alive", "alive", *options)
    assert "weights.safetensors: no weights, got a missing file" in answer.err
    assert answer.err.count("\n") == 1

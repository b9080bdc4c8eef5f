"""From a search space to suggestions: scales, starting points, seeds, the pruner's patience."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from sweep.config import PrunerConfig, SamplerConfig, SearchConfig
from sweep.errors import ConfigError
from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.space_text import parse_dimension
from sweep.models.value import Value
from sweep.search.coordinates import find_value
from sweep.search.samplers import SAMPLERS
from sweep.search.seeds import derive_seed
from sweep.search.strategy import build_sampler, check_strategy, choose_pruner, choose_sampler
from sweep.search.suggestion import find_nearest, fix_point, suggest
from sweep.storage import studies
from sweep.storage.engine import parse_url

SPACE: dict[str, Dimension] = {
    "lr": Float(1e-4, 1e-2, "log"),
    "beta1": Float(0.8, 0.99, "one_minus_log"),
    "hidden_size": Choice((32, 64, 96)),
    "num_layers": Int(2, 4),
    "head": Choice(("identity", "softplus")),
    "batch_size": Fixed(16),
}


def make_search(sampler: str, seed: int = 1) -> SearchConfig:
    """How to search, with a sampler by name."""
    return SearchConfig(
        sampler=choose_sampler(sampler), pruner=PrunerConfig(name="none"), seed=seed
    )


def draw(sampler: str, slot: int, seed: int = 1) -> dict[str, Value]:
    """Draw one point as the trial of a slot does, in a study of its own."""
    study = optuna.create_study(sampler=build_sampler(make_search(sampler, seed), SPACE, slot))
    return suggest(study.ask(), SPACE, {})


def test_beta_is_searched_as_its_distance_from_one() -> None:
    """The study holds `1 - beta1` on a log scale; the trial gets beta1."""
    study = optuna.create_study(sampler=build_sampler(make_search("random"), SPACE, 0))
    params = suggest(study.ask(), SPACE, {})
    (told,) = study.trials
    distribution = told.distributions["1 - beta1"]
    assert distribution == optuna.distributions.FloatDistribution(0.01, 0.2, log=True)
    assert params["beta1"] == pytest.approx(1 - told.params["1 - beta1"], abs=1e-12)
    assert "batch_size" not in told.params
    assert params["batch_size"] == 16


def test_starting_point_comes_back_exactly() -> None:
    """0.9 and 0.999 survive the way to the study and back, without a tail of digits."""
    point: dict[str, Value] = {
        "lr": 1e-3,
        "beta1": 0.9,
        "hidden_size": 64,
        "num_layers": 3,
        "head": "softplus",
    }
    fixed = fix_point(point, SPACE)
    assert fixed == {
        "lr": 1e-3,
        "1 - beta1": 0.1,
        "hidden_size": 64,
        "num_layers": 3,
        "head": "softplus",
    }
    study = optuna.create_study(sampler=build_sampler(make_search("random"), SPACE, 0))
    study.enqueue_trial(fixed)
    assert suggest(study.ask(), SPACE, {}) == point | {"batch_size": 16}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_choices_keep_their_types_through_the_database(
    sampler: str, empty_database: Path, tmp_path: Path
) -> None:
    """Truth values, None and lists, drawn by each sampler and tried as a starting point."""
    space: dict[str, Dimension] = {
        "skip": Choice((True, False)),
        "norm": Choice((None, "none", "8")),
        "sizes": Choice(([8, 16], [4], [])),
        "rate": Choice((0.5, 1.0, 2)),
        "activation": Fixed(None),
    }
    point: dict[str, Value] = {"skip": False, "norm": None, "sizes": [4], "rate": 1.0}
    shutil.copy(empty_database, tmp_path / "sweep.db")
    study_storage = studies.open_study_storage(parse_url(f"sqlite:///{tmp_path / 'sweep.db'}"))
    optuna.create_study(storage=study_storage, study_name="net")
    for slot in range(12):
        study = studies.load_study(
            study_storage, "net", build_sampler(make_search(sampler), space, slot)
        )
        if slot == 0:
            study.enqueue_trial(fix_point(point, space))
        trial = study.ask()
        params = suggest(trial, space, {})
        assert all(
            any(repr(params[name]) == repr(value) for value in dimension.values)
            for name, dimension in space.items()
            if isinstance(dimension, Choice)
        )
        if slot == 0:
            assert params == {**point, "activation": None}
        study.tell(trial, float(slot))


@pytest.mark.parametrize(
    ("text", "value", "nearest"),
    [
        ("0.1:0.5", 0.3, 0.3),
        ("0.1:0.5", 0.9, 0.5),
        ("8,16,24", 64, 24),
        ("8,16,24", 11, 8),
        ("16:64:step=16", 37, 32),
        ("2:5", 9, 5),
        ("relu,none", "tanh", "relu"),
        ("relu,none", "none", "none"),
        ("7", 3, 7),
        ("true,false", False, False),
        ("true,false", 1, True),
        ("null,8", 8, 8),
        ("null,8", 9, None),
        ("1:4", None, 1),
        ("[8],[16]", [16], [16]),
    ],
)
def test_nearest_value_lies_in_the_space(text: str, value: Value, nearest: Value) -> None:
    """A hand-tuned value outside of it moves to its edge or next choice."""
    dimension = parse_dimension(text)
    assert find_nearest(dimension, value) == nearest
    assert dimension.contains(nearest)


def test_seeds_differ_by_slot_and_purpose_and_stay_the_same() -> None:
    """They are part of what makes a trial repeatable: a change here changes every sweep."""
    seeds = {derive_seed(1, kind, slot) for kind in ("weights", "order") for slot in range(50)}
    assert len(seeds) == 100
    assert derive_seed(1, "weights", 0) == derive_seed(1, "weights", 0)
    assert derive_seed(1, "weights", 0) != derive_seed(2, "weights", 0)
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_slots_draw_their_own_points(sampler: str) -> None:
    """Two workers with one base seed never draw the same; the same slot always does."""
    assert draw(sampler, 0) == draw(sampler, 0)
    assert draw(sampler, 0) != draw(sampler, 1)
    assert draw(sampler, 0) != draw(sampler, 0, seed=2)


@pytest.mark.parametrize("sampler", ["gp", "qmc", "random"])
def test_point_is_the_same_after_a_kill_between_two_hyperparameters(sampler: str) -> None:
    """What was suggested before stays in the study; the rest is drawn by another process."""
    search = make_search(sampler)
    study = optuna.create_study(sampler=build_sampler(search, SPACE, 3))
    trial = study.ask()
    suggest(trial, {"lr": SPACE["lr"], "beta1": SPACE["beta1"]}, {})
    study.sampler = build_sampler(search, SPACE, 3)
    assert suggest(optuna.trial.Trial(study, trial._trial_id), SPACE, {}) == draw(sampler, 3)


def test_quasi_random_points_fill_the_space() -> None:
    """Of 64 slots, whoever trains them, each quarter of a range gets 16, within what Sobol owes."""
    points = [draw("qmc", slot) for slot in range(64)]
    assert len({tuple(point.values()) for point in points}) == 64
    quarters = Counter(int(math.log10(float(point["lr"]) / 1e-4) / 2 * 4) for point in points)
    assert quarters == dict.fromkeys(range(4), 16)
    assert Counter(point["head"] for point in points) == {"identity": 32, "softplus": 32}
    assert all(20 <= number <= 23 for number in Counter(p["num_layers"] for p in points).values())


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (IntDistribution(2, 8, step=3), {2, 5, 8}),
        (IntDistribution(1, 4, log=True), {1, 2, 3, 4}),
        (CategoricalDistribution(("relu", None)), {"relu", None}),
    ],
)
def test_coordinate_reaches_every_value(
    distribution: BaseDistribution, values: set[object]
) -> None:
    """The ends as well, and nothing beyond."""
    assert {find_value(step / 100, distribution) for step in range(100)} == values


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_from_the_space(sampler: str) -> None:
    """Each by its name."""
    params = draw(sampler, 0)
    assert all(dimension.contains(params[name]) for name, dimension in SPACE.items())


def test_settings_of_tpe_are_written_out() -> None:
    """A new version of Optuna does not change a sweep."""
    assert choose_sampler("tpe") == SamplerConfig(
        name="tpe",
        num_startup_trials=10,
        multivariate=True,
        constant_liar=True,
        num_ei_candidates=24,
    )


@pytest.mark.parametrize("choose", [choose_sampler, choose_pruner])
def test_unknown_name_is_refused(choose: object) -> None:
    """The message lists what there is."""
    assert callable(choose)
    with pytest.raises(ConfigError, match="unknown, got 'hyperband', expected"):
        choose("hyperband")


@pytest.mark.parametrize("part", ["sampler", "pruner"])
def test_stored_name_that_no_table_has_is_refused(part: str) -> None:
    """A config of another version is refused where a worker opens it, not in each of its trials."""
    stored = {
        "sampler": {"name": "random"},
        "pruner": {"name": "none"},
        part: {"name": "hyperband"},
    }
    with pytest.raises(
        ConfigError, match=rf"{part}: unknown, got 'hyperband', expected .*random|none"
    ):
        check_strategy(SearchConfig.model_validate(stored))

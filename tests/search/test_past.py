"""What a sampler learns from a space that is no more: the trials that lie in that of now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import optuna
import pytest
from optuna.trial import FrozenTrial

from sweep.config import PrunerConfig, SearchConfig
from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.value import Value
from sweep.search.coordinates import find_coordinate
from sweep.search.part_sampler import PartSampler
from sweep.search.past import Past
from sweep.search.strategy import build_sampler, choose_sampler
from sweep.search.suggestion import fix_point, name_in_study, suggest
from sweep.storage.studies import begin_trial
from sweep.storage.study_cache import show_study

THEN: dict[str, Dimension] = {
    "lr": Float(1e-3, 1e-1, "log"),
    "beta1": Float(0.7, 0.97, "one_minus_log"),
    "hidden_size": Int(8, 24, step=4),
    "num_layers": Fixed(2),
    "batch_size": Fixed(16),
}
NOW: dict[str, Dimension] = {
    **THEN,
    "lr": Float(1e-2, 1.0, "log"),
    "hidden_size": Choice((16, 24)),
    "num_layers": Int(1, 4),
}
VARIED = {"lr", "hidden_size", "num_layers"}
POINTS: list[dict[str, Value]] = [
    {"lr": 0.02, "beta1": 0.9, "hidden_size": 16},
    {"lr": 0.02, "beta1": 0.9, "hidden_size": 12},  # no choice any more
    {"lr": 0.002, "beta1": 0.9, "hidden_size": 24},  # below the range
    {"lr": 0.1, "beta1": 0.8, "hidden_size": 24, "batch_size": 8},  # as it was tuned by hand
    {"lr": 0.05, "beta1": 0.8, "hidden_size": 16, "num_layers": 3},
]


def tell_past(num_trials: int = len(POINTS)) -> tuple[optuna.Study, Past]:
    """Make a study of finished trials at the points, again and again, and what is kept of them."""
    study, params = optuna.create_study(), dict[int, Mapping[str, Value]]()
    for slot in range(num_trials):
        point = POINTS[slot % len(POINTS)]
        trial = begin_trial(study, slot, fix_point(point, THEN), is_first=True)
        params[slot] = suggest(trial, THEN, point)
        trial.report(0.1 - 0.001 * slot, 1)
        study.tell(trial, 0.1 - 0.001 * slot)
    return study, Past(NOW, name_in_study(NOW), VARIED, params)


def read_inside(study: optuna.Study, past: Past) -> list[FrozenTrial]:
    """Read the trials as a sampler sees them."""
    return show_study(study, past.see).trials


def test_trials_inside_are_moved_into_the_space_of_now() -> None:
    """With the values that were fixed then, and their places in the ranges of now."""
    study, past = tell_past()
    inside = read_inside(study, past)
    assert [trial.number for trial in inside] == [0, 3, 4]
    assert inside[0].params == {"lr": 0.02, "1 - beta1": 0.1, "hidden_size": 16, "num_layers": 2}
    assert inside[2].params["num_layers"] == 3
    first = inside[0]
    assert find_coordinate(first.params["lr"], first.distributions["lr"]) == pytest.approx(
        0.1505, abs=1e-4
    )
    assert find_coordinate(16, first.distributions["hidden_size"]) == 0.25
    assert study.trials[0].distributions["lr"] == optuna.distributions.FloatDistribution(
        1e-3, 0.1, log=True
    )


def test_trial_whose_values_are_not_kept_yet_teaches_nothing() -> None:
    """It has just been begun by another worker."""
    study, past = tell_past()
    past = replace(past, params_by_slot={slot: past.params_by_slot[slot] for slot in (3, 4)})
    assert [trial.number for trial in read_inside(study, past)] == [3, 4]


def draw(sampler: str, study: optuna.Study, past: Past) -> dict[str, Value]:
    """Draw the next trial of a study, in a copy: Optuna alone takes no other choices."""
    search = SearchConfig(sampler=choose_sampler(sampler), pruner=PrunerConfig(name="none"))
    slot = len(study.trials)
    drawn_by = PartSampler(
        build_sampler(search, NOW, slot), lambda study: show_study(study, past.see)
    )
    shown = optuna.create_study(sampler=drawn_by)
    shown.add_trials(read_inside(study, past))
    trial = begin_trial(shown, slot, {}, is_first=True)
    drawn = suggest(trial, NOW, {})
    assert {names for name, names in name_in_study(NOW).items() if name in VARIED} <= {
        *trial.params
    }
    return drawn


@pytest.mark.parametrize("sampler", ["mixed", "tpe", "gp", "qmc", "random"])
def test_every_sampler_draws_from_the_space_of_now(sampler: str) -> None:
    """The same for a slot each time."""
    study, past = tell_past(20)
    drawn = draw(sampler, study, past)
    assert drawn == draw(sampler, study, past)
    assert all(NOW[name].contains(value) for name, value in drawn.items())


@pytest.mark.parametrize("sampler", ["mixed", "tpe"])
def test_old_trials_are_learnt_from(sampler: str) -> None:
    """Without them another point is drawn."""
    study, past = tell_past(40)
    nothing = replace(past, params_by_slot={})
    assert draw(sampler, study, past) != draw(sampler, study, nothing)

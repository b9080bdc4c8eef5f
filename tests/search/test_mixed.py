"""This project's sampler: what it learns from, and that it looks where it pays."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from sweep.config import PrunerConfig, SearchConfig
from sweep.models.space import Dimension, Float, Int
from sweep.search.coordinates import find_coordinate, find_value
from sweep.search.draw import Outlook
from sweep.search.expected_ends import CAP, expect_ends
from sweep.search.proposal import propose
from sweep.search.seen import Seen, expect_levels
from sweep.search.strategy import build_sampler, choose_sampler
from sweep.search.suggestion import fix_point, suggest
from sweep.search.surrogate import fit_surrogate
from sweep.search.trial_table import open_table
from sweep.storage.studies import begin_trial

SPACE: dict[str, Dimension] = {
    "lr": Float(1e-3, 1e-1, "log"),
    "beta1": Float(0.7, 0.97, "one_minus_log"),
    "hidden_size": Int(8, 24, step=4),
}
NULL_LOSS = 0.095
OUTLOOK = Outlook(num_epochs=4, null_loss=NULL_LOSS, center_slot=0)


def begin(study: optuna.Study, slot: int, point: dict[str, float] | None = None) -> Trial:
    """Begin the trial of a slot, with this project's sampler."""
    search = SearchConfig(sampler=choose_sampler("mixed"), pruner=PrunerConfig(name="none"))
    study.sampler = build_sampler(search, SPACE, slot, OUTLOOK)
    trial = begin_trial(study, slot, fix_point(point or {}, SPACE), is_first=True)
    suggest(trial, SPACE, point or {})
    return trial


def compute_loss(trial: Trial) -> float:
    """Give the loss of a landscape whose best is at lr 0.03 and beta1 0.9, 0.03."""
    lr = math.log(trial.params["lr"] / 0.03)
    beta = math.log(trial.params["1 - beta1"] / 0.1)
    return 0.03 * math.exp(0.2 * lr**2 + 0.1 * beta**2)


def search(num_trials: int) -> list[float]:
    """Search the landscape from a point beside its best; half of the trials stop half way."""
    study = optuna.create_study()
    losses = []
    for slot in range(num_trials):
        point = {"lr": 0.01, "beta1": 0.8, "hidden_size": 16} if slot == 0 else None
        trial = begin(study, slot, point)
        loss = compute_loss(trial)
        losses.append(loss)
        num_epochs = 2 if slot % 2 else 4
        for epoch in range(1, num_epochs + 1):
            trial.report(loss * (1 + 0.5 / epoch), epoch)
        if num_epochs == 4:
            study.tell(trial, loss * 1.125)
    return losses


def test_search_closes_in_on_the_best() -> None:
    """From trials that are mostly paused it finds what is better than the recommended point."""
    losses = search(24)
    assert min(losses) < 0.0305
    assert losses[0] > 0.037


def test_proposal_is_drawn_once(sqlite_url: str) -> None:
    """A worker that takes a trial over draws what was proposed, whatever was learned since."""
    study = optuna.create_study(storage=sqlite_url)
    for slot in range(9):
        trial = begin(study, slot)
        trial.report(compute_loss(trial), 1)
    search = SearchConfig(sampler=choose_sampler("mixed"), pruner=PrunerConfig(name="none"))
    study.sampler = build_sampler(search, SPACE, 9, OUTLOOK)
    killed = begin_trial(study, 9, {}, is_first=True)
    suggest(killed, {"lr": SPACE["lr"]}, {})
    proposal = study.trials[9].system_attrs["sweep:proposal"]["point"]
    later = begin(study, 10)
    for epoch in range(1, 5):
        later.report(0.03, epoch)
    study.sampler = build_sampler(search, SPACE, 9, OUTLOOK)
    again = suggest(Trial(study, killed._trial_id), SPACE, {})
    told = study.trials[9]
    assert again["lr"] == told.params["lr"]
    for name, value in told.params.items():
        assert value == find_value(proposal[name], told.distributions[name]), name


def test_failed_trials_say_nothing() -> None:
    """A fault of the network is no place to keep away from, nor one to go to."""
    study = optuna.create_study()
    for slot in range(12):
        study.tell(begin(study, slot), state=TrialState.FAIL)
    assert study.trials[11].system_attrs["sweep:proposal"]["arm"] == "random"


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (FloatDistribution(1e-4, 1e-1, log=True), [1e-4, 3e-3, 1e-1]),
        (FloatDistribution(-1.0, 3.0), [-1.0, 0.25, 3.0]),
        (IntDistribution(8, 24, step=4), [8, 12, 24]),
        (IntDistribution(1, 100, log=True), [1, 7, 100]),
        (CategoricalDistribution([16, "a", None]), [16, "a", None]),
    ],
)
def test_coordinate_gives_the_value_back(distribution: BaseDistribution, values: list) -> None:
    """`find_coordinate` and `find_value` are each other's inverse, to the ends."""
    for value in values:
        coordinate = find_coordinate(value, distribution)
        assert 0 <= coordinate <= 1
        found = find_value(coordinate, distribution)
        assert found == (pytest.approx(value) if isinstance(value, float) else value)


def test_stopped_trials_are_carried_to_the_end() -> None:
    """By what the others gained; the doubt is of those that were not seen there."""
    whole = [[-1.0, -2.0, -3.0, -3.5], [-1.2, -2.2, -3.1, -3.7], [-0.8, -1.8, -2.9, -3.3]]
    ends = expect_ends([*whole, [-1.1, -2.1], []], 4, worst=0.0)
    assert ends.value_N[:3].tolist() == [-3.5, -3.7, -3.3]
    assert ends.value_N[3] == pytest.approx(-2.1 - 1.0 - 0.5, abs=0.11)
    assert ends.value_N[4] == max(ends.value_N)
    assert ends.doubt_N[:3].tolist() == [0, 0, 0]
    assert ends.doubt_N[3] > 0


def test_model_foretells_a_smooth_function() -> None:
    """Between the places it has seen, with an error within what it says of itself."""
    rng = np.random.default_rng(3)
    u_ND, u_MD = rng.random((40, 3)), rng.random((50, 3))

    def compute(u: np.ndarray) -> np.ndarray:
        return np.sin(3 * u[:, 0]) + 0.5 * u[:, 1]

    model = fit_surrogate(u_ND, compute(u_ND), np.zeros(40))
    mean_M, deviation_M = model.predict(u_MD)
    error_M = np.abs(mean_M - compute(u_MD))
    assert np.median(error_M) < 0.05
    assert np.mean(error_M < 2.5 * deviation_M) > 0.9


def test_far_worse_ones_do_not_hide_which_good_one_is_better() -> None:
    """Good places are ranked better by their heights above a floor than by the values."""

    def rank(told_N: np.ndarray, level_N: np.ndarray) -> float:
        return float(np.corrcoef(told_N.argsort().argsort(), level_N.argsort().argsort())[0, 1])

    ranks = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        u_ND = rng.random((50, 3))
        level_N = -3.4 + 0.1 * ((u_ND - 0.4) ** 2).sum(axis=1)
        late_N = 12.8 * np.maximum(0.0, u_ND[:, 0] - 0.7) ** 2
        value_N = level_N + late_N + 0.01 * rng.standard_normal(50)
        median, best = np.median(value_N), value_N.min()
        value_N = np.minimum(value_N, median + CAP * (median - best))
        by_value = fit_surrogate(u_ND, value_N, np.zeros(50)).expect(u_ND)
        by_level = expect_levels(Seen(u_ND, value_N, np.zeros(50), np.full(50, "")))
        is_good = late_N == 0.0
        ranks.append([rank(told_N[is_good], level_N[is_good]) for told_N in (by_level, by_value)])
    by_level_rank, by_value_rank = np.mean(ranks, axis=0)
    assert by_level_rank > by_value_rank + 0.02


def test_two_workers_are_not_sent_to_one_place() -> None:
    """What still runs without an epoch counts as seen where it is."""
    rng = np.random.default_rng(1)
    u_ND = rng.random((12, 2))
    value_N = ((u_ND - 0.6) ** 2).sum(axis=1)
    places = []
    for number in range(4):
        unknown = np.full(len(places), np.nan)
        seen = Seen(
            np.concatenate([u_ND, *[u_D[None] for u_D in places]]),
            np.concatenate([value_N, unknown]),
            np.zeros(12 + len(places)),
            np.full(12 + len(places), "model"),
        )
        places.append(propose(seen, None, np.random.default_rng([7, number]))[0])
    assert len({tuple(u_D) for u_D in places}) == 4


def test_no_configuration_is_tried_twice() -> None:
    """Of nine configurations nine are tried, also where the best are close to each other."""
    space: dict[str, Dimension] = {"hidden_size": Int(8, 16, step=4), "num_layers": Int(1, 3)}
    config = SearchConfig(sampler=choose_sampler("mixed"), pruner=PrunerConfig(name="none"))
    study, tried = optuna.create_study(), []
    for slot in range(9):
        study.sampler = build_sampler(config, space, slot, OUTLOOK)
        trial = begin_trial(study, slot, {}, is_first=True)
        tried.append(tuple(suggest(trial, space, {}).values()))
        for epoch in range(1, 5):
            trial.report(0.03 + 1e-4 * sum(tried[-1]), epoch)
    assert len(set(tried)) == 9


def test_digits_that_a_coordinate_loses_make_no_other_configuration() -> None:
    """A shift of whole numbers alone that ends where it began is drawn anew, also beside rates."""
    space = {**SPACE, "num_layers": Int(2, 3)}
    config = SearchConfig(sampler=choose_sampler("mixed"), pruner=PrunerConfig(name="none"))
    tried = []
    for number in range(6):
        study = optuna.create_study()
        point = {"lr": 0.02, "beta1": 0.8 + 0.02 * number, "hidden_size": 16, "num_layers": 2}
        for slot in range(12):
            study.sampler = build_sampler(config, space, slot, OUTLOOK)
            values = fix_point({} if slot else point, space)
            trial = begin_trial(study, slot, values, is_first=True)
            suggest(trial, space, {} if slot else point)
            trial.report(0.03 + 1e-3 * slot, 1)
        for one in study.trials:
            tried.append((study.study_name, *(f"{value:.9g}" for value in one.params.values())))
    assert len(set(tried)) == len(tried)


def test_setting_outside_the_space_draws_nobody_to_its_edge() -> None:
    """A hand-tuned point of larger networks is tried as it is, and says nothing of smaller ones."""
    outside = {"lr": 1e-3, "beta1": 0.9, "hidden_size": 64}
    searches = []
    for loss_outside in (0.02, 0.08):
        study = optuna.create_study()
        for slot in range(16):
            trial = begin(study, slot, outside if slot == 0 else None)
            loss = compute_loss(trial) if slot else loss_outside
            for epoch in range(1, 5):
                trial.report(loss, epoch)
        searches.append([trial.params for trial in study.trials])
    assert searches[0] == searches[1]


def test_diverged_trials_are_kept_away_from() -> None:
    """However low their loss was before: it counts as that of a network that found nothing."""
    study = optuna.create_study()
    for slot in range(3):
        trial = begin(study, slot)
        trial.report(0.01 if slot == 1 else 0.04, 1)
        if slot == 1:
            trial.set_user_attr("outcome", "diverged")
        study.tell(trial, state=TrialState.PRUNED)
    table = open_table(["lr", "1 - beta1", "hidden_size"], OUTLOOK, study.trials)
    assert int(np.argmax(table.see(table.list_inside()).value_N)) == 1


def test_earlier_reading_of_a_trial_is_let_go() -> None:
    """A trial that has changed is another object: of a long search only the last ones are kept."""
    study = optuna.create_study()
    trial = begin(study, 0)
    study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
    first, second = (study.get_trials()[0] for _ in range(2))
    open_table(["lr"], OUTLOOK, [first])
    earlier = weakref.ref(first)
    del first
    open_table(["lr"], OUTLOOK, [second])
    gc.collect()
    assert earlier() is None

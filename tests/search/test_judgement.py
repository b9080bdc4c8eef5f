"""Which epoch is a trial's own, which trial is dead, which is best."""

from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
from made import make_config

from sweep.search.judgement import (
    count_grace_epochs,
    find_best_epoch,
    is_dead,
    is_failing,
    is_stuck,
    judge_again,
    rank_trials,
)
from sweep.search.pruners import PRUNERS
from sweep.search.strategy import build_promotion, build_pruner, choose_pruner
from sweep.storage.epochs import TrialRow
from sweep.storage.standings import NextTrial, Standing
from sweep.storage.sweeps import TrialCounts
from sweep.storage.tables import Epoch

NULL_LOSS = 10.0
ALIVE = Epoch(1, 100, 5.0, 5.0, 10, 8, 2, 8, 1, 1e-3, 1.0)
TRIAL = TrialRow(1, 0, 0, "complete", "complete", None, 1, None, 0.0, 1.0, {}, True, ALIVE, ALIVE)


@pytest.mark.parametrize(
    ("change", "by_loss", "by_efficiency"),
    [
        ({}, False, False),
        ({"found": 0}, True, True),
        ({"validation_loss": 9.79}, False, False),
        ({"validation_loss": 9.8}, True, False),
        ({"validation_loss": 10.2}, True, False),
        ({"validation_loss": 683.0}, True, False),
        ({"validation_loss": float("nan")}, True, False),
    ],
)
def test_dead_is_nothing_found_or_no_loss_below_the_null_loss(
    change: dict[str, float], by_loss: bool, by_efficiency: bool
) -> None:
    """By the loss 0.98 of that of predicting nothing is the limit, with however many peaks."""
    epoch = replace(ALIVE, **change)
    assert is_dead(epoch, "validation_loss", NULL_LOSS) is by_loss
    assert is_dead(epoch, "efficiency", NULL_LOSS) is by_efficiency


def test_trial_of_an_earlier_version_is_judged_again() -> None:
    """One with a loss above the null loss was stored as complete; it is dead, others stay."""
    high = replace(TRIAL, best=replace(ALIVE, validation_loss=12.0))
    judged = judge_again(high, make_config())
    assert (judged.outcome, judged.feasible, judged.best) == ("dead", False, high.best)
    assert judge_again(high, make_config(objective="efficiency")) == high
    assert judge_again(TRIAL, make_config()) == TRIAL
    pruned = replace(high, state="pruned", outcome="pruned", feasible=False)
    assert judge_again(pruned, make_config()) == pruned


def test_best_epoch_is_a_living_one() -> None:
    """A dead epoch with a lower loss does not hide one that found something."""
    dead = replace(ALIVE, epoch=1, found=0, validation_loss=0.1)
    curve = [dead, replace(ALIVE, epoch=2), replace(ALIVE, epoch=3, validation_loss=4.0)]
    assert find_best_epoch(curve, "validation_loss", NULL_LOSS) == curve[2]


def test_best_epoch_of_the_dead_is_the_best_of_them() -> None:
    """The trial still has numbers to show; the earliest of equals, none of no epoch."""
    curve = [
        replace(ALIVE, epoch=n, found=0, validation_loss=v) for n, v in ((1, 3), (2, 2), (3, 2))
    ]
    assert find_best_epoch(curve, "validation_loss", NULL_LOSS) == curve[1]
    assert find_best_epoch([], "validation_loss", NULL_LOSS) is None


def test_best_epoch_obeys_the_objective() -> None:
    """By efficiency more is better."""
    curve = [ALIVE, replace(ALIVE, epoch=2, found=9, missed=1, validation_loss=6.0)]
    assert find_best_epoch(curve, "efficiency", NULL_LOSS) == curve[1]


def test_only_complete_feasible_trials_are_ranked() -> None:
    """Pruned, failed, dead and unfinished ones are left out; equals stay in the order of slots."""
    rows = [
        replace(TRIAL, slot=3),
        replace(TRIAL, slot=0, state="pruned"),
        replace(TRIAL, slot=1, feasible=False),
        replace(TRIAL, slot=2, best=None),
        replace(TRIAL, slot=4, best=replace(ALIVE, validation_loss=1.0)),
        replace(TRIAL, slot=2),
    ]
    assert [row.slot for row in rank_trials(rows, "validation_loss")] == [4, 2, 3]


def test_grace_counts_whole_epochs() -> None:
    """250 events at 100 an epoch are three epochs."""
    assert count_grace_epochs(make_config()) == 3
    assert count_grace_epochs(make_config(grace_events=0)) == 0


def test_stuck_is_no_better_than_the_null_loss_after_the_grace() -> None:
    """One better epoch is enough to go on, and within the grace nothing is stuck."""
    flat = [replace(ALIVE, epoch=n, validation_loss=9.9) for n in (1, 2, 3)]
    assert not is_stuck([], make_config())
    assert not is_stuck(flat[:2], make_config())
    assert is_stuck(flat, make_config())
    assert not is_stuck([replace(flat[0], validation_loss=9.7), *flat[1:]], make_config())
    assert not is_stuck(flat, make_config(pruner="none"))


def test_stuck_by_efficiency_is_one_that_finds_nothing_either() -> None:
    """Peaks are enough to go on, and so is a loss below the null loss before there are any."""
    config = make_config(objective="efficiency")
    high = [replace(ALIVE, epoch=n, validation_loss=99.0) for n in (1, 2, 3)]
    blind = [replace(epoch, found=0) for epoch in high]
    assert not is_stuck(high, config)
    assert is_stuck(blind, config)
    assert not is_stuck([*blind[:2], replace(blind[2], validation_loss=9.0)], config)


@pytest.mark.parametrize(
    ("failed", "complete", "failing"), [(2, 0, False), (3, 0, True), (3, 3, False), (4, 3, True)]
)
def test_sweep_fails_when_most_trials_do(failed: int, complete: int, failing: bool) -> None:
    """From three failures on, and more than half."""
    assert is_failing(TrialCounts(9, 0, complete, 0, failed)) is failing


@pytest.mark.parametrize(
    "pruner",
    sorted(name for name, rule in PRUNERS.items() if not rule.is_pausing and name != "none"),
)
def test_pruner_respects_the_grace(pruner: str) -> None:
    """A hopeless trial is left alone until it has seen its grace of events, and ends then."""
    config = make_config()
    rule = config.search.model_copy(update={"pruner": choose_pruner(pruner)})
    study = optuna.create_study(
        pruner=build_pruner(config.model_copy(update={"search": rule})),
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    for _number in range(6):
        good = study.ask()
        for epoch in range(1, 9):
            good.report(1.0, epoch)
            good.should_prune()
        study.tell(good, 1.0)
    bad = study.ask()
    pruned_at = []
    for epoch in range(1, 9):
        bad.report(9.0, epoch)
        if bad.should_prune():
            pruned_at.append(epoch)
    assert pruned_at
    assert min(pruned_at) >= count_grace_epochs(config)


def test_no_pruner_prunes_nothing() -> None:
    """`none` means none."""
    assert isinstance(build_pruner(make_config(pruner="none")), optuna.pruners.NopPruner)


def test_recommended_point_always_goes_on() -> None:
    """What the search found is compared with it, so it is trained to its end whatever its rank."""
    config = make_config("rungs").model_copy(
        update={"starting_points": ({}, {}), "num_hand_tuned": 1}
    )
    promotion = build_promotion(config)
    assert promotion is not None
    standings = [
        Standing(slot, "paused", None, (value,)) for slot, value in enumerate((3.0, 9.0, 4.0, 5.0))
    ]
    assert promotion.choose(standings) == NextTrial(0, 8)
    running = [replace(standing, state="running") for standing in standings]
    assert promotion.choose([running[0], standings[1], running[2], standings[3]]) == NextTrial(1, 8)

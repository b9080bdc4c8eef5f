"""Which trials go on where none may beat another in all of loss, efficiency and FP rate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from workers import work

from sweep.errors import ConfigError
from sweep.metrics.table import FRONT
from sweep.plan.parts import plan_search
from sweep.plan.request import Request
from sweep.results.best import list_shown
from sweep.results.status import read_status
from sweep.search.front import choose_on_front
from sweep.storage.ranking import BEHIND
from sweep.storage.standings import NextTrial, Standing
from sweep.storage.sweeps import find_sweep
from sweep.trial.session import Session

RUNGS = (2, 4, 8)
FIRST = (0.035, -0.85, 0.08)
"""Loss, efficiency with its sign, and FP rate of a trial that others are compared with."""
OVER = ((0.040, -0.80, 0.30), (0.030, -0.90, 0.20))
PEAKS_PER_EVENT = 5.0


def stand(
    slot: int, *reached: tuple[float, float, float], state: str = "paused", events: float = 400.0
) -> Standing:
    """Give the standing of a trial that came to this at the rungs so far, on so many events."""
    values = tuple(one[0] for one in reached)
    counted = PEAKS_PER_EVENT * events, events
    return Standing(slot, state, values=values, beside=tuple((*r[1:], *counted) for r in reached))


@pytest.mark.parametrize(
    ("other", "is_beaten"),
    [
        ((0.030, -0.90, 0.05), True),
        ((0.030, -0.90, 0.12), False),  # at the price of more false positives
        ((0.030, -0.90, 0.075), False),  # by less false positives than two trainings differ
        ((0.0349, -0.90, 0.05), False),
        ((0.030, -0.855, 0.05), False),
    ],
)
def test_only_what_is_beaten_in_all_three_ends(
    other: tuple[float, float, float], *, is_beaten: bool
) -> None:
    """And beyond the noise in each; all others go on, however many they are."""
    chosen = choose_on_front([stand(0, FIRST), stand(1, other, state="complete")], RUNGS)
    assert chosen is not None
    assert (chosen.slot, chosen.account is not None) == (0, is_beaten)
    assert chosen.until_epoch == (2 if is_beaten else 4)


@pytest.mark.parametrize(("events", "is_beaten"), [(100.0, False), (10_000.0, True)])
def test_noise_is_that_of_as_many_events_as_were_judged_by(
    events: float, *, is_beaten: bool
) -> None:
    """What is no difference on a hundred events is one on ten thousand."""
    other = stand(1, (0.0345, -0.86, 0.06), state="complete", events=events)
    chosen = choose_on_front([stand(0, FIRST, events=events), other], RUNGS)
    assert chosen is not None
    assert (chosen.account is not None) == is_beaten


def test_a_trial_waits_for_some_to_be_compared_with() -> None:
    """While others are to come; a dead one beats nobody, and the recommended point goes on."""
    alone = [stand(0, FIRST), Standing(1, "waiting")]
    assert choose_on_front(alone, RUNGS) == NextTrial(1, 2)
    assert choose_on_front(alone, RUNGS, kept_slot=0) == NextTrial(0, 4)
    unbegun = [Standing(slot, "waiting") for slot in range(3)]
    assert choose_on_front(unbegun, RUNGS, kept_slot=2) == NextTrial(2, 8)
    better = [stand(slot, (0.03, -0.9, 0.05), state="complete") for slot in (2, 3, 4)]
    chosen = choose_on_front([*alone, *better], RUNGS, kept_slot=0)
    assert chosen == NextTrial(0, 4)


def test_trials_over_the_limit_are_compared_as_others_are() -> None:
    """Behind those within it, one of them still beats another."""
    over = [stand(slot, (BEHIND + loss, eff, fp)) for slot, (loss, eff, fp) in enumerate(OVER)]
    chosen = choose_on_front(over, RUNGS)
    assert chosen is not None
    assert (chosen.slot, chosen.account is not None) == (0, True)


def test_other_pruners_are_refused() -> None:
    """They compare one number."""
    with pytest.raises(ConfigError, match="pruner: compares one number, got median"):
        plan_search(Request(objective=FRONT, pruner="median", sampler="random"), None)


def test_sweep_on_a_front_ends_with_an_account_of_every_trial(
    make_session: Callable[..., Session], sqlite_url: str
) -> None:
    """Each is complete or has the reason why it was beaten, and the front holds the best."""
    session = make_session(
        sqlite_url,
        trials=4,
        epochs=4,
        grace_events=24,
        pruner="rungs",
        sampler="random",
        objective=FRONT,
        fixed=("batch_size=12",),
    )
    work(session)
    status = read_status(session.engine, find_sweep(session.engine, session.sweep.name))
    pruned = [row.reason or "" for row in status.begun if row.outcome == "pruned"]
    assert status.counts.finished == 4
    assert all(reason.startswith("beaten after epoch") for reason in pruned)
    assert status.ranked[:1] == list(list_shown(status, 1))[:1]

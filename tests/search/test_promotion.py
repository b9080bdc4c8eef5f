"""The rule by which trials pause and go on: exact, in order, and always at an end."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace

import pytest

from sweep.search.promotion import Halving, choose_next_trial, list_rungs
from sweep.storage.standings import NextTrial, Standing

RUNGS = (2, 4, 8)


def paused(slot: int, *values: float) -> Standing:
    """Give a trial that waits at the last rung that it has a value at."""
    return Standing(slot, "paused", None, values)


def running(slot: int, *values: float) -> Standing:
    """Give a trial on its way to its next rung."""
    return Standing(slot, "running", None, values)


def waiting(slot: int) -> Standing:
    """Give a trial that has not begun."""
    return Standing(slot, "waiting")


def ended(slot: int, outcome: str, *values: float) -> Standing:
    """Give a finished trial."""
    state = "complete" if len(values) == len(RUNGS) else "pruned"
    return Standing(slot, state, outcome, values)


@pytest.mark.parametrize(
    ("epochs", "grace", "factor", "rungs"),
    [
        (8, 2, 2, (2, 4, 8)),
        (8, 1, 2, (1, 2, 4, 8)),
        (30, 1, 2, (4, 8, 15, 30)),
        (27, 2, 3, (3, 9, 27)),
        (5, 2, 2, (3, 5)),
        (8, 0, 2, (1, 2, 4, 8)),
        (4, 24, 2, (4,)),
        (1, 1, 2, (1,)),
    ],
)
def test_rungs_end_at_the_grace(
    epochs: int, grace: int, factor: int, rungs: tuple[int, ...]
) -> None:
    """Each is a share of the one above, none is before the grace, the last is the whole trial."""
    assert list_rungs(epochs, grace, factor) == rungs


@pytest.mark.parametrize(
    ("standings", "expected"),
    [
        ([waiting(0), waiting(1)], NextTrial(0, 2)),
        ([paused(0, 0.1), waiting(1)], NextTrial(1, 2)),
        ([paused(0, 0.2), paused(1, 0.1), waiting(2)], NextTrial(1, 4)),
        ([paused(0, 0.2), running(1, 0.1), waiting(2)], NextTrial(2, 2)),
        ([paused(0, 0.2, 0.2), paused(1, 0.1, 0.1), paused(2, 0.05), waiting(3)], NextTrial(1, 8)),
        ([ended(0, "dead", 0.01), paused(1, 0.2), waiting(2)], NextTrial(1, 4)),
        ([ended(0, "diverged"), paused(1, 0.2), waiting(2)], NextTrial(1, 4)),
        ([ended(0, "error"), paused(1, 0.2), waiting(2)], NextTrial(2, 2)),
        ([ended(0, "dead", 0.1, 0.1, 0.1), paused(1, 0.2), waiting(2)], NextTrial(2, 2)),
        ([paused(0, 0.1), running(1)], None),
        ([paused(0, 0.1), ended(1, "complete", 0.05, 0.05, 0.05)], NextTrial(0, 2, "")),
        ([paused(0, 0.1)], NextTrial(0, 4)),
        ([ended(0, "complete", 0.2, 0.2, 0.2), paused(1, 0.1)], NextTrial(1, 4)),
        ([ended(0, "complete", 0.2, 0.2, 0.2), paused(1, 0.1), running(2)], None),
        ([ended(0, "complete", 0.2, 0.2, 0.2), paused(1, 0.2)], NextTrial(1, 2, "")),
        ([ended(0, "complete", *[math.inf] * 3), paused(1, math.inf)], NextTrial(1, 2, "")),
        ([ended(0, "complete", 0.1, 0.1, 0.1)], None),
        ([], None),
    ],
    ids=str,
)
def test_best_of_the_highest_rung_goes_on_first(
    standings: list[Standing], expected: NextTrial | None
) -> None:
    """Then what never goes on is ended, then the next begins; who has to wait gets nothing."""
    chosen = choose_next_trial(standings, RUNGS, 2)
    assert (chosen and replace(chosen, account=None)) == (
        expected and replace(expected, account=None)
    )
    assert (chosen is not None and chosen.account is not None) == (
        expected is not None and expected.account is not None
    )


def test_recommended_point_is_the_first_to_begin_and_to_end() -> None:
    """So the first verdict of a sweep is on it; what was paused by an earlier version goes on."""
    unbegun = [waiting(slot) for slot in range(4)]
    assert choose_next_trial(unbegun, RUNGS, 2, kept_slot=2) == NextTrial(2, 8)
    there = [waiting(0), waiting(1), running(2, 0.3), waiting(3)]
    assert choose_next_trial(there, RUNGS, 2, kept_slot=2) == NextTrial(0, 2)
    there = [waiting(0), waiting(1), paused(2, 0.3), waiting(3)]
    assert choose_next_trial(there, RUNGS, 2, kept_slot=2) == NextTrial(2, 4)


def test_account_says_where_it_paused_and_its_rank() -> None:
    """A person reads why the trial was not worth more epochs."""
    chosen = choose_next_trial([ended(0, "complete", 0.1, 0.1, 0.1), paused(1, 0.2)], RUNGS, 2)
    assert chosen == NextTrial(
        1, 2, "ranked 2 of 2 after epoch 2, of which at most 1 may go on and 1 did"
    )


def test_trial_is_ended_as_soon_as_none_that_comes_can_help_it() -> None:
    """Even if all that come were worse it would not be among the best: its disk is free sooner."""
    standings = [running(0, 0.1), running(1, 0.2), paused(2, 0.3), waiting(3)]
    chosen = choose_next_trial(standings, RUNGS, 2)
    assert chosen == NextTrial(
        2, 2, "ranked 3 of 3 and 1 to come after epoch 2, of which at most 2 may go on and 2 did"
    )
    assert choose_next_trial([*standings, waiting(4), waiting(5)], RUNGS, 2) == NextTrial(3, 2)


def test_account_tells_of_more_that_went_on_than_have_room() -> None:
    """The best of all did, though another had taken the room: that is no "at most 1 and 2 did"."""
    gone = [ended(0, "complete", 0.3, 0.3, 0.3), ended(1, "complete", 0.1, 0.1, 0.1)]
    chosen = choose_next_trial([*gone, paused(2, 0.2)], RUNGS, 4)
    assert chosen == NextTrial(
        2, 2, "ranked 2 of 3 after epoch 2, of which 2 went on, where there is room for 1"
    )


@dataclass
class Replay:
    """A sweep in virtual time: trials have a value at each rung, workers take what they get.

    They are given it by one rule from the beginning, which is to choose as one that begins now.
    """

    num_trials: int
    num_workers: int
    seed: int
    num_dead: int = 0
    is_rising: bool = False
    log: list[NextTrial] = field(default_factory=list)

    def run(self, factor: int = 2) -> list[Standing]:
        """Run it to its end; gives how its trials ended."""
        rng = random.Random(self.seed)
        ends = [[rng.random() for _ in RUNGS] for _ in range(self.num_trials)]
        if self.is_rising:
            ends = [[1.0 / (1 + slot)] * len(RUNGS) for slot in range(self.num_trials)]
        self.standings = [waiting(slot) for slot in range(self.num_trials)]
        choose = Halving(RUNGS, factor)
        busy: list[tuple[float, NextTrial]] = []
        now = 0.0
        while True:
            while len(busy) < self.num_workers:
                chosen = choose(self.standings)
                assert chosen == choose_next_trial(self.standings, RUNGS, factor)
                if chosen is None:
                    break
                self.log.append(chosen)
                standing = self.standings[chosen.slot]
                if chosen.account is not None:
                    self._set(chosen.slot, state="pruned", outcome="pruned")
                    continue
                self._set(chosen.slot, state="running")
                trained = RUNGS[len(standing.values) - 1] if standing.values else 0
                cost = (chosen.until_epoch or 0) - trained
                busy.append((now + cost * rng.uniform(0.5, 2), chosen))
            if not busy:
                return self.standings
            busy.sort(key=lambda one: one[0])
            now, chosen = busy.pop(0)
            index = RUNGS.index(chosen.until_epoch)
            values = (*self.standings[chosen.slot].values, ends[chosen.slot][index])
            is_dead = chosen.slot < self.num_dead
            is_last = index == len(RUNGS) - 1
            state = "complete" if is_last else "pruned" if is_dead else "paused"
            outcome = "complete" if is_last else "dead" if is_dead else None
            self._set(chosen.slot, state=state, outcome=outcome, values=values)

    def _set(self, slot: int, **values: object) -> None:
        self.standings[slot] = replace(self.standings[slot], **values)


@pytest.mark.parametrize("num_workers", [1, 3, 20])
@pytest.mark.parametrize(("num_trials", "num_dead"), [(1, 0), (7, 0), (50, 0), (50, 49), (50, 50)])
def test_sweep_ends_with_an_account_of_each(
    num_trials: int, num_dead: int, num_workers: int
) -> None:
    """However many work: each trial begins once, none is left, and where one lives one is whole."""
    replay = Replay(num_trials, num_workers, seed=num_workers, num_dead=num_dead)
    ended = replay.run()
    assert all(standing.state in ("complete", "pruned") for standing in ended)
    begun = [
        chosen.slot
        for chosen in replay.log
        if chosen.until_epoch == RUNGS[0] and not chosen.account
    ]
    assert sorted(begun) == list(range(num_trials))
    num_whole = sum(standing.state == "complete" for standing in ended)
    assert (num_whole > 0) == (num_dead < num_trials)


@pytest.mark.parametrize("is_rising", [False, True])
@pytest.mark.parametrize("num_workers", [1, 8])
def test_share_of_each_rung_has_gone_on(num_workers: int, is_rising: bool) -> None:
    """So many and no more, also where each trial is better than all before it."""
    ended = Replay(60, num_workers, seed=3, is_rising=is_rising).run()
    counts = [sum(len(standing.values) > index for standing in ended) for index in range(3)]
    assert counts == [60, 30, 15]


@pytest.mark.parametrize("num_workers", [1, 8])
def test_last_and_best_trial_comes_to_its_end(num_workers: int) -> None:
    """Those that went on before leave room for better ones that come later."""
    ended = Replay(60, num_workers, seed=3, is_rising=True).run()
    assert ended[-1].state == "complete"

"""What is remembered of the trials that pause is what the database holds, on both back ends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from sweep.search.promotion import Halving
from sweep.storage import claims, epochs, sweeps
from sweep.storage.points import add_points
from sweep.storage.ranking import Ranking
from sweep.storage.standings import Promotion, Standing
from sweep.storage.tables import Epoch
from tests.storage.conftest import HOUR_S, run_out

RUNGS = (1, 2, 4)
LOSS = Ranking(("validation_loss",), (), is_highest_first=False)


def test_rule_that_remembers_sees_what_a_new_one_sees(engine: sa.Engine) -> None:
    """After each of many changes by others, whatever they do with a trial and however often.

    They pause, go on, come to their end, are pruned, fail, are given back and die, or go on without
    a rule; trials are enqueued, and more of them are wanted.
    """
    sweep = sweeps.create_sweep(engine, "long", {}, {}, 20)
    rng = random.Random(1)
    others = Promotion(RUNGS, LOSS, Halving(RUNGS, 2))
    remembering, remembered = look()
    held: list[claims.Claim] = []
    states: set[str] = set()
    for step in range(50):
        if step % 20 == 10:
            sweeps.change_budget(engine, sweep.id, 20 + step // 5)
            add_points(engine, sweep, [{"lr": 0.1}], 0)
        for _ in range(rng.randrange(1, 5)):
            rule = others if rng.random() < 0.95 else None
            if held and rng.random() < 0.55:
                leave(engine, held.pop(rng.randrange(len(held))), rng)
            elif claim := claims.claim_trial(engine, sweep.id, "others", HOUR_S, rule):
                held.append(claim)
        new, told = look()
        for promotion in (remembering, new):
            if claim := claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion):
                held.append(claim)  # given back or lost: nobody is asked
                break
        else:
            assert remembered[-1] == told[-1]
            states |= {standing.state for standing in told[-1]}
    assert states == {"waiting", "running", "paused", "complete", "pruned", "failed"}


def test_trial_that_was_added_and_begun_meanwhile_is_seen(engine: sa.Engine) -> None:
    """Nobody who looks again has heard of it: neither as one that waits nor as one that pauses."""
    sweep = sweeps.create_sweep(engine, "grown", {}, {}, 2)
    others = Promotion(RUNGS, LOSS, Halving(RUNGS, 2))
    remembering, remembered = look()
    for budget in (2, 4, 3, 6):
        sweeps.change_budget(engine, sweep.id, budget)
        for _ in range(2):
            claims.claim_trial(engine, sweep.id, "others", HOUR_S, others)
        new, told = look()
        for promotion in (remembering, new):
            assert claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion) is None
        assert remembered[-1] == told[-1]
    assert [standing.state for standing in remembered[-1]] == ["running"] * 6


def look() -> tuple[Promotion, list[Sequence[Standing]]]:
    """Make a rule that chooses nothing, and the list of what it is told."""
    told: list[Sequence[Standing]] = []
    return Promotion(RUNGS, LOSS, lambda standings: told.append(standings)), told


def leave(engine: sa.Engine, claim: claims.Claim, rng: random.Random) -> None:
    """Train a claimed trial, to its rung or not so far, and leave it in one of many ways."""
    end = partial(claims.finish_claim, engine, claim, reason=None, feasible=True, best_epoch=None)
    if claim.account is not None:
        return end(state="pruned", outcome="pruned")
    until = claim.until_epoch or 4
    way = rng.choice(("rung", "rung", "rung", "dead", "error", "given back", "lost"))
    last = until if way == "rung" else rng.randrange(until)
    losses = [rng.random() for _ in range(last)]
    made = [Epoch(n, n, 2.0, loss, 1, 1, 1, 1, 0, 1e-3, 0.5) for n, loss in enumerate(losses, 1)]
    epochs.record_epochs(engine, claim, made)
    if way == "rung" and until < 4:
        return claims.pause_claim(engine, claim)
    if way == "given back":
        return claims.release_claim(engine, claim)
    if way == "lost":
        return run_out(engine, claim)
    ends = {"rung": ("complete", "complete"), "dead": ("pruned", "dead"), "error": ("failed",) * 2}
    return end(state=ends[way][0], outcome=ends[way][1])

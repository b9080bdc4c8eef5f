"""Trials that pause are claimed by the rule of their search, one at a time, on both back ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from together import run_together

from sweep.search.promotion import choose_next_trial
from sweep.storage import claims, epochs, studies, sweeps
from sweep.storage.backup import back_up
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.errors import LostClaimError
from sweep.storage.migrations import create_tables
from sweep.storage.pace import measure_work_s
from sweep.storage.ranking import Ranking
from sweep.storage.standings import NextTrial, Promotion, Standing
from sweep.storage.tables import Epoch, attempts, trials
from sweep.storage.tables import epochs as epochs_table
from tests.storage.conftest import run_out

HOUR_S = 3600.0
LOSS = Ranking(("validation_loss",), (), is_highest_first=False)
EFFICIENCY = Ranking(("found",), ("found", "missed"), is_highest_first=True)
PROMOTE_ALL = """
import sys
from sweep.storage.claims import claim_trial, finish_claim, pause_claim
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.epochs import record_epochs
from sweep.storage.tables import Epoch
from sweep.storage.migrations import create_tables
from sweep.storage.pace import measure_work_s
from sweep.storage.ranking import Ranking
from sweep.storage.standings import NextTrial, Promotion

def choose(standings):
    for standing in standings:
        if standing.state == "paused":
            return NextTrial(standing.slot, 2)
    for standing in standings:
        if standing.state == "waiting":
            return NextTrial(standing.slot, 1)

engine = open_engine(parse_url(sys.argv[1]))
promotion = Promotion((1, 2), Ranking(("validation_loss",), (), is_highest_first=False), choose)
print("ready", flush=True)
sys.stdin.readline()
while claim := claim_trial(engine, int(sys.argv[2]), sys.argv[3], 3600.0, promotion):
    epoch = Epoch(claim.until_epoch, 10, 2.0, 0.1, 1, 1, 0, 1, 0, 1e-3, 0.5)
    record_epochs(engine, claim, [epoch])
    print(claim.slot, claim.until_epoch, flush=True)
    if claim.until_epoch == 1:
        pause_claim(engine, claim)
    else:
        finish_claim(engine, claim, state="complete", outcome="complete", reason=None,
                     feasible=True, best_epoch=None)
"""


class Rule:
    """Gives choices in an order; remembers what it was told."""

    def __init__(self, *chosen: NextTrial | None) -> None:
        self.chosen = list(chosen)
        self.told: list[Sequence[Standing]] = []

    def __call__(self, standings: Sequence[Standing]) -> NextTrial | None:
        self.told.append(list(standings))
        return self.chosen.pop(0) if self.chosen else None


def promote(*chosen: NextTrial | None, ranking: Ranking = LOSS) -> tuple[Promotion, Rule]:
    """Make a rule with the rungs 1, 2 and 4 that gives these."""
    rule = Rule(*chosen)
    return Promotion((1, 2, 4), ranking, rule), rule


def take(
    engine: sa.Engine, sweep: sweeps.Sweep, *chosen: NextTrial | None, worker: str = "a"
) -> claims.Claim:
    """Claim by a rule that gives these."""
    claim = claims.claim_trial(engine, sweep.id, worker, HOUR_S, promote(*chosen)[0])
    assert claim is not None
    return claim


def record(engine: sa.Engine, claim: claims.Claim, *losses: float, first: int = 1) -> None:
    """Record epochs; half of the peaks are found."""
    made = [
        Epoch(number, 10 * number, 2.0, loss, 1, 1, 1, 1, 0, 1e-3, 0.5)
        for number, loss in enumerate(losses, first)
    ]
    epochs.record_epochs(engine, claim, made)


def test_rule_that_ends_or_begins_leaves_no_trial_behind(
    engine: sa.Engine, sweep: sweeps.Sweep
) -> None:
    """Without one a paused trial goes on to its end; one that was begun so never pauses later, and
    is compared with none.
    """
    claims.pause_claim(engine, take(engine, sweep, NextTrial(0, 2)))
    freed = claims.claim_trial(engine, sweep.id, "a", HOUR_S)
    assert freed is not None
    assert (freed.slot, freed.attempt, freed.until_epoch) == (0, 2, None)
    record(engine, freed, 0.5, 0.4)
    claims.release_claim(engine, freed)
    again = take(engine, sweep, NextTrial(1, 1))
    assert (again.slot, again.until_epoch) == (0, None)
    promotion, rule = promote(NextTrial(1, 1))
    assert claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion) is not None
    assert rule.told == [[Standing(1, "waiting"), Standing(2, "waiting")]]


def test_rule_sees_all_trials_at_their_rungs(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """Only the epochs of rungs count; states and outcomes are those of the moment."""
    first = take(engine, sweep, NextTrial(0, 2))
    record(engine, first, 0.5, 0.4)
    claims.pause_claim(engine, first)
    second = take(engine, sweep, NextTrial(1, 4))
    record(engine, second, 0.6, 0.7, 0.8)
    promotion, rule = promote(None)
    assert claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion) is None
    expected = [
        Standing(0, "paused", None, (0.5, 0.4)),
        Standing(1, "running", None, (0.6, 0.7)),
        Standing(2, "waiting"),
    ]
    assert rule.told == [expected]
    counts = sweeps.count_trials(engine, sweep.id)
    assert counts == sweeps.TrialCounts(1, 1, 0, 0, 0, paused=1)
    assert (counts.budget, counts.unfinished, counts.idle) == (3, 3, 2)


def test_lower_is_better_for_every_objective(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """A rate that is best when it is high comes with its sign turned."""
    held = take(engine, sweep, NextTrial(0, 2))
    record(engine, held, 0.5)
    promotion, rule = promote(None, ranking=EFFICIENCY)
    claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion)
    assert rule.told[0][0].values == (-0.5,)


def test_standing_has_what_is_beside_its_ranking(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """At the same rungs, each with the sign that makes lower better."""
    held = take(engine, sweep, NextTrial(0, 2))
    record(engine, held, 0.5, 0.4)
    claims.pause_claim(engine, held)
    promotion, rule = promote(None, ranking=replace(LOSS, beside=(EFFICIENCY, LOSS)))
    claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion)
    assert rule.told[0][0].values == (0.5, 0.4)
    assert rule.told[0][0].beside == ((-0.5, 0.5), (-0.5, 0.4))


def test_paused_trial_goes_on_as_the_same(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """Any worker takes it, up to the epoch that the rule says, and no attempt counts as lost."""
    first = take(engine, sweep, NextTrial(0, 1))
    assert (first.slot, first.until_epoch, first.account) == (0, 1, None)
    claims.pause_claim(engine, first)
    again = take(engine, sweep, NextTrial(0, 4), worker="b")
    assert again.trial_id == first.trial_id
    assert (again.attempt, again.num_lost, again.until_epoch) == (2, 0, 4)
    with engine.connect() as connection:
        query = sa.select(attempts.c.ending).order_by(attempts.c.attempt)
        assert list(connection.execute(query).scalars()) == ["paused", None]


def test_pause_can_be_repeated_and_only_by_its_holder(
    engine: sa.Engine, sweep: sweeps.Sweep
) -> None:
    """After a broken connection the same pause is no loss; a late worker's is refused."""
    held = take(engine, sweep, NextTrial(0, 1))
    claims.pause_claim(engine, held)
    claims.pause_claim(engine, held)
    late = take(engine, sweep, NextTrial(0, 2))
    run_out(engine, late)
    take(engine, sweep, worker="b")
    with pytest.raises(LostClaimError, match="the claim of a ran out"):
        claims.pause_claim(engine, late)


def test_ending_comes_with_its_account(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """A choice that ends a paused trial is a claim like any other."""
    claims.pause_claim(engine, take(engine, sweep, NextTrial(0, 1)))
    claim = take(engine, sweep, NextTrial(0, 1, "ranked last"))
    assert (claim.slot, claim.account) == (0, "ranked last")


def test_lost_trial_comes_before_the_rule(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """It goes on to the epoch that its worker was sent to."""
    lost = take(engine, sweep, NextTrial(1, 2))
    run_out(engine, lost)
    promotion, rule = promote(NextTrial(0, 1))
    claim = claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion)
    assert claim is not None
    assert (claim.slot, claim.until_epoch, claim.num_lost) == (1, 2, 1)
    assert rule.told == []


def test_trial_given_back_comes_before_the_rule(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """Whoever was asked to stop on the way to a rung has begun what the rule has chosen."""
    claims.release_claim(engine, take(engine, sweep, NextTrial(2, 4)))
    claim = take(engine, sweep, NextTrial(0, 1))
    assert (claim.slot, claim.until_epoch) == (2, 4)


def test_rule_is_asked_again_where_somebody_else_was_quicker(postgres_url: str) -> None:
    """A trial that another worker has just taken is told as running, and not waited for."""
    engine = create_engine(parse_url(postgres_url))
    create_tables(engine)
    sweep = sweeps.create_sweep(engine, "cnn", {}, {}, 3)
    rule = Rule(NextTrial(0, 1), NextTrial(1, 1))
    with engine.begin() as other:
        other.execute(sa.select(trials).where(trials.c.slot == 0).with_for_update())
        claim = claims.claim_trial(engine, sweep.id, "b", HOUR_S, Promotion((1, 2), LOSS, rule))
    assert claim is not None
    assert claim.slot == 1
    assert [told[0].state for told in rule.told] == ["waiting", "running"]


def test_trial_that_somebody_else_ends_has_not_gone_on(postgres_url: str) -> None:
    """The rule is asked again without it at the rung where it ends, as if it had not got there."""
    engine = create_engine(parse_url(postgres_url))
    create_tables(engine)
    sweep = sweeps.create_sweep(engine, "cnn", {}, {}, 3)
    held = take(engine, sweep, NextTrial(0, 1))
    record(engine, held, 0.5)
    claims.pause_claim(engine, held)
    rule = Rule(NextTrial(0, 1, "ranked last"), NextTrial(1, 1))
    with engine.begin() as other:
        other.execute(sa.select(trials).where(trials.c.slot == 0).with_for_update())
        claims.claim_trial(engine, sweep.id, "b", HOUR_S, Promotion((1, 2), LOSS, rule))
    assert [told[0].values for told in rule.told] == [(0.5,), ()]


def test_trial_on_its_way_to_a_rung_takes_no_place_of_those_that_go_on(engine: sa.Engine) -> None:
    """Neither one that is being ended at its rung nor one that is not paused there yet.

    Of six at most three go on. Two did, and the third best of four may be the third: ended is the
    fourth alone, also for who asks meanwhile.
    """
    sweep = sweeps.create_sweep(engine, "six", {}, {}, 6)
    promotion = Promotion((1, 2), LOSS, lambda known: choose_next_trial(known, (1, 2), 2))

    def claim() -> claims.Claim:
        found = claims.claim_trial(engine, sweep.id, "b", HOUR_S, promotion)
        assert found is not None
        return found

    for slot in range(4):
        held = take(engine, sweep, NextTrial(slot, 1))
        record(engine, held, 0.1 * (slot + 1))
        claims.pause_claim(engine, held)
    promoted = [claim() for _ in range(2)]
    assert [(one.slot, one.until_epoch) for one in promoted] == [(0, 2), (1, 2)]
    ending = claim()
    assert (ending.slot, ending.account is None) == (3, False)
    begun = claim()
    assert (begun.slot, begun.account) == (4, None)
    record(engine, begun, 0.05)
    again = claim()
    assert (again.slot, again.account) == (5, None)


def test_two_workers_at_a_rung_let_no_more_go_on_than_may(
    postgres_url: str, open_database: Callable[[str], sa.Engine]
) -> None:
    """One of three may: while a worker chooses, a better trial pauses and another worker asks."""
    engine = open_database(postgres_url)
    sweep = sweeps.create_sweep(engine, "four", {}, {}, 4)
    *others, better = (take(engine, sweep, NextTrial(slot, 1)) for slot in range(3))
    for one in others:
        record(engine, one, 0.5)
        claims.pause_claim(engine, one)
    record(engine, better, 0.4)
    with ThreadPoolExecutor() as pool:
        asked: list[Future[claims.Claim | None]] = []

        def choose(known: Sequence[Standing]) -> NextTrial | None:
            """Choose as two do who see each other's choice only where they wait for it."""
            chosen = choose_next_trial(known, (1, 2), 2)
            if not asked:
                claims.pause_claim(engine, better)
                asked.append(pool.submit(claim, "b"))
                wait_for_lock(engine, asked[0])
            return chosen

        def claim(worker: str) -> claims.Claim | None:
            return claims.claim_trial(engine, sweep.id, worker, HOUR_S, promotion)

        promotion = Promotion((1, 2), LOSS, choose)
        found = [claim("a"), asked[0].result()]
    assert [one and (one.slot, one.until_epoch) for one in found] == [(0, 2), (1, 1)]


def wait_for_lock(engine: sa.Engine, other: Future[Any]) -> None:
    """Wait until somebody else waits for a lock, or is done."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while not other.done():
        with engine.connect() as connection:
            if connection.execute(waiting).scalar_one():
                return


def test_sweep_with_paused_trials_is_open(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """A worker looks at a sweep as long as one of its trials may go on."""
    for slot in range(3):
        claims.pause_claim(engine, take(engine, sweep, NextTrial(slot, 1)))
    assert [found.name for found in sweeps.list_open_sweeps(engine)] == ["cnn"]
    assert sweeps.change_budget(engine, sweep.id, 1) == 3


def test_many_processes_promote_each_trial_once(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    """Two processes at once: each trial is begun once, paused, and promoted once."""
    sweep = sweeps.create_sweep(engine, "many", {}, {}, 30)
    script = tmp_path / "promote_all.py"
    script.write_text(PROMOTE_ALL)
    names = [f"worker-{index}" for index in range(2)]
    done = run_together(script, [[database_url, str(sweep.id), name] for name in names])
    assert sorted(done) == sorted(f"{slot} {epoch}" for slot in range(30) for epoch in (1, 2))
    assert sweeps.count_trials(engine, sweep.id) == sweeps.TrialCounts(0, 0, 30, 0, 0)


def test_work_is_the_time_that_trials_were_in_hand(engine: sa.Engine, sweep: sweeps.Sweep) -> None:
    """Pauses do not count, nor what a lost worker did after its last epoch."""
    first = take(engine, sweep, NextTrial(0, 1))
    claims.pause_claim(engine, first)
    lost = take(engine, sweep, NextTrial(0, 2))
    record(engine, lost, 0.5)
    run_out(engine, lost)
    take(engine, sweep, worker="b")
    times = {1: (100.0, 130.0), 2: (1000.0, 9000.0), 3: (9000.0, None)}
    with engine.begin() as connection:
        for number, (started_s, ended_s) in times.items():
            connection.execute(
                attempts.update()
                .where(attempts.c.attempt == number)
                .values(started_s=started_s, ended_s=ended_s)
            )
        connection.execute(epochs_table.update().values(recorded_s=1007.0))
    assert measure_work_s(engine, sweep.id) == 37.0


def test_backup_keeps_pauses(
    engine: sa.Engine, sweep: sweeps.Sweep, database_url: str, tmp_path: Path
) -> None:
    """In the copy a paused trial is paused at its rung, and one in training goes on to its own."""
    claims.pause_claim(engine, take(engine, sweep, NextTrial(0, 1)))
    take(engine, sweep, NextTrial(1, 2))
    studies.open_study_storage(parse_url(database_url))
    back_up(parse_url(database_url), tmp_path / "copy.db", lambda _done, _total: None)
    copy = create_engine(parse_url(f"sqlite:///{tmp_path / 'copy.db'}"))
    assert sweeps.count_trials(copy, sweep.id) == sweeps.TrialCounts(2, 0, 0, 0, 0, paused=1)
    claim = take(copy, sweep, NextTrial(2, 1))
    assert (claim.slot, claim.until_epoch) == (1, 2)

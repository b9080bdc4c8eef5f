"""Where the trials of a sweep stand that pause to be compared, and what is to be done next.

Which trial goes on is the search's to say: a pure function of the standings chooses. Who stands
where is read in the transaction that claims, by one statement, so that it is of one moment; what a
trial came to at a rung never changes. One worker chooses at a time: two who chose by what was
before the other's choice would let one more go on than may.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.ranking import Ranking
from sweep.storage.sweeps import PAUSED, RUNNING, WAITING, lock_sweep
from sweep.storage.tables import epochs, sweeps, trials
from sweep.storage.transactions import read, tell_time_s

MOST_NAMED = 2000
"""Trials that a statement names; more are asked for as all of their sweep."""
NUM_TOGETHER = 16
"""Trials of neighbouring slots that are asked for as one, with a bit for each that is paused."""


@dataclass(frozen=True)
class Standing:
    """Where one trial stands.

    Attributes:
        slot: Of the budget, from 0.
        state: waiting, running, paused, complete, pruned or failed. A trial that was begun and
            given back between two rungs counts as running: it goes on before anything is chosen.
        outcome: Of a finished trial, the state more closely; None before.
        values: The objective at each rung that it has reached, in their order; lower is better. A
            running one has not reached the rung that it was sent to, also where it is ended there.
        beside: What its ranking has beside it, at the same rungs; lower is better.
    """

    slot: int
    state: str
    outcome: str | None = None
    values: tuple[float, ...] = ()
    beside: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class NextTrial:
    """What a worker is to do next: which trial, and how far.

    Attributes:
        until_epoch: It trains up to this epoch, and is paused there unless it is the last; None to
            its end.
        account: Why a paused trial never goes on: it is ended. None where it trains.
    """

    slot: int
    until_epoch: int | None
    account: str | None = None


_Mark = tuple[int, int]
"""Which trials of a group are paused, a bit for each, and how often these were claimed: no other is
paused, and none was claimed meanwhile, where both are as before."""


@dataclass
class _Known:
    """What was read of the trials of a sweep.

    Attributes:
        budget: How many there are, by which it shows that some were added.
        standings: Where those stand that nobody has begun, or that are compared, by slot.
        unbegun: The slots of the former.
        unsettled: Slots of those that are read each time: they were on their way, or are paused
            and no mark says so.
        marks: Of the groups in which trials are paused.
    """

    budget: int = -1
    standings: dict[int, Standing] = field(default_factory=dict)
    unbegun: set[int] = field(default_factory=set)
    unsettled: set[int] = field(default_factory=set)
    marks: dict[int, _Mark] = field(default_factory=dict)

    def note(self, slot: int, standing: Standing | None) -> None:
        """Note where a trial stands; None where it is gone, or compared no more."""
        self.unsettled.discard(slot)
        if standing is None:
            self.standings.pop(slot, None)
            return
        self.standings[slot] = standing
        group, bit = divmod(slot, NUM_TOGETHER)
        is_marked = self.marks.get(group, (0, 0))[0] >> bit & 1
        if standing.state == RUNNING or (standing.state == PAUSED and not is_marked):
            self.unsettled.add(slot)


@dataclass(frozen=True)
class Promotion:
    """How the next trial of a sweep is chosen whose trials pause.

    Attributes:
        rungs: The epochs at which trials are compared, rising; the last one is a trial's end.
        choose: Chooses the next trial, or None where there is none before others are further.
    """

    rungs: Sequence[int]
    ranking: Ranking
    choose: Callable[[Sequence[Standing]], NextTrial | None]
    known: dict[tuple[sa.Engine, int], _Known] = field(
        default_factory=dict, compare=False, repr=False
    )
    """What was read, by database and sweep."""


def read_ahead(engine: sa.Engine, sweep_id: int, promotion: Promotion) -> None:
    """Read where the trials of a sweep stand, where that was never read, and hold nothing.

    The first reading of thousands takes a second, for which nobody else could claim, or on SQLite
    write at all.
    """
    if (engine, sweep_id) not in promotion.known:
        read(_read_standings)(engine, sweep_id, promotion)


def choose_trial(
    connection: sa.Connection, sweep_id: int, promotion: Promotion | None
) -> tuple[sa.Row[Any], NextTrial] | None:
    """Lock the first trial that lost its worker, or else the first that waits.

    With a rule that is the first that was given back on its way, or else what it chooses. Without
    one it may be one that paused under the rule of before: it goes on to its end.

    Returns:
        The trial's row and what is to be done, or None where there is nothing now.
    """
    for kind in ("lost", "begun" if promotion else "free"):
        row = _lock_first(connection, kind, of_sweep=sweep_id)
        if row is not None:
            return row, NextTrial(row.slot, row.until_epoch if promotion else None)
    if promotion is None:
        return None
    lock_sweep(connection, sweep_id)
    known = _read_standings(connection, sweep_id, promotion)
    standings = known.standings
    while (next_trial := promotion.choose(list(standings.values()))) is not None:
        standing = standings[next_trial.slot]
        this = {"slot": next_trial.slot, "state": standing.state}
        row = _lock_first(connection, "chosen", of_sweep=sweep_id, **this)
        if row is not None:
            return row, next_trial
        num_reached = sum(epoch < (next_trial.until_epoch or math.inf) for epoch in promotion.rungs)
        supposed = replace(standing, state=RUNNING, values=standing.values[:num_reached])
        known.note(next_trial.slot, supposed)  # somebody else has it now, likely for the same
    return None


def _lock_first(connection: sa.Connection, kind: str, **values: Any) -> sa.Row[Any] | None:
    """Lock the first trial of a kind that nobody else holds locked."""
    return connection.execute(_make_lock(kind, tell_time_s(connection)), values).first()


@cache
def _make_lock(kind: str, now_s: sa.ColumnElement[float]) -> sa.Select[Any]:
    """Make what locks the first trial that is lost, was begun and waits, is free, or is chosen."""
    state = trials.c.state
    conditions = {
        "lost": (state == RUNNING, trials.c.lease_until_s < now_s),
        "begun": (state == WAITING, trials.c.attempts > 0),
        "free": (state.in_((WAITING, PAUSED)),),
        "chosen": (trials.c.slot == sa.bindparam("slot"), state == sa.bindparam("state")),
    }
    return (
        sa.select(trials)
        .where(trials.c.sweep_id == sa.bindparam("of_sweep"), *conditions[kind])
        .order_by(trials.c.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _read_standings(connection: sa.Connection, sweep_id: int, promotion: Promotion) -> _Known:
    """Read where all trials of a sweep stand.

    What a trial came to at a rung stays, and so does one that is finished. Of one that is paused or
    that nobody has begun it is asked whether it still is, in one go; read is what is not, and what
    was on its way.
    A trial that was begun before the sweep had rungs never pauses, and is compared with none. Those
    that nobody has begun are read first, so that none is missing that is begun meanwhile.
    """
    known = promotion.known.get((connection.engine, sweep_id), _Known())
    budget, unbegun = _read_unbegun(connection, sweep_id)
    marks = {row[0]: (row[1], row[2]) for row in _read_marks(connection, sweep_id)}
    begun = known.unbegun - unbegun
    slots = known.unsettled | begun | _list_changed(known.marks, marks)
    found = None
    if budget == known.budget:
        found = _read_begun(connection, sweep_id, promotion, slots)
    if found is None or not begun <= found.keys():  # there may be others, of slots never heard of
        known, slots = _Known(), set()
        found = _read_begun(connection, sweep_id, promotion, None)
    new = {slot: Standing(slot, WAITING) for slot in unbegun - known.unbegun} | found
    is_ordered = known.standings.keys() >= new.keys()
    known.budget, known.unbegun, known.marks = budget, unbegun, marks
    for slot in slots | new.keys():
        known.note(slot, new.get(slot))
    if not is_ordered:
        known.standings = dict(sorted(known.standings.items()))
    promotion.known[connection.engine, sweep_id] = known
    return known


def _list_changed(before: Mapping[int, _Mark], now: Mapping[int, _Mark]) -> set[int]:
    """List the trials of groups whose marks are not as they were that are paused or were."""
    return {
        group * NUM_TOGETHER + bit
        for group in before.keys() | now.keys()
        if before.get(group) != now.get(group)
        for bit in range(NUM_TOGETHER)
        if (before.get(group, (0, 0))[0] | now.get(group, (0, 0))[0]) >> bit & 1
    }


def _read_marks(connection: sa.Connection, sweep_id: int) -> Sequence[Any]:
    return connection.execute(_ask_marks(), {"of_sweep": sweep_id}).all()


@cache
def _ask_marks() -> sa.Select[Any]:
    group = trials.c.slot // NUM_TOGETHER
    bit = sa.literal_column("1").bitwise_lshift(trials.c.slot % NUM_TOGETHER)
    return (
        sa.select(group, sa.func.sum(bit), sa.func.sum(trials.c.attempts))
        .where(trials.c.state == PAUSED, *_list_compared())
        .group_by(group)
    )


def _list_compared() -> tuple[sa.ColumnElement[bool], ...]:
    """List what holds of a sweep's trials that have begun and are compared."""
    mine = trials.c.sweep_id == sa.bindparam("of_sweep")
    return mine, trials.c.attempts > 0, trials.c.until_epoch.is_not(None)


def _read_begun(
    connection: sa.Connection, sweep_id: int, promotion: Promotion, slots: Collection[int] | None
) -> dict[int, Standing]:
    """Read where the trials of some slots stand that have begun, by slot; all where it is None."""
    if slots is not None and not slots:
        return {}
    is_part = slots is not None and len(slots) <= MOST_NAMED
    asked = {"of_sweep": sweep_id, **({"slots": list(slots or ())} if is_part else {})}
    rows = connection.execute(_ask_begun(is_part), asked).all()
    values = _read_values(connection, promotion, is_part, asked)
    found = {}
    for slot, state, outcome, until_epoch in rows:
        # A paused one may have been promoted since, and be further now. A running one comes to
        # its rung when it pauses there: before, or where it is ended, it has not gone on.
        last = {PAUSED: until_epoch, RUNNING: until_epoch - 1}.get(state, math.inf)
        reached = [one for one in values.get(slot, ()) if one[0] <= last]
        own, beside = (tuple(one[part] for one in reached) for part in (1, 2))
        found[slot] = Standing(slot, state, outcome, own, beside if any(beside) else ())
    return found


@cache
def _ask_begun(is_part: bool) -> sa.Select[Any]:
    given_back = sa.and_(trials.c.state == WAITING, trials.c.attempts > 0)
    state = sa.case((given_back, RUNNING), else_=trials.c.state)
    query = sa.select(trials.c.slot, state, trials.c.outcome, trials.c.until_epoch)
    return _narrow(query.where(*_list_compared()), is_part)


def _narrow(query: sa.Select[Any], is_part: bool) -> sa.Select[Any]:
    """Narrow a query of trials to the `slots`, where it is of a part of them."""
    if not is_part:
        return query
    return query.where(trials.c.slot.in_(sa.bindparam("slots", expanding=True)))


def _read_unbegun(connection: sa.Connection, sweep_id: int) -> tuple[int, set[int]]:
    """Read a sweep's budget, and which trials nobody has begun; mostly all from a slot on."""
    ask_ends, ask_all = _ask_unbegun()
    asked = {"of_sweep": sweep_id}
    first, last, number, budget = connection.execute(ask_ends, asked).one()
    if not number:
        return budget, set()
    if last - first + 1 == number:
        return budget, set(range(first, last + 1))
    return budget, set(connection.execute(ask_all, asked).scalars())


@cache
def _ask_unbegun() -> tuple[Any, Any]:
    """Ask for the first, the last and the number of those that nobody has begun, and for all."""
    mine = trials.c.sweep_id == sa.bindparam("of_sweep")
    waits = (mine, trials.c.state == WAITING, trials.c.attempts == 0)
    this = sweeps.c.id == sa.bindparam("of_sweep")
    budget = sa.select(sweeps.c.budget).where(this).scalar_subquery()
    slot = trials.c.slot
    ends = sa.select(sa.func.min(slot), sa.func.max(slot), sa.func.count(), budget)
    return ends.where(*waits), sa.select(slot).where(*waits)


def _read_values(
    connection: sa.Connection, promotion: Promotion, is_part: bool, asked: Mapping[str, Any]
) -> dict[int, list[tuple[Any, ...]]]:
    """Read what trials came to at each rung that they have reached, by slot.

    Returns:
        Of each rung the epoch, the value, and what the ranking has beside it.
    """
    values: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    query, rungs = _ask_values(promotion.ranking, is_part), {"rungs": list(promotion.rungs)}
    for slot, epoch, value, *others in connection.execute(query, {**asked, **rungs}):
        values[slot].append((epoch, value, tuple(others)))
    return values


@cache
def _ask_values(ranking: Ranking, is_part: bool) -> sa.Select[Any]:
    beside = [one.sign * one.make_value() for one in ranking.beside]
    query = (
        sa.select(trials.c.slot, epochs.c.epoch, ranking.sign * ranking.make_rung_value(), *beside)
        .join(epochs, epochs.c.trial_id == trials.c.id)
        .where(
            trials.c.sweep_id == sa.bindparam("of_sweep"),
            epochs.c.epoch.in_(sa.bindparam("rungs", expanding=True)),
        )
        .order_by(trials.c.slot, epochs.c.epoch)
    )
    return _narrow(query, is_part)

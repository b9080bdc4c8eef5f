"""Where the trials of a sweep stand that pause to be compared, and what is to be done next.

Which trial goes on is the search's to say: a pure function of the standings chooses. Who stands
where is read in the transaction that claims, by one statement, so that it is of one moment; what a
trial came to at a rung never changes. One worker chooses at a time: two who chose by what was
before the other's choice would let one more go on than may.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.ranking import Ranking
from sweep.storage.sweeps import PAUSED, RUNNING, WAITING, lock_sweep
from sweep.storage.tables import epochs, trials
from sweep.storage.transactions import read

MOST_NAMED = 2000
"""Trials that a statement names; more are asked for as all of their sweep."""
NUM_TOGETHER = 10
"""Trials of neighbouring slots that are read together, where one of them is not as it was."""


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


@dataclass
class _Known:
    """What was read of the trials of a sweep.

    Attributes:
        begun: Where those stand that have begun and are compared, by slot.
        unbegun: Those that nobody has begun, by slot.
        marks: Of each NUM_TOGETHER trials that have begun how many they are, and how often they
            were claimed: none has changed where both are as before, but one that was on its way.
    """

    begun: dict[int, Standing] = field(default_factory=dict)
    unbegun: dict[int, Standing] = field(default_factory=dict)
    marks: dict[int, tuple[int, int]] = field(default_factory=dict)


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
    connection: sa.Connection, sweep_id: int, now_s: float, promotion: Promotion | None
) -> tuple[sa.Row[Any], NextTrial] | None:
    """Lock the first trial that lost its worker, or else the first that waits.

    With a rule that is the first that was given back on its way, or else what it chooses. Without
    one it may be one that paused under the rule of before: it goes on to its end.

    Returns:
        The trial's row and what is to be done, or None where there is nothing now.
    """
    for kind in ("lost", "begun" if promotion else "free"):
        row = _lock_first(connection, kind, of_sweep=sweep_id, now_s=now_s)
        if row is not None:
            return row, NextTrial(row.slot, row.until_epoch if promotion else None)
    if promotion is None:
        return None
    lock_sweep(connection, sweep_id)
    standings = _read_standings(connection, sweep_id, promotion)
    while (next_trial := promotion.choose(list(standings.values()))) is not None:
        standing = standings[next_trial.slot]
        this = {"slot": next_trial.slot, "state": standing.state}
        row = _lock_first(connection, "chosen", of_sweep=sweep_id, **this)
        if row is not None:
            return row, next_trial
        num_reached = sum(epoch < (next_trial.until_epoch or math.inf) for epoch in promotion.rungs)
        standings[next_trial.slot] = replace(  # somebody else has it now, likely for the same
            standing, state=RUNNING, values=standing.values[:num_reached]
        )
    return None


def _lock_first(connection: sa.Connection, kind: str, **values: Any) -> sa.Row[Any] | None:
    """Lock the first trial of a kind that nobody else holds locked."""
    return connection.execute(_make_lock(kind), values).first()


@cache
def _make_lock(kind: str) -> sa.Select[Any]:
    """Make what locks the first trial that is lost, was begun and waits, is free, or is chosen."""
    state = trials.c.state
    conditions = {
        "lost": (state == RUNNING, trials.c.lease_until_s < sa.bindparam("now_s")),
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


def _read_standings(
    connection: sa.Connection, sweep_id: int, promotion: Promotion
) -> dict[int, Standing]:
    """Read where all trials of a sweep stand, by slot.

    What a trial came to at a rung stays, so that it is read once where the trial's state says which
    rungs it has reached; of one that is on its way it is read each time.
    A trial that was begun before the sweep had rungs never pauses, and is compared with none. Those
    that nobody has begun are read first, so that none is missing that is begun meanwhile.
    """
    known = promotion.known.setdefault((connection.engine, sweep_id), _Known())
    unbegun = _list_unbegun(connection, sweep_id)
    known.unbegun = {slot: known.unbegun.get(slot) or Standing(slot, WAITING) for slot in unbegun}
    _renew(connection, sweep_id, promotion, known)
    return {slot: known.begun[slot] for slot in sorted(known.begun)} | known.unbegun


def _renew(connection: sa.Connection, sweep_id: int, promotion: Promotion, known: _Known) -> None:
    """Read those trials anew that have begun and are not as they were, or on their way."""
    counted = connection.execute(_ask_marks(), {"of_sweep": sweep_id})
    marks = {row[0]: tuple(row[1:]) for row in counted}
    changed = [first for first in marks | known.marks if marks.get(first) != known.marks.get(first)]
    slots = {slot for first in changed for slot in range(first, first + NUM_TOGETHER)}
    slots |= {slot for slot, standing in known.begun.items() if standing.state == RUNNING}
    rows = _read_begun(connection, sweep_id, slots)
    values = _read_values(connection, sweep_id, promotion, slots)
    found = {}
    for slot, state, outcome, until_epoch in rows:
        # A paused one may have been promoted since, and be further now. A running one comes to
        # its rung when it pauses there: before, or where it is ended, it has not gone on.
        last = {PAUSED: until_epoch, RUNNING: until_epoch - 1}.get(state, math.inf)
        reached = [one for one in values.get(slot, ()) if one[0] <= last]
        own, beside = (tuple(one[part] for one in reached) for part in (1, 2))
        found[slot] = Standing(slot, state, outcome, own, beside if any(beside) else ())
    for slot in slots:
        known.begun.pop(slot, None)
    known.begun |= found
    known.marks = marks


@cache
def _ask_marks() -> sa.Select[Any]:
    first = trials.c.slot - trials.c.slot % NUM_TOGETHER
    return (
        sa.select(first, sa.func.count(), sa.func.sum(trials.c.attempts))
        .where(*_list_compared())
        .group_by(first)
    )


def _list_compared() -> tuple[sa.ColumnElement[bool], ...]:
    """List what holds of a sweep's trials that have begun and are compared."""
    mine = trials.c.sweep_id == sa.bindparam("of_sweep")
    return mine, trials.c.attempts > 0, trials.c.until_epoch.is_not(None)


def _read_begun(connection: sa.Connection, sweep_id: int, slots: Collection[int]) -> Sequence[Any]:
    """Read slot, state, outcome and goal of the trials of some slots; all of too many."""
    if not slots:
        return []
    is_part = len(slots) <= MOST_NAMED
    asked = {"of_sweep": sweep_id, **({"slots": list(slots)} if is_part else {})}
    return connection.execute(_ask_begun(is_part), asked).all()


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


def _list_unbegun(connection: sa.Connection, sweep_id: int) -> Sequence[int]:
    """List the trials that nobody has begun; they are mostly all from a slot on."""
    ask_ends, ask_all = _ask_unbegun()
    first, last, number = connection.execute(ask_ends, {"of_sweep": sweep_id}).one()
    if not number:
        return ()
    if last - first + 1 == number:
        return range(first, last + 1)
    return list(connection.execute(ask_all, {"of_sweep": sweep_id}).scalars())


@cache
def _ask_unbegun() -> tuple[Any, Any]:
    """Ask for the first, the last and the number of those that nobody has begun, and for all."""
    mine = trials.c.sweep_id == sa.bindparam("of_sweep")
    waits = (mine, trials.c.state == WAITING, trials.c.attempts == 0)
    ends = sa.select(sa.func.min(trials.c.slot), sa.func.max(trials.c.slot), sa.func.count())
    all_ = sa.select(trials.c.slot).order_by(trials.c.slot)
    return ends.where(*waits), all_.where(*waits)


def _read_values(
    connection: sa.Connection, sweep_id: int, promotion: Promotion, slots: Collection[int]
) -> dict[int, list[tuple[Any, ...]]]:
    """Read what trials came to at each rung that they have reached, by slot; all of too many.

    Returns:
        Of each rung the epoch, the value, and what the ranking has beside it.
    """
    if not slots:
        return {}
    is_part = len(slots) <= MOST_NAMED
    asked = {"of_sweep": sweep_id, "rungs": list(promotion.rungs)}
    asked |= {"slots": list(slots)} if is_part else {}
    values: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for slot, epoch, value, *others in connection.execute(
        _ask_values(promotion.ranking, is_part), asked
    ):
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

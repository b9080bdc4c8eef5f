"""Where the trials of a sweep stand that pause to be compared, and what is to be done next.

Which trial goes on is the search's to say: a pure function of the standings chooses. Who stands
where is read in the transaction that claims, by one statement, so that it is of one moment; what a
trial came to at a rung never changes. One worker chooses at a time: two who chose by what was
before the other's choice would let one more go on than may.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from sweep.storage.ranking import Ranking
from sweep.storage.sweeps import PAUSED, RUNNING, WAITING, lock_sweep
from sweep.storage.tables import epochs, trials
from sweep.storage.transactions import read

MOST_NAMED = 500
"""Trials that a statement names; more are asked for as all of their sweep."""


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
    known: dict[tuple[sa.Engine, int], dict[int, tuple[tuple[Any, ...], Standing]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Standings that were read, by database and sweep, then by slot, with the state they are of."""


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
    mine = trials.c.sweep_id == sweep_id
    lost = sa.and_(trials.c.state == RUNNING, trials.c.lease_until_s < now_s)
    begun = sa.and_(trials.c.state == WAITING, trials.c.attempts > 0)
    waiting = begun if promotion else trials.c.state.in_((WAITING, PAUSED))
    for is_free in (lost, waiting):
        row = _lock_first(connection, mine, is_free)
        if row is not None:
            return row, NextTrial(row.slot, row.until_epoch if promotion else None)
    if promotion is None:
        return None
    lock_sweep(connection, sweep_id)
    standings = _read_standings(connection, sweep_id, promotion)
    while (next_trial := promotion.choose(list(standings.values()))) is not None:
        standing = standings[next_trial.slot]
        row = _lock_first(
            connection, mine, trials.c.slot == next_trial.slot, trials.c.state == standing.state
        )
        if row is not None:
            return row, next_trial
        num_reached = sum(epoch < (next_trial.until_epoch or math.inf) for epoch in promotion.rungs)
        standings[next_trial.slot] = replace(  # somebody else has it now, likely for the same
            standing, state=RUNNING, values=standing.values[:num_reached]
        )
    return None


def _lock_first(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> sa.Row[Any] | None:
    """Lock the first trial that nobody else holds locked."""
    return connection.execute(
        sa.select(trials)
        .where(*conditions)
        .order_by(trials.c.slot)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def _read_standings(
    connection: sa.Connection, sweep_id: int, promotion: Promotion
) -> dict[int, Standing]:
    """Read where all trials of a sweep stand, by slot.

    What a trial came to at a rung stays, so that it is read once where the trial's state says which
    rungs it has reached; of one that is on its way it is read each time.
    A trial that was begun before the sweep had rungs never pauses, and is compared with none. Those
    that nobody has begun are read first, so that none is missing that is begun meanwhile.
    """
    known = promotion.known.setdefault((connection.engine, sweep_id), {})
    unbegun = _list_unbegun(connection, sweep_id)
    for slot in unbegun:
        if slot not in known or known[slot][1].state != WAITING:
            known[slot] = (), Standing(slot, WAITING)
    given_back = sa.and_(trials.c.state == WAITING, trials.c.attempts > 0)
    is_compared = sa.and_(trials.c.attempts > 0, trials.c.until_epoch.is_not(None))
    found = connection.execute(
        sa.select(
            trials.c.slot,
            sa.case((given_back, RUNNING), else_=trials.c.state),
            trials.c.outcome,
            trials.c.until_epoch,
        )
        .where(trials.c.sweep_id == sweep_id, is_compared)
        .order_by(trials.c.slot)
    )
    rows: list[tuple[Any, ...]] = [tuple(row) for row in found.all()]
    nothing = (), None
    changed = [row for row in rows if row[1] == RUNNING or known.get(row[0], nothing)[0] != row]
    values = _read_values(connection, sweep_id, promotion, [row[0] for row in changed])
    for row in changed:
        slot, state, outcome, until_epoch = row
        reached = values.get(slot, ())
        if state in (RUNNING, PAUSED) and until_epoch is not None:
            # A paused one may have been promoted since, and be further now. A running one comes to
            # its rung when it pauses there: before, or where it is ended, it has not gone on.
            last = until_epoch if state == PAUSED else until_epoch - 1
            reached = tuple(one for one in reached if one[0] <= last)
        own, beside = (tuple(one[part] for one in reached) for part in (1, 2))
        known[slot] = row, Standing(slot, state, outcome, own, beside if any(beside) else ())
    return {slot: known[slot][1] for slot in (*(row[0] for row in rows), *unbegun)}


def _list_unbegun(connection: sa.Connection, sweep_id: int) -> Sequence[int]:
    """List the trials that nobody has begun; they are mostly all from a slot on."""
    waits = sa.and_(
        trials.c.sweep_id == sweep_id, trials.c.state == WAITING, trials.c.attempts == 0
    )
    ends = sa.select(sa.func.min(trials.c.slot), sa.func.max(trials.c.slot), sa.func.count())
    first, last, number = connection.execute(ends.where(waits)).one()
    if not number:
        return ()
    if last - first + 1 == number:
        return range(first, last + 1)
    query = sa.select(trials.c.slot).where(waits).order_by(trials.c.slot)
    return list(connection.execute(query).scalars())


def _read_values(
    connection: sa.Connection, sweep_id: int, promotion: Promotion, slots: Sequence[int]
) -> dict[int, tuple[tuple[Any, ...], ...]]:
    """Read what trials came to at each rung that they have reached, by slot.

    Returns:
        Of each rung the epoch, the value, and what the ranking has beside it.
    """
    if not slots:
        return {}
    ranking = promotion.ranking
    beside = [one.sign * one.make_value() for one in ranking.beside]
    mine = sa.and_(trials.c.sweep_id == sweep_id, epochs.c.epoch.in_(promotion.rungs))
    if len(slots) <= MOST_NAMED:
        mine = sa.and_(mine, trials.c.slot.in_(slots))
    rows = connection.execute(
        sa.select(trials.c.slot, epochs.c.epoch, ranking.sign * ranking.make_rung_value(), *beside)
        .join(epochs, epochs.c.trial_id == trials.c.id)
        .where(mine)
        .order_by(trials.c.slot, epochs.c.epoch)
    )
    values: dict[int, tuple[tuple[Any, ...], ...]] = {}
    for slot, epoch, value, *others in rows:
        values[slot] = (*values.get(slot, ()), (epoch, value, tuple(others)))
    return values

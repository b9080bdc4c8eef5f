"""Where the trials of a sweep stand that pause to be compared, and what is to be done next.

Which trial goes on is the search's to say: a pure function of the standings chooses. They are
read in the transaction that claims it, and by one statement, so that they are of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from storage.ranking import Ranking
from storage.sweeps import RUNNING, WAITING
from storage.tables import epochs, trials


@dataclass(frozen=True)
class Standing:
    """Where one trial stands.

    Attributes:
        slot: Of the budget, from 0.
        state: waiting, running, paused, complete, pruned or failed. A trial that was begun and
            given back between two rungs counts as running: it goes on before anything is chosen.
        outcome: Of a finished trial, the state more closely; None before.
        values: The objective at each rung that it has reached, in their order; lower is better.
    """

    slot: int
    state: str
    outcome: str | None = None
    values: tuple[float, ...] = ()


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


def choose_trial(
    connection: sa.Connection, sweep_id: int, now_s: float, promotion: Promotion | None
) -> tuple[sa.Row[Any], NextTrial] | None:
    """Lock the first trial that lost its worker, or else the first that waits.

    With a rule that is the first that was given back on its way to a rung, or else what it chooses.

    Returns:
        The trial's row and what is to be done, or None where there is nothing now.
    """
    mine = trials.c.sweep_id == sweep_id
    lost = sa.and_(trials.c.state == RUNNING, trials.c.lease_until_s < now_s)
    waiting = trials.c.state == WAITING
    if promotion is not None:
        waiting = sa.and_(waiting, trials.c.until_epoch.is_not(None))
    for is_free in (lost, waiting):
        row = _lock_first(connection, mine, is_free)
        if row is not None:
            return row, NextTrial(row.slot, row.until_epoch)
    if promotion is None:
        return None
    standings = _read_standings(connection, sweep_id, promotion)
    while (next_trial := promotion.choose(list(standings.values()))) is not None:
        standing = standings[next_trial.slot]
        row = _lock_first(
            connection, mine, trials.c.slot == next_trial.slot, trials.c.state == standing.state
        )
        if row is not None:
            return row, next_trial
        standings[next_trial.slot] = replace(standing, state=RUNNING)  # somebody else has it now
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
    """Read where all trials of a sweep stand, by slot."""
    given_back = sa.and_(trials.c.state == WAITING, trials.c.until_epoch.is_not(None))
    state = sa.case((given_back, RUNNING), else_=trials.c.state)
    at_rung = sa.and_(epochs.c.trial_id == trials.c.id, epochs.c.epoch.in_(promotion.rungs))
    rows = connection.execute(
        sa.select(
            trials.c.slot,
            state.label("state"),
            trials.c.outcome,
            epochs.c.epoch,
            promotion.ranking.make_value().label("value"),
        )
        .outerjoin(epochs, at_rung)
        .where(trials.c.sweep_id == sweep_id)
        .order_by(trials.c.slot, epochs.c.epoch)
    )
    sign = -1 if promotion.ranking.is_highest_first else 1
    standings: dict[int, Standing] = {}
    for row in rows:
        values = standings[row.slot].values if row.slot in standings else ()
        if row.epoch is not None:
            values = (*values, sign * row.value)
        standings[row.slot] = Standing(row.slot, row.state, row.outcome, values)
    return standings

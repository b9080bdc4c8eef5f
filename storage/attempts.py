"""Attempts: one process's time with a trial, and how it ended."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.sweeps import PAUSED
from sweep.storage.tables import attempts, epochs
from sweep.storage.transactions import tell_time_s

FINISHED, RELEASED, EXPIRED = "finished", "released", "expired"


def begin_attempt(connection: sa.Connection, trial_id: int, attempt: int, worker: str) -> float:
    """Close a trial's open attempt as expired, where there is one, and open the next.

    Returns:
        When it began, by the database's clock.
    """
    expire, begin = _make_beginning(tell_time_s(connection))
    connection.execute(expire, {"of_trial": trial_id})
    new = {"trial_id": trial_id, "attempt": attempt, "worker": worker}
    return float(connection.execute(begin, new).scalar_one())


@cache
def _make_beginning(now_s: sa.ColumnElement[float]) -> tuple[sa.Update, Any]:
    """Make what ends a trial's open attempt, and what begins the next and gives when."""
    is_open = (attempts.c.trial_id == sa.bindparam("of_trial"), attempts.c.ended_s.is_(None))
    expire = attempts.update().where(*is_open).values(ending=EXPIRED, ended_s=now_s)
    return expire, attempts.insert().values(started_s=now_s).returning(attempts.c.started_s)


def read_ending(connection: sa.Connection, trial_id: int, attempt: int) -> tuple[str | None, float]:
    """Read how an attempt ended, None of one that goes on, and the database's clock."""
    this = {"of_trial": trial_id, "of_attempt": attempt}
    ending, now_s = connection.execute(_ask_ending(tell_time_s(connection)), this).one()
    return ending, now_s


def end_attempt(
    connection: sa.Connection, trial_id: int, attempt: int, ended_s: float, ending: str
) -> None:
    """Write how an attempt ended, and when."""
    this = {"of_trial": trial_id, "of_attempt": attempt}
    connection.execute(_END, {**this, "ended_s": ended_s, "ending": ending})


_THIS = (
    attempts.c.trial_id == sa.bindparam("of_trial"),
    attempts.c.attempt == sa.bindparam("of_attempt"),
)
_END = attempts.update().where(*_THIS)


@cache
def _ask_ending(now_s: sa.ColumnElement[float]) -> sa.Select[Any]:
    return sa.select(sa.select(attempts.c.ending).where(*_THIS).scalar_subquery(), now_s)


def list_lost(connection: sa.Connection, trial_id: int) -> list[str]:
    """List the endings of the attempts that were lost without an epoch more, in their order."""
    return list(connection.execute(_ask_lost(), {"trial": trial_id}).scalars())


@cache
def _ask_lost() -> sa.Select[Any]:
    this: sa.BindParameter[int] = sa.bindparam("trial")
    furthest = sa.select(sa.func.max(epochs.c.attempt)).where(epochs.c.trial_id == this)
    query = sa.select(attempts.c.ending).where(
        attempts.c.trial_id == this,
        attempts.c.ending.not_in((FINISHED, RELEASED, PAUSED)),
        attempts.c.attempt > sa.func.coalesce(furthest.scalar_subquery(), 0),
    )
    return query.order_by(attempts.c.attempt)

"""Attempts: one process's time with a trial, and how it ended."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.sweeps import PAUSED
from sweep.storage.tables import attempts, epochs

FINISHED, RELEASED, EXPIRED = "finished", "released", "expired"


def begin_attempt(
    connection: sa.Connection, trial_id: int, attempt: int, worker: str, started_s: float
) -> None:
    """Close a trial's open attempt as expired, where there is one, and open the next."""
    expire, begin = _make_beginning()
    connection.execute(expire, {"of_trial": trial_id, "ended_s": started_s})
    new = {"trial_id": trial_id, "attempt": attempt, "worker": worker, "started_s": started_s}
    connection.execute(begin, new)


@cache
def _make_beginning() -> tuple[sa.Update, sa.Insert]:
    """Make what ends a trial's open attempt, and what begins the next."""
    is_open = (attempts.c.trial_id == sa.bindparam("of_trial"), attempts.c.ended_s.is_(None))
    return attempts.update().where(*is_open).values(ending=EXPIRED), attempts.insert()


def read_ending(connection: sa.Connection, trial_id: int, attempt: int) -> str | None:
    """Read how an attempt ended; None of one that goes on."""
    ask, _end = _make_ending()
    this = {"of_trial": trial_id, "of_attempt": attempt}
    ending: str | None = connection.execute(ask, this).scalar()
    return ending


def end_attempt(
    connection: sa.Connection, trial_id: int, attempt: int, ended_s: float, ending: str
) -> None:
    """Write how an attempt ended, and when."""
    _ask, end = _make_ending()
    this = {"of_trial": trial_id, "of_attempt": attempt}
    connection.execute(end, {**this, "ended_s": ended_s, "ending": ending})


@cache
def _make_ending() -> tuple[sa.Select[Any], sa.Update]:
    """Make what reads how an attempt ended, and what writes that."""
    this = (
        attempts.c.trial_id == sa.bindparam("of_trial"),
        attempts.c.attempt == sa.bindparam("of_attempt"),
    )
    return sa.select(attempts.c.ending).where(*this), attempts.update().where(*this)


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

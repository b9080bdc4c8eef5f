"""What people have changed of a sweep that was there: who, when, and what, one row each."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from sweep.storage.tables import edits, sweeps
from sweep.storage.transactions import read_clock_s, read_rows

MAX_AUTHOR = 100
"""Letters of an author's name that are kept."""


@dataclass(frozen=True)
class Edit:
    """One change: `number` counts those of its sweep from 1, `edited_s` is since 1970."""

    number: int
    edited_s: float
    author: str
    what: str


@dataclass(frozen=True)
class Entry:
    """What is written of a change while it is made: who made it, and in words what was done."""

    author: str
    what: str


def record_edit(connection: sa.Connection, sweep_id: int, entry: Entry) -> int:
    """Store that somebody changes a sweep, in the transaction that does so: both are, or neither.

    Args:
        entry: Of an author's name what is longer than MAX_AUTHOR is cut.

    Returns:
        The number of the edit.
    """
    connection.execute(sa.select(sweeps.c.id).where(sweeps.c.id == sweep_id).with_for_update())
    last = sa.select(sa.func.max(edits.c.number)).where(edits.c.sweep_id == sweep_id)
    number = (connection.execute(last).scalar() or 0) + 1
    connection.execute(
        edits.insert().values(
            sweep_id=sweep_id,
            number=number,
            edited_s=read_clock_s(connection),
            author=entry.author[:MAX_AUTHOR],
            what=entry.what,
        )
    )
    return number


def list_edits(engine: sa.Engine, sweep_id: int, most: int) -> list[Edit]:
    """List the latest edits of a sweep, the last one first."""
    query = (
        sa.select(edits.c.number, edits.c.edited_s, edits.c.author, edits.c.what)
        .where(edits.c.sweep_id == sweep_id)
        .order_by(edits.c.number.desc())
        .limit(most)
    )
    return [Edit(*row) for row in read_rows(engine, query)]

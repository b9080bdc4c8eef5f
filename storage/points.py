"""A person's own points: what is tried next, in trials of the budget that nobody has begun."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sweep.storage.content import parse_column
from sweep.storage.edits import Entry, record_edit
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import Sweep, is_untouched
from sweep.storage.tables import trials
from sweep.storage.transactions import read_value, transact


@transact
def add_points(
    connection: sa.Connection,
    sweep: Sweep,
    points: Sequence[Mapping[str, Any]],
    first_slot: int,
    entries: Sequence[Entry] = (),
) -> list[int]:
    """Put points next: into the first trials that wait and that nobody has claimed yet.

    The budget stays as it is. Points that were added before stay before these. Each is tried in the
    space that the sweep has now, whatever it is changed to before.

    Args:
        points: Values by the hyperparameters' names; the sampler chooses the others.
        first_slot: The first one that is not a starting point's.
        entries: What is told of them.

    Returns:
        Their slots.

    Raises:
        StorageError: when fewer trials are left than there are points; none is stored then.
    """
    query = (
        sa.select(trials.c.id, trials.c.slot)
        .where(_is_free(sweep, first_slot))
        .order_by(trials.c.slot)
        .limit(len(points))
        .with_for_update(skip_locked=True)
    )
    for entry in entries:  # first: it locks the sweep, as whoever changes its budget does
        record_edit(connection, sweep.id, entry)
    rows = connection.execute(query).all()
    if len(rows) < len(points):
        words = ["sweep", "run", "--model", str(sweep.config["model"]), "--sweep", sweep.name]
        budget = sweep.budget + len(points) - len(rows)
        raise StorageError(
            f"sweep {sweep.name}: too few trials are left, got {len(rows)} that nobody has "
            f"begun, expected {len(points)}, one for each point; raise the budget first: "
            f"`{shlex.join(words)} --detach --trials {budget}`"
        )
    for row, point in zip(rows, points, strict=True):
        stored = trials.update().where(trials.c.id == row.id)
        text = json.dumps(dict(point))
        connection.execute(stored.values(point=text, version=sweep.version))
    return [row.slot for row in rows]


def count_free(engine: sa.Engine, sweep: Sweep, first_slot: int) -> int:
    """Count the trials that a point may take, as `add_points` has them."""
    query = sa.select(sa.func.count()).select_from(trials).where(_is_free(sweep, first_slot))
    return int(read_value(engine, query))


def _is_free(sweep: Sweep, first_slot: int) -> sa.ColumnElement[bool]:
    """Say of a trial whether it waits, nobody has claimed it yet, and no point has it."""
    return sa.and_(is_untouched(sweep.id, first_slot), trials.c.point.is_(None))


def get_point(row: sa.Row[Any]) -> Mapping[str, Any]:
    """Read the point of a trial's row; nothing where the search chooses all of it."""
    return parse_column(row.point, f"trial {row.id}: point") if row.point else {}

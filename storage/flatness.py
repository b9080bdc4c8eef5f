"""Ends a search before its budget is spent: what nobody has begun is taken out of it.

Why, and what the budget was, stays with the sweep. A larger budget takes both back, the reason and
the wish to end so.
"""

from __future__ import annotations

import json

import sqlalchemy as sa

from sweep.storage.sweeps import Sweep, change_budget, find_sweep, is_untouched, set_columns
from sweep.storage.tables import sweeps, trials
from sweep.storage.transactions import transact


def set_stop_when_flat(engine: sa.Engine, sweep: Sweep, *, stop: bool) -> Sweep:
    """Say whether a sweep ends where a further trial is not expected to pay.

    One that has ended so and no longer shall has the trials again that it did not begin.
    """
    if not stop and sweep.flat is not None:
        change_budget(engine, sweep.id, max(sweep.budget, sweep.flat.budget))
    set_columns(engine, sweep.id, stops_when_flat=stop)
    return find_sweep(engine, sweep.name)


@transact
def end_flat(connection: sa.Connection, sweep_id: int, reason: str, first_slot: int = 0) -> int:
    """End a search: trials that nobody has begun and nobody asked for leave its budget.

    Of workers who find it flat at the same time the first one's reason stays. Where it shall no
    longer end so, or its budget was raised since somebody found it flat, it goes on.

    Args:
        first_slot: The trials before it are starting points.

    Returns:
        How many trials were taken out; 0 where none waited, somebody else was first, or it goes on.
    """
    mine = sweeps.c.id == sweep_id
    row = connection.execute(
        sa.select(sweeps.c.budget, sweeps.c.flat, sweeps.c.stops_when_flat)
        .where(mine)
        .with_for_update()
    ).one()
    if row.flat is not None or not row.stops_when_flat:
        return 0
    num_gone = connection.execute(
        trials.delete().where(is_untouched(sweep_id, first_slot), trials.c.point.is_(None))
    ).rowcount
    if num_gone:
        told = json.dumps({"reason": reason, "budget": row.budget})
        left = {"budget": row.budget - num_gone, "flat": told}
        connection.execute(sweeps.update().where(mine).values(**left))
    return num_gone

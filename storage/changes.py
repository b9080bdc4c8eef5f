"""A sweep that is changed while it runs: its rules, budget and priority, all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sweep.storage.content import parse_column
from sweep.storage.edits import Entry, record_edit
from sweep.storage.publications import OUTDATED
from sweep.storage.sources import read_files
from sweep.storage.sweeps import Sweep, change_config, set_budget
from sweep.storage.tables import sweeps, trials
from sweep.storage.transactions import read_rows, read_value


def change_version(
    engine: sa.Engine,
    sweep: Sweep,
    config: Mapping[str, Any],
    *,
    first_slot: int,
    entry: Entry,
    budget: int | None = None,
    priority: int | None = None,
    others: Sequence[int] = (),
) -> bool:
    """Begin the next version of a sweep: trials that have not begun get it.

    Those that have keep the one that they were begun with, and the starting points the one that
    they were made for; so do points that a person added when there were no versions yet.

    Args:
        sweep: As it was read, on which the change builds.
        first_slot: The first one that is not a starting point's.
        entry: What is told of it.
        budget: From now on, or more where more trials have begun; None for what it is.
        priority: From now on, or None for what it is.
        others: The ids of those that have the same priority.

    Returns:
        Whether it is stored; False where somebody else has changed the sweep since it was read.
    """
    mine = sa.and_(trials.c.sweep_id == sweep.id, trials.c.version.is_(None))
    given = sa.and_(mine, sa.or_(trials.c.slot < first_slot, trials.c.point.is_not(None)))

    def work(connection: sa.Connection) -> None:
        connection.execute(trials.update().where(given).values(version=sweep.version))
        values: dict[str, Any] = {"version": sweep.version + 1, "published": OUTDATED}
        if priority is not None:
            values["priority"] = priority
            kin = sweeps.update().where(sweeps.c.id.in_(others))
            connection.execute(kin.values(priority=priority))
        connection.execute(sweeps.update().where(sweeps.c.id == sweep.id).values(values))
        if budget is not None:
            set_budget(connection, sweep.id, budget)
        record_edit(connection, sweep.id, entry)

    return change_config(engine, sweep, config, read_files(engine, sweep.id), work)


def count_begun(engine: sa.Engine, sweep_id: int) -> int:
    """Count the trials of a sweep that somebody has claimed."""
    mine = sa.and_(trials.c.sweep_id == sweep_id, trials.c.attempts > 0)
    query = sa.select(sa.func.count()).where(mine)
    return int(read_value(engine, query))


def read_params(engine: sa.Engine, sweep_id: int) -> dict[int, Mapping[str, Any]]:
    """Read every hyperparameter of each trial that has begun, by slot."""
    query = sa.select(trials.c.slot, trials.c.params).where(
        trials.c.sweep_id == sweep_id, trials.c.params.is_not(None)
    )
    return {
        row.slot: parse_column(row.params, f"trial in slot {row.slot}: params")
        for row in read_rows(engine, query)
    }

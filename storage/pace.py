"""For how long workers have had the trials of a sweep in hand, whoever had them."""

from __future__ import annotations

import sqlalchemy as sa

from sweep.storage.attempts import FINISHED, RELEASED
from sweep.storage.sweeps import PAUSED
from sweep.storage.tables import attempts, epochs, trials
from sweep.storage.transactions import read_value


def measure_work_s(engine: sa.Engine, sweep_id: int) -> float:
    """Measure the time of all attempts at a sweep's trials.

    Of an attempt that runs, or whose worker was lost, the time up to its last epoch counts: what
    came after it has not led to anything yet, and of a lost one nobody knows when it ended.
    """
    last = (
        sa.select(
            epochs.c.trial_id,
            epochs.c.attempt,
            sa.func.max(epochs.c.recorded_s).label("recorded_s"),
        )
        .group_by(epochs.c.trial_id, epochs.c.attempt)
        .subquery()
    )
    is_known = attempts.c.ending.in_((FINISHED, RELEASED, PAUSED))
    end_s = sa.case((is_known, attempts.c.ended_s), else_=last.c.recorded_s)
    query = (
        sa.select(sa.func.sum(end_s - attempts.c.started_s))
        .join(trials, trials.c.id == attempts.c.trial_id)
        .outerjoin(
            last,
            sa.and_(last.c.trial_id == attempts.c.trial_id, last.c.attempt == attempts.c.attempt),
        )
        .where(trials.c.sweep_id == sweep_id)
    )
    return float(read_value(engine, query) or 0.0)

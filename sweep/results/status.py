"""How far a sweep is: counts, what runs now, the best so far, the pace and the time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from storage.engine import read, read_clock_s
from storage.epochs import TrialRow, read_trials
from storage.sweeps import RUNNING, Sweep, TrialCounts, count_trials
from sweep.config import SweepConfig
from sweep.judgement import rank_trials


@dataclass(frozen=True)
class Status:
    """A sweep at one moment.

    Attributes:
        begun: All trials that have begun, by slot.
        running: Those in a worker's hands, with their last epoch.
        ranked: Complete and feasible trials, best first.
        num_dead: Finished trials whose network is no better than predicting zero.
        time_left_s: Until the budget is spent at the pace so far, or None before the first
            finished trial and after the last.
    """

    sweep: Sweep
    config: SweepConfig
    counts: TrialCounts
    begun: Sequence[TrialRow]
    running: Sequence[TrialRow]
    ranked: Sequence[TrialRow]
    num_dead: int
    time_left_s: float | None

    def to_json(self) -> dict[str, Any]:
        """Give what `sweep status --json` prints."""
        return {"sweep": self.sweep.name, "budget": self.sweep.budget, **asdict(self.counts)}


def read_status(engine: sa.Engine, sweep: Sweep) -> Status:
    """Read a sweep's status from the database."""
    config = SweepConfig.from_json(sweep.config)
    rows = read_trials(engine, sweep.id)
    counts = count_trials(engine, sweep.id)
    return Status(
        sweep=sweep,
        config=config,
        counts=counts,
        begun=rows,
        running=[row for row in rows if row.state == RUNNING],
        ranked=rank_trials(rows, config.search.objective),
        num_dead=sum(row.outcome == "dead" for row in rows),
        time_left_s=_estimate_time_left_s(rows, counts, read(engine, read_clock_s)),
    )


def _estimate_time_left_s(
    rows: Sequence[TrialRow], counts: TrialCounts, now_s: float
) -> float | None:
    """Estimate from the mean time that finished trials took, shared among what runs now."""
    left = counts.waiting + counts.running
    times = [
        row.finished_s - row.started_s
        for row in rows
        if row.finished_s is not None and row.started_s is not None
    ]
    if not times or not left:
        return None
    mean_s = sum(times) / len(times)
    spent_s = sum(
        min(now_s - row.started_s, mean_s)
        for row in rows
        if row.state == RUNNING and row.started_s is not None
    )
    return max(0.0, left * mean_s - spent_s) / max(1, counts.running)

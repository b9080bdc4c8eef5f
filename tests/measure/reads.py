"""Measures what a worker's single questions cost in a large sweep, one process alone on PostgreSQL.

    PYTHONPATH=.:tests python tests/measure/reads.py

The rows of a sweep with 4,000 finished trials of 5,000 are written by SQL; a server of the pip
package is started for that.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import sqlalchemy as sa

from servers import run_postgres
from sweep.search.judgement import get_ranking
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS
from sweep.storage.claims import claim_trial, release_claim, renew_claim
from sweep.storage.engine import create_engine, parse_url, transact
from sweep.storage.epochs import read_best, read_trials
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import count_trials, create_sweep, is_stop_requested, list_open_sweeps

NUM_SLOTS, NUM_FINISHED, NUM_REPEATS = 5000, 4000, 30
FILL = (
    "UPDATE sweep_trials SET state = 'complete', attempts = 1, number = slot, feasible = true,"
    " best_epoch = 3, started_s = slot, finished_s = slot + 1 WHERE slot < :finished",
    "INSERT INTO sweep_attempts SELECT id, 1, 'w', slot, slot + 1, 'finished' FROM sweep_trials"
    " WHERE slot < :finished",
    "INSERT INTO sweep_epochs SELECT id, epoch, 1, 1000, 1.0, random(), 400, 1800, 200, 1800, 30,"
    " 0.001, 0.1, 1 FROM sweep_trials, generate_series(1, 3) epoch WHERE slot < :finished",
)


def fill(connection: sa.Connection) -> None:
    """Finish the first trials, with 3 epochs each."""
    for statement in FILL:
        connection.execute(sa.text(statement), {"finished": NUM_FINISHED})


def measure(what: str, ask: Callable[[], object]) -> None:
    """Print the median time of a question, and the range in which 9 of 10 lie."""
    ask()
    times_ms = []
    for _ in range(NUM_REPEATS):
        began_s = time.perf_counter()
        ask()
        times_ms.append(1000 * (time.perf_counter() - began_s))
    cuts = statistics.quantiles(times_ms, n=20)
    sys.stdout.write(
        f"{what}: {statistics.median(times_ms):.1f} ms ({cuts[0]:.1f} to {cuts[-1]:.1f})\n"
    )


def main() -> None:
    with run_postgres() as storage:
        engine = create_engine(parse_url(storage))
        create_tables(engine)
        sweep = create_sweep(engine, "net", {}, {}, NUM_SLOTS)
        transact(engine, fill)

        def claim_and_release() -> None:
            found = claim_trial(engine, sweep.id, "w", 60.0)
            if found is not None:
                release_claim(engine, found)

        measure("look for open sweeps", lambda: list_open_sweeps(engine))
        measure("count the trials", lambda: count_trials(engine, sweep.id))
        measure("claim and release", claim_and_release)
        held = claim_trial(engine, sweep.id, "w", 60.0)
        if held is not None:
            measure("renew", lambda: renew_claim(engine, held, 60.0))
        measure("look for a stop", lambda: is_stop_requested(engine, sweep.id))
        measure(
            "read the best trials",
            lambda: read_best(engine, sweep.id, get_ranking("validation_loss"), NUM_KEPT_WEIGHTS),
        )
        measure("read all trials", lambda: read_trials(engine, sweep.id))
        engine.dispose()


if __name__ == "__main__":
    main()

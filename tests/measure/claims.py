"""Measures what the database costs: many simulated workers claim, report and finish no-op trials.

    PYTHONPATH=.:tests python tests/measure/claims.py --workers 64 --trials 5000

Each worker is a process that does to the database what `sweep.worker` and `sweep.trial` do, in
their order, without training: it looks for open sweeps, claims, begins, and for each epoch renews,
records, reports, asks the pruner and looks for a stop; then it tells and finishes, and reads which
trials are the best. With `--sampler none` all that is Optuna's is left out. Without --storage a
PostgreSQL server of the pip package is started, which leaves commits to the real disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from optuna.pruners import PercentilePruner
from optuna.trial import TrialState

from servers import restart_postgres, run_postgres
from sweep.config import PrunerConfig, SamplerConfig, SearchConfig
from sweep.models.space import Float
from sweep.search.judgement import get_ranking
from sweep.search.strategy import build_sampler
from sweep.search.suggestion import suggest
from sweep.storage import studies
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS
from sweep.storage.claims import begin_claimed, claim_trial, finish_claim, renew_claim
from sweep.storage.engine import create_engine, open_engine, parse_url
from sweep.storage.epochs import find_complete, read_best, record_epochs
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import (
    COMPLETE,
    count_trials,
    create_sweep,
    is_stop_requested,
    list_open_sweeps,
)
from sweep.storage.tables import Epoch
from sweep.trial.retention import NUM_PICTURED

Latencies = dict[str, list[float]]
SAMPLERS = ("none", "random", "tpe")
SPACE = {name: Float(1e-4, 1e-1, "log") for name in ("lr", "weight_decay", "clip_norm")}


class Stopwatch:
    """Keeps how long each kind of operation took, in seconds."""

    def __init__(self) -> None:
        self.times: Latencies = defaultdict(list)

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        began_s = time.perf_counter()
        yield
        self.times[what].append(time.perf_counter() - began_s)


def make_epoch(number: int, slot: int) -> Epoch:
    """Make a result that differs from trial to trial."""
    loss = 0.03 + 0.01 * ((slot * 7919) % 1000) / 1000 / number
    return Epoch(number, 1000 * number, loss, loss, 400, 1800, 200, 1800, 30, 1e-3, 0.1)


def work(storage: str, sweep_id: int, name: str, num_epochs: int, sampler: str, out: Any) -> None:
    """Be one worker."""
    engine = open_engine(parse_url(storage))
    study_storage = studies.open_study_storage(parse_url(storage)) if sampler != "none" else None
    watch = Stopwatch()
    while True:
        with watch.measure("look for open sweeps"):
            is_open = bool(list_open_sweeps(engine))
            count_trials(engine, sweep_id)
        with watch.measure("claim"):
            claim = claim_trial(engine, sweep_id, name, 60.0) if is_open else None
        if claim is None:
            break
        with watch.measure("renew"):
            renew_claim(engine, claim, 60.0)
        study = trial = None
        if study_storage is not None:
            with watch.measure("begin and suggest"):
                search = SearchConfig(
                    sampler=SamplerConfig(
                        name=sampler,
                        num_startup_trials=10,
                        multivariate=True,
                        constant_liar=True,
                        num_ei_candidates=24,
                    ),
                    pruner=PrunerConfig(name="none"),
                )
                sampler_of_slot = build_sampler(search, SPACE, claim.slot)
                pruner = PercentilePruner(50.0, n_startup_trials=5, n_warmup_steps=num_epochs)
                study = studies.load_study(study_storage, "net", sampler_of_slot, pruner)
                trial = studies.begin_trial(study, claim.slot, {}, is_first=claim.attempt == 1)
                suggest(trial, SPACE, {})
        with watch.measure("begin"):
            begin_claimed(engine, claim, claim.slot, {"lr": 1e-3})
        curve = []
        for number in range(1, num_epochs + 1):
            curve.append(make_epoch(number, claim.slot))
            with watch.measure("renew"):
                renew_claim(engine, claim, 60.0)
            with watch.measure("record an epoch"):
                record_epochs(engine, claim, curve[-1:])
            if trial is not None:
                with watch.measure("report, ask the pruner"):
                    studies.report_epochs(trial, {number: curve[-1].validation_loss})
                    if number < num_epochs:
                        studies.is_to_prune(trial)
            if number < num_epochs:
                with watch.measure("look for a stop"):
                    is_stop_requested(engine, sweep_id)
        with watch.measure("renew"):
            renew_claim(engine, claim, 60.0)
        with watch.measure("rank the trials"):
            read_best(engine, sweep_id, get_ranking("validation_loss"), NUM_PICTURED)
        if trial is not None and study is not None:
            with watch.measure("attributes and tell"):
                loss = curve[-1].validation_loss
                shown = {"outcome": "complete", "validation_loss": loss, "efficiency": 0.9}
                studies.set_attributes(trial, {**shown, "fp_rate": 0.1, "best_epoch": num_epochs})
                studies.set_constraints(trial, True)
                studies.finish_trial(study, trial, TrialState.COMPLETE, loss)
        with watch.measure("finish"):
            finish_claim(
                engine,
                claim,
                state=COMPLETE,
                outcome="complete",
                reason=None,
                feasible=True,
                best_epoch=num_epochs,
            )
        with watch.measure("rank the trials"):
            find_complete(engine, sweep_id, range(NUM_KEPT_WEIGHTS))
            read_best(engine, sweep_id, get_ranking("validation_loss"), NUM_KEPT_WEIGHTS)
    engine.dispose()
    out.put(dict(watch.times))


def run(storage: str, num_workers: int, num_trials: int, num_epochs: int, sampler: str) -> None:
    """Run all workers and print the table."""
    engine = create_engine(parse_url(storage))
    create_tables(engine)
    study_storage = studies.open_study_storage(parse_url(storage))
    studies.create_study(study_storage, "net", direction="minimize", metric_name="validation loss")
    sweep = create_sweep(engine, "net", {}, {}, num_trials)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["optuna", "sqlalchemy", "psycopg", "sweep.storage.studies"])
    out = context.Queue()
    parts = (storage, sweep.id)
    processes = [
        context.Process(target=work, args=(*parts, f"w{i}", num_epochs, sampler, out))
        for i in range(num_workers)
    ]
    began_s = time.monotonic()
    for process in processes:
        process.start()
    connections, merged = 0, defaultdict(list)
    for _process in processes:
        while out.empty() and any(process.is_alive() for process in processes):
            connections = max(connections, count_connections(engine))
            time.sleep(0.5)
        for what, times in out.get(timeout=60).items():
            merged[what] += times
    took_s = time.monotonic() - began_s
    codes = Counter(process.join() or process.exitcode for process in processes)
    counts = count_trials(engine, sweep.id)
    print_table(merged)
    sys.stdout.write(
        f"{num_workers} workers, {counts.complete} of {num_trials} trials of {num_epochs} epochs, "
        f"sampler {sampler}, {took_s:.1f} s, {counts.complete / took_s:.1f} trials/s, at most "
        f"{connections} connections, exit codes {dict(codes)}\n"
    )


def count_connections(engine: sa.Engine) -> int:
    """Count the connections to a PostgreSQL server; 0 for SQLite."""
    if engine.dialect.name == "sqlite":
        return 0
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return int(connection.execute(sa.text(query)).scalar_one())


def allow_connections(storage: str, number: int) -> None:
    """Let a PostgreSQL server that is ours take so many clients; it is restarted for that."""
    engine = sa.create_engine(parse_url(storage), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER SYSTEM SET max_connections = {number}")
    engine.dispose()
    restart_postgres(storage)


def print_table(times: Latencies) -> None:
    """Print the latencies in milliseconds, as a Markdown table."""
    rows = ["| operation | times | median ms | 95 % | 99 % | longest |", "|" + "---|" * 6]
    for what, values in times.items():
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        figures = [statistics.median(values), cuts[94], cuts[98], max(values)]
        columns = " | ".join(f"{1000 * value:.0f}" for value in figures)
        rows.append(f"| {what} | {len(values)} | {columns} |")
    sys.stdout.write("\n".join(rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--sampler", choices=SAMPLERS, default="random")
    parser.add_argument("--storage")
    asked = parser.parse_args()
    parts = (asked.workers, asked.trials, asked.epochs, asked.sampler)
    if asked.storage:
        run(asked.storage, *parts)
        return
    with run_postgres() as storage:
        allow_connections(storage, 4 * asked.workers + 20)
        run(storage, *parts)


if __name__ == "__main__":
    main()

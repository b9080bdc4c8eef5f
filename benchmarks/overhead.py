"""What the service costs a trial beside its training: milliseconds, by how many trials there were.

    PYTHONPATH=.:tests python benchmarks/overhead.py --begun 100,1000,10000 [--backends sqlite]
    PYTHONPATH=.:tests python benchmarks/overhead.py --begun 1000 --workers 8,64 --epoch-s 4

A sweep of the default search (mixed, rungs) is filled with trials that have begun, three quarters
of them paused at a rung, as many again wait. Then workers go on with it by the product's own
functions, in the order of `sweep.worker` and `sweep.trial`, without training, or with sleep in its
place; they come one after another, eight in an epoch. The processor time of a worker is given
beside the wall: where several workers share a core their wall is mostly queueing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any

import sqlalchemy as sa
from filled_sweep import OUTLOOK, RUNGS, SEARCH, SPACE, fill, make_epoch
from optuna.pruners import NopPruner
from optuna.trial import TrialState

from sweep.search.judgement import get_ranking
from sweep.search.promotion import Halving
from sweep.search.strategy import build_sampler
from sweep.search.suggestion import suggest
from sweep.storage import studies
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS
from sweep.storage.claims import (
    Claim,
    begin_claimed,
    claim_trial,
    finish_claim,
    pause_claim,
    renew_claim,
)
from sweep.storage.engine import create_engine, open_engine, parse_url
from sweep.storage.epochs import read_best, read_states, record_epochs
from sweep.storage.standings import Promotion
from sweep.storage.sweeps import (
    COMPLETE,
    PRUNED,
    count_trials,
    list_open_sweeps,
)
from sweep.storage.transactions import retry

RANKING = get_ranking("validation_loss")
LEASE_S = 3600.0
"""Nobody renews it beside the work here, as a worker does, and on busy cores that takes long."""

Times = dict[str, list[tuple[float, float]]]


class Stopwatch:
    """Keeps wall and processor time of each kind of operation, in seconds."""

    def __init__(self) -> None:
        self.times: Times = defaultdict(list)

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        began = time.perf_counter(), time.process_time()
        yield
        spent = time.perf_counter() - began[0], time.process_time() - began[1]
        self.times[what].append(spent)


def make_promotion() -> Promotion:
    return Promotion(RUNGS, RANKING, Halving(RUNGS, 2))


def work(url: str, sweep_id: int, name: str, num_trials: int, epoch_s: float, out: Any) -> None:
    """Be one worker for so many claims; what it comes to is put into a queue."""
    engine = open_engine(parse_url(url))
    storage = studies.open_study_storage(parse_url(url))
    promotion = make_promotion()
    watch = Stopwatch()
    for index in range(num_trials + 1):
        if index == 1:  # the first reads all: a worker's start, shown apart
            first, watch = watch, Stopwatch()
        serve(engine, storage, sweep_id, name, promotion, watch, epoch_s)
    engine.dispose()
    out.put((dict(first.times), dict(watch.times)))


def serve(
    engine: sa.Engine,
    storage: Any,
    sweep_id: int,
    name: str,
    promotion: Promotion,
    watch: Stopwatch,
    epoch_s: float,
) -> None:
    """Do what a worker does for one claim, without training."""
    with watch.measure("look for open sweeps"):
        list_open_sweeps(engine)
        count_trials(engine, sweep_id)
    with watch.measure("claim"):
        claim = claim_trial(engine, sweep_id, name, LEASE_S, promotion)
    if claim is None:
        return
    study = studies.load_study(
        storage, "net", build_sampler(SEARCH, SPACE, claim.slot, OUTLOOK), NopPruner()
    )
    with watch.measure("begin and suggest" if claim.attempt == 1 else "go on"):
        trial = retry(partial(begin, study, claim))
    with watch.measure("begin"):
        begin_claimed(engine, claim, trial.number, {"lr": 1e-3})
    quality = (claim.slot * 7919 % 1000) / 1000
    until = claim.until_epoch or RUNGS[-1]
    first = 1 if claim.attempt == 1 else until // 2 + 1
    for number in range(first, 1 if claim.account else until + 1):
        with watch.measure("an epoch: renew, record, report, look for a stop"):
            renew_claim(engine, claim, LEASE_S)
            epoch = make_epoch(number, quality)
            values = {number: epoch.validation_loss}
            report = partial(studies.report_epochs, trial, values)
            record_epochs(engine, claim, [epoch], report)
        time.sleep(epoch_s)
    if until < RUNGS[-1] and claim.account is None:
        with watch.measure("pause"):
            studies.suspend_trial(trial)
            pause_claim(engine, claim)
        return
    with watch.measure("tell and finish"):
        end(engine, study, trial, claim)


def begin(study: Any, claim: Claim) -> Any:
    """Begin a claimed trial, or go on with it: its values are suggested once."""
    is_first = claim.attempt == 1
    trial = studies.begin_trial(study, claim.slot, {}, is_first=is_first, number=claim.number)
    with studies.gather_writes(trial):
        suggest(trial, SPACE, {})
    return trial


def end(engine: sa.Engine, study: Any, trial: Any, claim: Claim) -> None:
    """Tell what a trial came to, and finish it."""
    state = PRUNED if claim.account else COMPLETE
    studies.set_attributes(trial, {"outcome": state, "efficiency": 0.9, "fp_rate": 0.1})
    studies.set_constraints(trial, feasible=True)
    read_best(engine, claim.sweep_id, RANKING, 1)
    ours = TrialState.PRUNED if claim.account else TrialState.COMPLETE
    studies.finish_trial(study, trial, ours, 0.1)
    finish_claim(
        engine, claim, state=state, outcome="complete", reason=None, feasible=not claim.account,
        best_epoch=claim.until_epoch or RUNGS[-1],
    )  # fmt: skip
    read_states(engine, claim.sweep_id, range(NUM_KEPT_WEIGHTS))
    read_best(engine, claim.sweep_id, RANKING, NUM_KEPT_WEIGHTS)


def measure(
    url: str, num_begun: int, num_workers: int, num_trials: int, epoch_s: float = 0.0
) -> tuple[Times, Times]:
    """Fill a database, have workers go on, and give what each operation took."""
    engine = create_engine(parse_url(url))
    sweep_id = fill(engine, url, num_begun)
    engine.dispose()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["optuna", "sqlalchemy", "psycopg", "sweep.storage.studies"])
    out = context.Queue()
    processes = [
        context.Process(target=work, args=(url, sweep_id, f"w{index}", num_trials, epoch_s, out))
        for index in range(num_workers)
    ]
    for process in processes:
        process.start()
        time.sleep(epoch_s / 8)
    firsts: Times = defaultdict(list)
    merged: Times = defaultdict(list)
    for _process in processes:
        for into, found in zip((firsts, merged), wait(out, processes), strict=True):
            for what, times in found.items():
                into[what] += times
    for process in processes:
        process.join()
    return firsts, merged


def wait(out: Any, processes: Sequence[Any]) -> tuple[Times, Times]:
    """Wait for what one of the workers comes to, as long as none of them broke."""
    while True:
        with suppress(queue.Empty):
            found: tuple[Times, Times] = out.get(timeout=5)
            return found
        if any(process.exitcode for process in processes):
            sys.exit("a worker broke off")


def show(title: str, firsts: Times, merged: Times, num_trials: int) -> None:
    write = sys.stdout.write
    total = [sum(column) for column in zip(*chain.from_iterable(merged.values()), strict=True)]
    write(
        f"\n{title}: {1000 * total[0] / num_trials:.0f} ms a claim, "
        f"{1000 * total[1] / num_trials:.0f} ms of its worker's processor\n"
    )
    write(
        "| operation | times | median ms | 95 % | processor, median ms |\n|---|---|---|---|---|\n"
    )
    for what, times in sorted(merged.items()):
        walls, cpus = zip(*times, strict=True)
        high = statistics.quantiles(walls, n=20, method="inclusive")[-1] if len(walls) > 1 else 0.0
        write(
            f"| {what} | {len(walls)} | {1000 * statistics.median(walls):.1f} | "
            f"{1000 * high:.1f} | {1000 * statistics.median(cpus):.1f} |\n"
        )
    start = max((wall for times in firsts.values() for wall, _cpu in times), default=0.0)
    write(f"a worker's first claim: its slowest operation {1000 * start:.0f} ms\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--begun", default="100,1000,10000")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--claims", type=int, default=30, help="of each worker")
    parser.add_argument("--backends", default="sqlite,postgres")
    parser.add_argument(
        "--epoch-s", type=float, default=0.0, help="a worker sleeps for, as it trains"
    )
    asked = parser.parse_args()
    for backend in asked.backends.split(","):
        for num_begun in map(int, asked.begun.split(",")):
            for num_workers in map(int, asked.workers.split(",")):
                title = f"{backend}, {num_begun} trials begun, {num_workers} workers"
                with open_database(backend, num_workers) as url:
                    times = measure(url, num_begun, num_workers, asked.claims, asked.epoch_s)
                show(title, *times, num_workers * asked.claims)


@contextmanager
def open_database(backend: str, num_workers: int) -> Iterator[str]:
    if backend == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/sweep.db"
        return
    from servers import restart_postgres, run_postgres  # of tests/

    with run_postgres() as url:
        if num_workers > 20:
            engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                number = 4 * num_workers + 20
                connection.exec_driver_sql(f"ALTER SYSTEM SET max_connections = {number}")
            engine.dispose()
            restart_postgres(url)
        yield url


if __name__ == "__main__":
    main()

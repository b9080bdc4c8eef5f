"""What the service costs a trial beside its training: milliseconds, by how many trials there were.

    PYTHONPATH=.:tests python benchmarks/overhead.py --begun 100,1000,10000 [--backends sqlite]
    PYTHONPATH=.:tests python benchmarks/overhead.py --begun 1000 --workers 1,8,64 --epoch-s 0.8

A sweep of the default search (mixed, rungs) is filled with trials that have begun, three quarters
of them paused at a rung, as many again wait. Then workers go on with it by the product's own
functions, in the order of `sweep.worker` and `sweep.trial`, without training, or with sleep in its
place. The processor time of a worker is given beside the wall: where several workers share a core
their wall is mostly queueing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.pruners import NopPruner
from optuna.trial import TrialState, create_trial

from sweep.config import PrunerConfig, SamplerConfig, SearchConfig
from sweep.models.space import Float
from sweep.search.draw import Outlook
from sweep.search.judgement import get_ranking
from sweep.search.promotion import choose_next_trial
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
from sweep.storage.epochs import find_complete, read_best, record_epochs
from sweep.storage.migrations import create_tables
from sweep.storage.standings import Promotion
from sweep.storage.sweeps import (
    COMPLETE,
    PAUSED,
    PRUNED,
    count_trials,
    create_sweep,
    list_open_sweeps,
)
from sweep.storage.tables import Epoch
from sweep.storage.tables import epochs as epoch_table
from sweep.storage.tables import trials as trial_table

SPACE = {name: Float(1e-4, 1e-1, "log") for name in ("lr", "weight_decay", "clip_norm", "a", "b")}
RUNGS = (3, 6, 12)
RANKING = get_ranking("validation_loss")
SEARCH = SearchConfig(sampler=SamplerConfig(name="mixed"), pruner=PrunerConfig(name="rungs"))
OUTLOOK = Outlook(num_epochs=RUNGS[-1], null_loss=1.0)
LEASE_S = 60.0

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


def make_epoch(number: int, quality: float) -> Epoch:
    loss = 0.03 + 0.3 * quality / number
    return Epoch(number, 1000 * number, loss, loss, 400, 1800, 200, 1800, 30, 1e-3, 0.1)


def make_promotion() -> Promotion:
    return Promotion(RUNGS, RANKING, lambda all_: choose_next_trial(all_, RUNGS, 2))


@dataclass(frozen=True)
class Past:
    """A trial that has begun: how far it came, and what became of it.

    Attributes:
        slot: Its slot, and its number in the study.
        study_key, key: Its row among Optuna's trials, and among ours.
        last: Its last epoch, one of `RUNGS`.
        quality: From 0, the best.
    """

    slot: int
    study_key: int
    key: int
    last: int
    quality: float

    @property
    def is_done(self) -> bool:
        """Whether it was trained to the end; it is paused otherwise."""
        return self.last == RUNGS[2]

    def list_epochs(self) -> list[Epoch]:
        """List what it trained."""
        return [make_epoch(number, self.quality) for number in range(1, self.last + 1)]


def fill(engine: sa.Engine, url: str, num_begun: int) -> int:
    """Make a sweep of twice as many trials, so many of which have begun; give its id."""
    create_tables(engine)
    study_storage: Any = studies.open_study_storage(parse_url(url))
    study = studies.create_study(study_storage, "net", direction="minimize", metric_name="loss")
    sweep = create_sweep(engine, "net", {}, {}, 2 * num_begun)
    distributions = begin_first(study_storage, study._study_id)
    past = draw_past(engine, sweep.id, num_begun)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        for name, rows in list_study_rows(past, study._study_id, distributions).items():
            connection.execute(metadata.tables[name].insert(), rows)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('trials', 'trial_id'), {num_begun})"
            )
        write_own_rows(connection, past)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    study_storage.remove_session()
    return sweep.id


def begin_first(study_storage: Any, study_id: int) -> dict[str, Any]:
    """Begin the first trial by the product's own functions; give what its values are drawn from."""
    frozen = create_trial(state=TrialState.RUNNING, system_attrs={studies.SLOT_KEY: 0})
    study_storage.create_new_trial(study_id, template_trial=frozen)
    sampler = build_sampler(SEARCH, SPACE, 0, OUTLOOK)
    study = studies.load_study(study_storage, "net", sampler, NopPruner())
    first = studies.begin_trial(study, 0, {}, number=0)
    suggest(first, SPACE, {})
    return dict(first.distributions)


def draw_past(engine: sa.Engine, sweep_id: int, num_begun: int) -> list[Past]:
    """Draw how good trials are: the best quarter came to the end, the next to the second rung."""
    with engine.connect() as connection:
        query = sa.select(trial_table.c.slot, trial_table.c.id)
        found = connection.execute(query.where(trial_table.c.sweep_id == sweep_id)).all()
    ids = {row.slot: row.id for row in found}
    quality_N = np.random.default_rng(1).random(num_begun)
    place_N = quality_N.argsort().argsort() / num_begun
    lasts = [RUNGS[2] if p < 0.25 else RUNGS[1] if p < 0.5 else RUNGS[0] for p in place_N]
    return [  # the study's trials are the database's first
        Past(slot, slot + 1, ids[slot], lasts[slot], quality_N[slot]) for slot in range(num_begun)
    ]


def list_study_rows(
    past: Sequence[Past], study_id: int, distributions: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """List what Optuna's tables hold of all trials but the first, by table."""
    rng = np.random.default_rng(2)
    texts = {name: distribution_to_json(one) for name, one in distributions.items()}
    proposal = {"arm": "model", "point": dict.fromkeys(SPACE, 0.5)}
    told = ("efficiency", "fp_rate", "validation_loss", "best_epoch")
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trial in past[1:]:
        mine = {"trial_id": trial.study_key}
        state = "COMPLETE" if trial.is_done else "WAITING"
        rows["trials"].append({**mine, "number": trial.slot, "study_id": study_id, "state": state})
        for (name, text), value in zip(
            texts.items(), 10.0 ** rng.uniform(-4, -1, len(texts)), strict=True
        ):
            content = {"param_name": name, "param_value": float(value), "distribution_json": text}
            rows["trial_params"].append({**mine, **content})
        for name, kept in (
            ("sweep:slot", trial.slot),
            ("fixed_params", {}),
            ("sweep:proposal", proposal),
        ):
            content = {"key": name, "value_json": json.dumps(kept)}
            rows["trial_system_attributes"].append({**mine, **content})
        for name in told:
            rows["trial_user_attributes"].append({**mine, "key": name, "value_json": "0.5"})
        if trial.is_done:
            value_row = {"objective": 0, "value": 0.1, "value_type": "FINITE"}
            rows["trial_values"].append({**mine, **value_row})
        for epoch in trial.list_epochs():
            step = {"step": epoch.epoch, "intermediate_value": epoch.validation_loss}
            rows["trial_intermediate_values"].append(
                {**mine, **step, "intermediate_value_type": "FINITE"}
            )
    return rows


def write_own_rows(connection: sa.Connection, past: Sequence[Past]) -> None:
    """Write what the product's own tables hold of the trials."""
    shared = {"attempt": 1, "recorded_s": 0.0}
    curves = [{"trial_id": t.key, **shared, **vars(e)} for t in past for e in t.list_epochs()]
    connection.execute(epoch_table.insert(), curves)
    names = ("state", "number", "params", "best_epoch", "feasible", "until_epoch")
    statement = (
        trial_table.update()
        .where(trial_table.c.id == sa.bindparam("key"))
        .values(
            {name: sa.bindparam(f"new_{name}") for name in names}
            | {"attempts": 1, "outcome": "complete", "started_s": 0.0}
        )
    )
    rows = [
        {
            "key": trial.key,
            "new_state": COMPLETE if trial.is_done else PAUSED,
            "new_number": trial.slot,
            "new_params": json.dumps(dict.fromkeys(SPACE, 1e-3)),
            "new_best_epoch": trial.last,
            "new_feasible": trial.is_done,
            "new_until_epoch": trial.last,
        }
        for trial in past
    ]
    connection.execute(statement, rows)


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
        trial = studies.begin_trial(
            study, claim.slot, {}, is_first=claim.attempt == 1, number=claim.number
        )
        with studies.gather_writes(trial):
            suggest(trial, SPACE, {})
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
    find_complete(engine, claim.sweep_id, range(NUM_KEPT_WEIGHTS))
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
    firsts: Times = defaultdict(list)
    merged: Times = defaultdict(list)
    for _process in processes:
        for into, found in zip((firsts, merged), out.get(timeout=1200), strict=True):
            for what, times in found.items():
                into[what] += times
    for process in processes:
        process.join()
    return firsts, merged


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

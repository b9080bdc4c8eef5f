"""Real processes, real signals: whatever ends them, each trial is trained once and whole.

Trainings are held in mid-epoch by a file that the network looks at (the gate), so that a signal
meets them where the test wants; everything else is waited for in the database.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from storage import studies
from storage.engine import create_engine, parse_url
from storage.epochs import Epoch, TrialRow, read_curve, read_trials
from storage.migrations import create_tables
from storage.sweeps import TrialCounts, count_trials, find_sweep, list_sweeps
from storage.tables import attempts
from sweep.session import Session
from sweep.signals import Signals
from sweep.worker import WorkerOptions, run_worker

DEADLINE_S = 200.0
NAME = "FaintNet"
NUM_TRIALS, NUM_EPOCHS = 3, 4
MID_EPOCH = 4
"""Of the training batches, two an epoch: the second of the second epoch."""


@dataclass
class Job:
    """A small sweep in a folder of its own, and the processes that were started for it."""

    folder: Path
    storage: str
    arguments: list[str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = create_engine(parse_url(self.storage))
        create_tables(self.engine)
        self.gate = self.folder / "gate"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a shell would, `sweep run` unless another one is given."""
        command = arguments or ("run", *self.arguments)
        settings = {"SWEEP_STORAGE": self.storage, "NET_GATE": str(self.gate)}
        process = subprocess.Popen(
            [sys.executable, "-m", "sweep", *command],
            cwd=self.folder,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def start_worker(self) -> subprocess.Popen[str]:
        """Start one worker without a supervisor."""
        return self.start("worker", "--sweep", NAME, "--threads", "1")

    def work(self) -> int:
        """Let a worker of this process work until nothing is left."""
        artifacts = self.folder / "sweep_artifacts"
        return run_worker(WorkerOptions(self.storage, NAME, artifacts, num_threads=1), Signals())

    def close_gate(self, batch: int = MID_EPOCH) -> None:
        """Hold every training before its given batch."""
        for mark in self.folder.glob("gate.*"):
            mark.unlink()
        self.gate.write_text(str(batch))

    def open_gate(self) -> None:
        """Let all trainings go on."""
        self.gate.unlink(missing_ok=True)

    def read_rows(self) -> list[TrialRow]:
        """Read the trials that have begun; none before the sweep is there."""
        known = [sweep.id for sweep in list_sweeps(self.engine) if sweep.name == NAME]
        return read_trials(self.engine, known[0]) if known else []

    def count(self) -> TrialCounts:
        """Count the trials by state."""
        return count_trials(self.engine, find_sweep(self.engine, NAME).id)

    def read_curves(self) -> list[list[Epoch]]:
        """Read all curves by slot, without what is different each time."""
        return [
            [replace(epoch, duration_s=0.0) for epoch in read_curve(self.engine, row.id)]
            for row in self.read_rows()
        ]

    def read_told(self) -> list[optuna.trial.FrozenTrial]:
        """Read the trials of the study."""
        return studies.load_study(studies.open_study_storage(parse_url(self.storage)), NAME).trials

    def read_endings(self) -> list[str | None]:
        """Read how all attempts ended, in order."""
        query = sa.select(attempts.c.ending).order_by(attempts.c.trial_id, attempts.c.attempt)
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def wait_for_held(self, number: int, attempt: int = 1) -> list[TrialRow]:
        """Wait until so many trials are held in their second epoch, in an attempt of that number.

        Returns:
            Their rows.
        """

        def find() -> list[TrialRow]:
            return [
                row
                for row in self.read_rows()
                if row.state == "running"
                and row.attempts >= attempt
                and row.last is not None
                and row.last.epoch == 1
                and self.gate.with_suffix(f".{get_process(row)}").exists()
            ]

        wait_until(lambda: len(find()) >= number, self)
        return find()


def wait_until(condition: Callable[[], bool], job: Job) -> None:
    """Wait for a condition that must come true while the job lives."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            logs = [path.read_text()[-500:] for path in job.folder.rglob("*.log")]
            rows = [(row.slot, row.state, row.attempts, row.last) for row in job.read_rows()]
            pytest.fail(f"it did not happen in time; the workers said {logs}, stored is {rows}")
        time.sleep(0.02)


def get_process(row: TrialRow) -> int:
    """Give the process that trains a trial."""
    assert row.worker is not None
    return int(row.worker.split(":")[1])


def is_alive(process: int) -> bool:
    """Say whether a process that may not be our child still runs."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def end(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Wait for a process to end with a code; gives what it wrote."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code, err
    return out, err


def put_to_sleep(process: subprocess.Popen[str], storage: str) -> None:
    """Stop a process outside of its transactions: in one it would hold the whole file's lock."""
    while True:
        process.send_signal(signal.SIGSTOP)
        connection = sqlite3.connect(storage.removeprefix("sqlite:///"), timeout=1)
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def arguments(own_network: Path, events_file: Path) -> list[str]:
    """What `sweep run` is asked for."""
    words = ["--model", f"{own_network}:FaintNet", "--data", str(events_file), "--workers", "2"]
    words += ["--events", "24", "--val-events", "12", "--fix", "batch_size=12", "--fix", "lr=0.05"]
    return [*words, "--epochs", str(NUM_EPOCHS), "--trials", str(NUM_TRIALS)]


@pytest.fixture
def make_job(tmp_path: Path, arguments: list[str]) -> Iterator[Callable[[str], Job]]:
    """Make a job on a database; processes that a failed test left are ended."""
    jobs = []

    def make(storage: str) -> Job:
        jobs.append(Job(tmp_path, storage, arguments))
        return jobs[-1]

    yield make
    for job in jobs:
        job.open_gate()
        for process in job.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.communicate()


@pytest.fixture
def make_open_job(
    make_job: Callable[[str], Job], make_session: Callable[..., Session]
) -> Callable[[str], Job]:
    """Make a job whose sweep is in the database already, for workers to join."""

    def make(storage: str) -> Job:
        make_session(
            storage,
            NAME,
            name=NAME,
            trials=NUM_TRIALS,
            epochs=NUM_EPOCHS,
            pruner="median",
            num_startup_trials=5,
        )
        return make_job(storage)

    return make


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> list[list[Epoch]]:
    """The curves of the same sweep when nothing interrupts it."""
    folder = tmp_path_factory.mktemp("reference")
    job = Job(folder, f"sqlite:///{folder / 'sweep.db'}", arguments)
    end(job.start())
    return job.read_curves()


def check_whole(job: Job, reference: list[list[Epoch]]) -> None:
    """The budget is spent exactly, every curve is that of an uninterrupted sweep."""
    assert job.count() == TrialCounts(0, 0, NUM_TRIALS, 0, 0)
    assert job.read_curves() == reference
    told = job.read_told()
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * NUM_TRIALS
    assert list(job.folder.rglob("checkpoint.pt")) == []


def test_killed_worker_is_replaced_and_its_trial_goes_on(
    make_job: Callable[[str], Job], sqlite_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGKILL in mid-epoch: the same trial, from its checkpoint, without waiting for the lease."""
    job = make_job(sqlite_url)
    job.close_gate()
    process = job.start()
    victim = job.wait_for_held(2)[0]
    os.kill(get_process(victim), signal.SIGKILL)
    (successor,) = (row for row in job.wait_for_held(1, attempt=2) if row.id == victim.id)
    assert successor.number == victim.number
    assert successor.worker != victim.worker
    job.open_gate()
    _out, err = end(process)
    assert "stopped" not in err
    check_whole(job, reference)
    assert sorted(map(str, job.read_endings())) == ["expired"] + ["finished"] * NUM_TRIALS


def test_interrupted_sweep_goes_on(
    make_job: Callable[[str], Job], sqlite_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGINT, then a killed supervisor, then on to the end as if nothing had been."""
    job = make_job(sqlite_url)
    job.close_gate()
    process = job.start()
    job.wait_for_held(2)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping after this epoch" in process.stderr.readline()
    job.open_gate()
    _out, err = end(process)
    assert "stopped; to go on: sweep run --model" in err
    assert {trial.state for trial in job.read_told()} == {TrialState.WAITING}
    assert job.count() == TrialCounts(NUM_TRIALS, 0, 0, 0, 0)
    assert [len(curve) for curve in job.read_curves()] == [2, 2]

    job.close_gate(batch=6)
    process = job.start()
    wait_until(lambda: [row.attempts for row in job.read_rows()] == [2, 2], job)
    workers = [get_process(row) for row in job.read_rows()]
    process.kill()
    process.communicate()
    job.open_gate()
    wait_until(lambda: not any(map(is_alive, workers)), job)
    assert job.count().running == 0
    assert job.count().finished < NUM_TRIALS

    assert job.work() > 0
    check_whole(job, reference)
    assert "expired" not in job.read_endings()


def test_terminated_worker_leaves_at_once(
    make_open_job: Callable[[str], Job], postgres_url: str, reference: list[list[Epoch]]
) -> None:
    """SIGTERM in mid-epoch: the epoch is given up, not the ones before it."""
    job = make_open_job(postgres_url)
    job.close_gate()
    process = job.start_worker()
    job.wait_for_held(1)
    process.send_signal(signal.SIGTERM)
    job.open_gate()
    _out, err = end(process)
    assert err == "slot 0: given back with its checkpoint\n"
    assert [trial.state for trial in job.read_told()] == [TrialState.WAITING]
    assert [len(curve) for curve in job.read_curves()] == [1]
    assert job.work() == NUM_TRIALS
    check_whole(job, reference)
    assert job.read_endings() == ["released"] + ["finished"] * NUM_TRIALS


def test_sleeping_worker_is_not_waited_for(
    make_open_job: Callable[[str], Job],
    sqlite_url: str,
    reference: list[list[Epoch]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker stopped as by a laptop's lid: another takes its trial over, and it harms nothing."""
    monkeypatch.setenv("SWEEP_LEASE_S", "1")
    job = make_open_job(sqlite_url)
    job.close_gate()
    sleeper = job.start_worker()
    job.wait_for_held(1)
    put_to_sleep(sleeper, sqlite_url)
    assert job.work() == NUM_TRIALS
    told = job.read_told()
    job.open_gate()
    sleeper.send_signal(signal.SIGCONT)
    _out, err = end(sleeper)
    assert "ran out and another worker holds the trial" in err
    assert job.read_told() == told
    check_whole(job, reference)
    assert job.read_endings() == ["expired"] + ["finished"] * NUM_TRIALS

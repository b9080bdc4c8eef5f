"""Small sweeps in folders of their own, and the real processes that train them.

Trainings are held in mid-epoch by a file that the network looks at (the gate), so that a signal
meets them where a test wants; everything else is waited for in the database.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from forks import QUIET, Command
from sweep.machine.signals import Signals
from sweep.storage import studies
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.epochs import TrialRow, read_curve, read_trials
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import TrialCounts, count_trials, find_sweep, list_sweeps
from sweep.storage.tables import Epoch, attempts, trials
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

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
    started: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = create_engine(parse_url(self.storage))
        create_tables(self.engine)
        self.gate = self.folder / "gate"

    def start(self, *arguments: str) -> Command:
        """Start a command as a shell would, `sweep run` unless another one is given."""
        command = arguments or ("run", *self.arguments)
        settings = {"SWEEP_STORAGE": self.storage, "NET_GATE": str(self.gate), **QUIET}
        process = Command(*command, folder=self.folder, settings=settings)
        self.started.append(process)
        return process

    def start_worker(self, *options: str) -> Command:
        """Start one worker without a supervisor."""
        return self.start("worker", "--sweep", NAME, "--threads", "1", *options)

    def end(self) -> None:
        """End the processes that are left, those that sleep too."""
        self.open_gate()
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.communicate()

    def work(self) -> int:
        """Let a worker of this process work until nothing is left."""
        artifacts = self.folder / "sweep_artifacts"
        return run_worker(WorkerOptions(self.storage, NAME, artifacts, num_threads=1), Signals())

    def start_held_worker(self) -> Command:
        """Start one worker and wait until its trial is held in mid-epoch."""
        self.close_gate()
        process = self.start_worker()
        self.wait_for_held(1)
        return process

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

    def read_lease_s(self) -> float:
        """Read when the lease of the first trial ends, by the database's clock."""
        query = sa.select(trials.c.lease_until_s).where(trials.c.slot == 0)
        with self.engine.connect() as connection:
            return float(connection.execute(query).scalar_one())

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


def register(make_session: Callable[..., Session], storage: str) -> Session:
    """Put the sweep that all these jobs train into a database, for workers to join."""
    return make_session(
        storage,
        NAME,
        name=NAME,
        trials=NUM_TRIALS,
        epochs=NUM_EPOCHS,
        pruner="median",
        sampler="random",
        num_startup_trials=5,
    )


def read_line(process: Command) -> str:
    """Read the next line that a command writes for people, once it is there."""
    return process.stderr.readline()


def hear(process: Command, text: str) -> None:
    """Read what a command writes for people up to the line with a text."""
    heard = []
    while text not in (line := read_line(process)):
        heard.append(line)
        assert line, f"it ended without saying {text!r}, but {heard}"


def wait_until(condition: Callable[[], bool], job: Job) -> None:
    """Wait for a condition that must come true while the job lives."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            logs = [path.read_text()[-500:] for path in job.folder.rglob("*.log")]
            rows = [(row.slot, row.state, row.attempts, row.last) for row in job.read_rows()]
            pytest.fail(f"it did not happen in time; the workers said {logs}, stored is {rows}")
        time.sleep(0.1)  # whoever asks more often takes the processor from those it waits for


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


def end(process: Command, code: int = 0) -> tuple[str, str]:
    """Wait for a process to end with a code; gives what it wrote."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code, err
    return out, err


def check_whole(job: Job, reference: list[list[Epoch]]) -> None:
    """The budget is spent exactly, every curve is that of an uninterrupted sweep."""
    assert job.count() == TrialCounts(0, 0, NUM_TRIALS, 0, 0)
    assert job.read_curves() == reference
    told = job.read_told()
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * NUM_TRIALS
    assert list(job.folder.rglob("checkpoint.pt")) == []

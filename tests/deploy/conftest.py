"""What the tests of the deploy files share: a prepared project, the image's stages, held trials."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from storage import studies
from storage.epochs import read_curve, read_trials
from storage.tables import attempts
from sweep.session import Session
from sweep.signals import Signals
from sweep.worker import WorkerOptions, run_worker

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 100.0
NUM_EPOCHS = 3
MID_EPOCH = 4
"""Of the training batches, two an epoch: the second of the second epoch."""


@dataclass(frozen=True)
class Project:
    """The compose file in a folder where `prepare.sh` has run, and the way to ask Compose about it.

    Attributes:
        folder: Of the project, with `secrets`, `data` and `.env`.
        binary: Compose itself; the command of the same name in the package hides its exit code.
    """

    folder: Path
    binary: Path

    def ask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call `docker compose`; the environment's own settings of Compose count for nothing."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.run(
            [self.binary, *arguments],
            cwd=self.folder,
            env=clean | environment,
            capture_output=True,
            text=True,
        )

    def read(self, *arguments: str) -> dict[str, Any]:
        """Read the project as Compose does, all profiles included."""
        answer = self.ask(*arguments, "--profile", "*", "config", "--format", "json")
        assert answer.returncode == 0, answer.stderr
        content: dict[str, Any] = json.loads(answer.stdout)
        return content

    def read_secret(self, name: str) -> str:
        """Read a password that `prepare.sh` drew."""
        return (self.folder / "secrets" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def compose() -> Path:
    """The real Compose, which reads and checks files without an engine."""
    found = importlib.util.find_spec("compose")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no Compose: install pv-sweep[test]")
    return Path(found.submodule_search_locations[0]) / "docker-compose"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, compose: Path) -> Project:
    """The project as it is after the first command of the compose file's head."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "deploy" / "compose", folder / "deploy" / "compose")
    subprocess.run(["sh", folder / "deploy" / "compose" / "prepare.sh"], check=True)
    return Project(folder, compose)


@pytest.fixture(scope="session")
def services(project: Project) -> dict[str, Any]:
    """The services as Compose reads them."""
    read: dict[str, Any] = project.read()["services"]
    return read


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile: its instructions in order, as (`RUN`, what stands after it)."""

    instructions: tuple[tuple[str, str], ...]

    def list(self, kind: str) -> list[str]:
        """List what stands after all instructions of a kind."""
        return [text for found, text in self.instructions if found == kind]


@pytest.fixture(scope="session")
def stages() -> list[Stage]:
    """The Dockerfile's stages; what stands before the first one is left out."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    instructions = [(kind, " ".join(rest.split())) for kind, rest in words]
    starts = [index for index, (kind, _rest) in enumerate(instructions) if kind == "FROM"]
    ends = [*starts[1:], len(instructions)]
    return [Stage(tuple(instructions[a:b])) for a, b in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class Held:
    """A sweep whose trials are held in the middle of their second epoch, until they are let go.

    Attributes:
        session: Of the sweep.
        storage: Address of its database.
        gate: File that holds the trials while it is there.
        artifacts: Folder of their checkpoints.
    """

    session: Session
    storage: str
    gate: Path
    artifacts: Path

    def list_environment(self) -> dict[str, str]:
        """List what a worker must know to be held."""
        return {"NET_GATE": str(self.gate), "OMP_NUM_THREADS": "1"}

    def wait(self, process: subprocess.Popen[str], number: int = 1) -> None:
        """Wait until so many trials are held by workers that a process has started."""
        deadline_s = time.monotonic() + DEADLINE_S
        while len(list(self.gate.parent.glob(f"{self.gate.name}.*"))) < number:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline_s, "no trial has begun in time"
            time.sleep(0.02)

    def let_go(self) -> None:
        """Let the trials go on."""
        self.gate.unlink()

    def list_states(self) -> list[TrialState]:
        """List the states of the study's trials."""
        study = studies.load_study(self.session.study_storage, self.session.sweep.name)
        return [trial.state for trial in study.trials]

    def check_given_back(self, number: int = 1) -> None:
        """The trials wait for somebody else, with a checkpoint each."""
        assert self.list_states() == [TrialState.WAITING] * number
        assert len(list(self.artifacts.rglob("checkpoint.pt"))) == number

    def finish(self, number: int = 1) -> None:
        """Another worker trains the rest: the same trials, each epoch once."""
        options = WorkerOptions(
            self.storage, self.session.sweep.name, self.artifacts, num_threads=1
        )
        assert run_worker(options, Signals()) == number
        assert self.list_states() == [TrialState.COMPLETE] * number
        for row in read_trials(self.session.engine, self.session.sweep.id):
            curve = read_curve(self.session.engine, row.id)
            assert [epoch.epoch for epoch in curve] == list(range(1, NUM_EPOCHS + 1))
            query = sa.select(attempts.c.ending).where(attempts.c.trial_id == row.id)
            with self.session.engine.connect() as connection:
                endings = list(connection.execute(query.order_by(attempts.c.attempt)).scalars())
            assert endings == ["released", "finished"]


@pytest.fixture
def make_held(make_session: Callable[..., Session], tmp_path: Path) -> Callable[..., Held]:
    """Make a sweep whose trials will be held as soon as a worker has come to the middle."""

    def make(storage: str, trials: int = 1, artifacts: Path | None = None) -> Held:
        session = make_session(storage, "FaintNet", trials=trials, epochs=NUM_EPOCHS)
        gate = tmp_path / "gate"
        gate.write_text(str(MID_EPOCH))
        return Held(session, storage, gate, artifacts or tmp_path / "artifacts")

    return make

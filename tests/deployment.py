"""What the tests of the deploy files use: a prepared project, the image's stages, held trials."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from forks import Command
from jobs import Job, wait_until

ROOT = Path(__file__).resolve().parents[1]
NUM_EPOCHS = 3


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


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile: its instructions in order, as (`RUN`, what stands after it)."""

    instructions: tuple[tuple[str, str], ...]

    def list(self, kind: str) -> list[str]:
        """List what stands after all instructions of a kind."""
        return [text for found, text in self.instructions if found == kind]


def read_locks(*names: str) -> dict[str, str]:
    """Read which version of each package some locks take."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in names)
    return dict(re.findall(r"^([a-z0-9-]+)==([^ +]+)", text, re.MULTILINE))


def wait_for_held(job: Job, process: subprocess.Popen[str] | Command) -> None:
    """Wait until the worker that a process is, or has started, is held in mid-epoch."""

    def is_over() -> bool:
        return any(job.folder.glob(f"{job.gate.name}.*")) or process.poll() is not None

    wait_until(is_over, job)
    assert process.poll() is None, process.communicate()


def check_given_back(job: Job) -> None:
    """The only trial waits for somebody else, with a checkpoint."""
    assert [trial.state for trial in job.read_told()] == [TrialState.WAITING]
    assert len(list(job.folder.rglob("checkpoint.pt"))) == 1


def check_goes_on(job: Job) -> None:
    """Another worker trains the rest of it: the same trial, each epoch once."""
    assert job.work() == 1
    assert [trial.state for trial in job.read_told()] == [TrialState.COMPLETE]
    (curve,) = job.read_curves()
    assert [epoch.epoch for epoch in curve] == list(range(1, NUM_EPOCHS + 1))
    assert job.read_endings() == ["released", "finished"]

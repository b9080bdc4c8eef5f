"""What every way of running workers offers, so that whoever watches a sweep need not know which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sweep.trust import describe_environment as describe_trust

if TYPE_CHECKING:  # it loads torch, which a process that only starts workers does not need
    from sweep.launch.places import Place


@dataclass(frozen=True)
class Job:
    """What workers are started for.

    Attributes:
        storage: Address of the database; it may hold a password, so it travels in the
            environment and never among a process's arguments, which all can see.
        sweep: Name of the sweep.
        artifacts: Folder of checkpoints, weights, pictures and logs, as an absolute path.
    """

    storage: str
    sweep: str
    artifacts: Path

    def describe_environment(self) -> dict[str, str]:
        """Give the environment variables that a worker of the job needs."""
        return {"SWEEP_STORAGE": self.storage, **describe_trust()}

    def list_arguments(self, place: Place) -> list[str]:
        """List the arguments of `sweep` that start a worker at a place."""
        arguments = ["worker", "--sweep", self.sweep, "--artifacts", str(self.artifacts)]
        return [*arguments, "--device", place.device, "--threads", str(place.num_threads)]


class Launcher(Protocol):
    """Runs the workers of one sweep and keeps their number."""

    def start(self) -> None:
        """Start the workers.

        Raises:
            SweepError: when they cannot be started.
        """

    def watch(self) -> int:
        """Replace workers that were killed.

        Returns:
            How many are alive.

        Raises:
            SweepError: when a worker ended with a fault, or cannot be kept alive.
        """

    def ask_to_stop(self, *, at_once: bool = False) -> None:
        """Ask all workers to leave: after their epoch, or at once."""

    def end(self) -> None:
        """End what is still alive: gently at first, then by force."""


def read_fault(log: Path) -> str:
    """Read the line with which a worker ended, for the person who watches."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else "no output"
    return f"{last} (log of the worker: {log})"


def name_logs(job: Job, places: Sequence[Place]) -> list[Path]:
    """Name the log of each worker, in a folder that is made where it is missing."""
    folder = job.artifacts / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return [folder / f"{job.sweep}-worker-{index}.log" for index in range(len(places))]

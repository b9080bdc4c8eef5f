"""What every way of running workers offers, so that whoever watches a sweep need not know which.

A launcher is a module with three functions (`LauncherModule`); `sweep.launch.launchers` lists them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sweep.errors import SweepError
from sweep.files.trust import describe_environment as describe_trust
from sweep.storage.path_parts import check_path_part

if TYPE_CHECKING:  # it loads torch, which a process that only starts workers does not need
    from sweep.launch.places import Place


@dataclass(frozen=True)
class Job:
    """What workers are started for.

    Attributes:
        storage: Address of the database; it may hold a password, so it travels in the
            environment and never among a process's arguments, which all can see.
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
        arguments += ["--device", place.device, "--threads", str(place.num_threads)]
        return [*arguments, "--at-once", str(place.num_workers)]


@dataclass(frozen=True)
class Wish:
    """What a person asked of the workers; None where they did not say.

    Attributes:
        workers: How many.
        gpus: Numbers of the GPUs to use, none of them for the CPU.
        per_gpu: How many share a GPU.
        address: Of a cluster.
    """

    workers: int | None = None
    gpus: Sequence[int] | None = None
    per_gpu: int | None = None
    address: str | None = None


FreeTrials = Callable[[Callable[[str], bool], str | None], int]
"""Frees the trials of the workers of whose names a function says that they are gone, told how their
process ended of itself (None where something killed it), and says how many there were."""


class LauncherModule(Protocol):
    """What the module of a launcher offers."""

    def check(self, wish: Wish, storage: str) -> None:
        """Refuse a wish that this launcher cannot fulfil, before anything is made.

        Raises:
            ConfigError: when it is one.
        """

    def open_places(self, wish: Wish) -> AbstractContextManager[list[Place]]:
        """Find where workers may run; a cluster is joined for as long as they do.

        Raises:
            ConfigError: when there is no room for what is wished.
        """

    def make_launcher(
        self,
        job: Job,
        places: Sequence[Place],
        free_trials: FreeTrials,
        say: Callable[[str], None],
    ) -> Launcher:
        """Make the launcher of a sweep's workers.

        Args:
            free_trials: Called when a worker has ended, however it did, before its place is filled
                again: the trials it held are free at once.
            say: Told in one line what a person should know.
        """


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


class IdleDeaths:
    """How often in a row a place was filled again to no use, and when that is too often.

    A worker that is killed with a trial in hand is replaced always: the trial is given up first,
    after so many lost attempts. One that is killed without is replaced MOST times.
    """

    MOST = 3

    def __init__(self, log: Path) -> None:
        self._log = log
        self._number = 0

    def note(self, killer: str, *, had_trial: bool) -> None:
        """Note that the worker of the place was killed.

        Raises:
            SweepError: when another would be to no use.
        """
        self._number = 0 if had_trial else self._number + 1
        if self._number > self.MOST:
            raise SweepError(
                f"worker: killed by {killer}, got {self._number} deaths in a row without a trial "
                f"in hand, expected a worker that lives; look into {self._log}"
            )


OWN_SIGNALS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")
"""Of a process that crashed; by others it was killed."""


def describe_ending(code: int) -> str | None:
    """Say how a process ended of itself; None where something else killed it.

    Args:
        code: Its exit code, or the signal's number below 0.
    """
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return name if name in OWN_SIGNALS else None


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
    name = check_path_part(job.sweep)
    return [folder / f"{name}-worker-{index}.log" for index in range(len(places))]

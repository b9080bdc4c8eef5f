"""Workers as processes of this machine: one a device or a group of cores, watched and replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sweep.errors import SweepError

MAX_RESTARTS = 3


@dataclass(frozen=True)
class Place:
    """Where one worker computes.

    Attributes:
        device: PyTorch's name of the device, as the worker sees it.
        gpu: Index of the one GPU the worker may see, or None on a CPU.
        num_threads: Threads of PyTorch on a CPU, or None.
    """

    device: str
    gpu: int | None = None
    num_threads: int | None = None


def count_gpus() -> int:
    """Count the GPUs that PyTorch can use here."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def count_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_places(num_workers: int | None) -> list[Place]:
    """Choose where workers run: every GPU, or the CPU.

    Args:
        num_workers: As many as asked for, or None for one a GPU, or one a core of the CPU.
    """
    num_gpus = count_gpus()
    if num_gpus:
        return [Place("cuda:0", gpu=index % num_gpus) for index in range(num_workers or num_gpus)]
    cores = count_cores()
    wanted = num_workers or cores
    return [Place("cpu", num_threads=max(1, cores // wanted)) for _ in range(wanted)]


@dataclass
class _Child:
    """One worker process and how often its place was filled again."""

    place: Place
    log: Path
    process: subprocess.Popen[bytes]
    num_restarts: int = 0


@dataclass
class Workers:
    """The worker processes of one sweep on this machine.

    Args:
        storage: Address of the database; passed in the environment, because a process's
            arguments are visible to all.
        sweep: Name of the sweep.
        artifacts: Folder of checkpoints, weights, pictures and logs.
        places: Where each worker computes.
        on_death: Called when a worker was killed, before its place is filled again.
    """

    storage: str
    sweep: str
    artifacts: Path
    places: Sequence[Place]
    on_death: Callable[[], object]
    _children: list[_Child] = field(default_factory=list)
    _is_stopping: bool = False

    def start(self) -> None:
        """Start one process for each place."""
        for index, place in enumerate(self.places):
            log = self.artifacts / "logs" / f"{self.sweep}-worker-{index}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
            self._children.append(_Child(place, log, self._spawn(place, log)))

    def watch(self) -> int:
        """Replace workers that were killed.

        Returns:
            How many are alive.

        Raises:
            SweepError: when a worker ended with a fault, or was killed too often.
        """
        for child in self._children:
            code = child.process.poll()
            if code is None or code == 0 or self._is_stopping:
                continue
            if code > 0:
                raise SweepError(_read_fault(child.log))
            if child.num_restarts == MAX_RESTARTS:
                raise SweepError(
                    f"worker: killed by {signal.Signals(-code).name}, got {MAX_RESTARTS + 1} "
                    f"deaths, expected a worker that lives; look into {child.log}"
                )
            self.on_death()
            child.num_restarts += 1
            child.process = self._spawn(child.place, child.log)
        return sum(child.process.poll() is None for child in self._children)

    def ask_to_stop(self, *, at_once: bool = False) -> None:
        """Ask all workers to leave, after their epoch or at once (two SIGINTs might merge)."""
        self._is_stopping = True
        self._send(signal.SIGTERM if at_once else signal.SIGINT)

    def end(self, timeout_s: float = 20.0) -> None:
        """End all workers that are alive: gently by SIGTERM, after a while by SIGKILL."""
        self._is_stopping = True
        self._send(signal.SIGTERM)
        for child in self._children:
            try:
                child.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def _send(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    def _spawn(self, place: Place, log: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SWEEP_STORAGE": self.storage}
        if place.gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = _name_gpu(place.gpu)
        if place.num_threads is not None:
            environment["OMP_NUM_THREADS"] = str(place.num_threads)
        command = [sys.executable, "-m", "sweep", "worker", "--sweep", self.sweep]
        command += ["--artifacts", str(self.artifacts), "--device", place.device]
        command += ["--parent", str(os.getpid())]
        if place.num_threads is not None:
            command += ["--threads", str(place.num_threads)]
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
            )


def _name_gpu(index: int) -> str:
    """Give the name by which a child sees only the GPU of this index among those seen here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[index] if visible else str(index)


def _read_fault(log: Path) -> str:
    """Read the line with which a worker ended, for the person who watches the supervisor."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else "no output"
    return f"{last} (log of the worker: {log})"

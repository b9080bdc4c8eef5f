"""Where processes of workers may compute: the GPUs and cores of a machine, and their shares."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sweep.errors import ConfigError
from sweep.launch.fork_server import ForkServer
from sweep.machine.sharing import choose_share, read_free_bytes

NO_GPU = "none"

MOST_THREADS_ON_GPU = 2
"""Of a process whose GPU computes: one that begins its steps, one that reads what comes next."""


@dataclass(frozen=True)
class Place:
    """Where one process computes.

    Attributes:
        device: PyTorch's name of the device, as the process sees it.
        gpu: Number of the one GPU the process may see, or None on a CPU or a cluster.
        num_threads: Of PyTorch and its libraries on the CPU, so that processes do not fight.
        gpu_share: Of one GPU, where a cluster chooses which; 0 elsewhere.
        forks: Forks the worker from a process that has loaded everything, where that can be.
        reason: Why so many workers share a GPU, where that was chosen here.
        num_workers: In the process: more than one on a GPU alone.
    """

    device: str
    gpu: int | None
    num_threads: int
    gpu_share: float = 0.0
    forks: ForkServer | None = field(default=None, compare=False)
    reason: str = field(default="", compare=False)
    num_workers: int = 1

    def describe_environment(self) -> dict[str, str]:
        """Give the environment variables that keep a worker to its place."""
        settings = {"OMP_NUM_THREADS": str(self.num_threads)}
        if self.gpu is not None:
            settings["CUDA_VISIBLE_DEVICES"] = _name_gpu(self.gpu)
        return settings


def count_gpus() -> int:
    """Count the GPUs that PyTorch can use here."""
    import torch  # late: an option is refused before it is loaded

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def count_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_places(
    num_workers: int | None = None, gpus: Sequence[int] | None = None, per_gpu: int | None = None
) -> list[Place]:
    """Choose where workers run.

    Args:
        num_workers: How many, or None for one a slot: `per_gpu` for each GPU, or one a core.
        gpus: Numbers of the GPUs to use, none for the CPU, or None for every GPU there is.
        per_gpu: How many workers share a GPU; None for as many as `num_workers` needs, else for
            what memory has room for (`sweep.machine.sharing`).

    Returns:
        One place for each GPU, whose workers are one process, or for each worker on the CPU. They
        divide the cores among themselves, where a GPU's process needs two at most.

    Raises:
        ConfigError: when a GPU is not there, or more workers are asked for than GPUs may hold.
    """
    used = list(range(count_gpus()) if gpus is None else gpus)
    _check_gpus(used)
    if per_gpu is not None and not used:
        raise ConfigError(
            f"per-gpu: no GPU to share, got {per_gpu} workers a GPU and no GPU, expected one that "
            "PyTorch can use; leave --per-gpu out"
        )
    if per_gpu is not None and num_workers is not None and num_workers > per_gpu * len(used):
        raise ConfigError(
            f"workers: more than the GPUs may hold, got {num_workers}, expected at most "
            f"{per_gpu * len(used)} ({per_gpu} on each of {len(used)}); raise --per-gpu"
        )
    if not used:
        wanted = num_workers or count_cores()
        return [Place("cpu", None, max(1, count_cores() // wanted))] * wanted
    reason = ""
    if num_workers is None and per_gpu is None:
        share = choose_share(find_free_bytes(used))
        per_gpu, reason = share.per_gpu, share.reason
    wanted = num_workers or len(used) * (per_gpu or 1)
    used = used[:wanted]
    threads = max(1, min(MOST_THREADS_ON_GPU, count_cores() // len(used)))
    return [
        Place("cuda:0", gpu, threads, reason=reason, num_workers=share)
        for gpu, share in zip(used, spread(wanted, len(used)), strict=True)
    ]


def spread(num_workers: int, num_places: int) -> list[int]:
    """Spread workers evenly over places; the first ones have one more."""
    return [len(range(index, num_workers, num_places)) for index in range(num_places)]


def count_workers(places: Sequence[Place]) -> int:
    """Count the workers of all places."""
    return sum(place.num_workers for place in places)


def leave_out(places: Sequence[Place], most: int) -> list[Place]:
    """Leave out workers that would have nothing to do; those that are left are spread evenly.

    Args:
        most: Workers that are left at most; at least 1.
    """
    shares = [place.num_workers for place in places]
    while sum(shares) > most:
        last_of_largest = len(shares) - 1 - shares[::-1].index(max(shares))
        shares[last_of_largest] -= 1
    return [
        replace(place, num_workers=share)
        for place, share in zip(places, shares, strict=True)
        if share
    ]


def find_free_bytes(gpus: Sequence[int]) -> int | None:
    """Find the free memory of that of this machine's GPUs which has least; None if not known."""
    return read_free_bytes([_name_gpu(number) for number in gpus])


def describe_choice(places: Sequence[Place]) -> str | None:
    """Say in one line how many workers run and why; None where a person said how many."""
    if not places or not places[0].reason:
        return None
    number = count_workers(places)
    workers = "1 worker" if number == 1 else f"{number} workers"
    return f"{workers}, {places[0].reason}; --per-gpu says otherwise"


def parse_gpus(text: str | None) -> list[int] | None:
    """Read a list of GPUs: `0,1`, or `none` for the CPU.

    Raises:
        ConfigError: when it is none.
    """
    if text is None:
        return None
    if text.strip() == NO_GPU:
        return []
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ConfigError(
            f"gpus: not a list of GPUs, got {text!r}, expected different numbers such as 0,1, or "
            f"{NO_GPU} for the CPU; change --gpus"
        )
    return numbers


def _check_gpus(gpus: Sequence[int]) -> None:
    present = count_gpus()
    missing = [number for number in gpus if number >= present]
    if missing:
        there = f"0 to {present - 1}" if present else "none, for PyTorch sees no GPU here"
        raise ConfigError(
            f"gpus: not there, got {missing[0]}, expected {there}; change --gpus (numbers count "
            "what CUDA_VISIBLE_DEVICES leaves, from 0)"
        )


def _name_gpu(number: int) -> str:
    """Give the name by which a worker sees only this GPU among those seen here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[number].strip() if visible else str(number)

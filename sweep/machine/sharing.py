"""How many workers share a GPU where nobody said.

A small network's step fills no large GPU, and between its steps a trial loads, saves and judges.
Workers of one process have the GPU do the steps of several at once; what bounds their number is its
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.errors import ConfigError
from sweep.machine.driver import ask_driver

AUTO = "auto"

MOST_PER_GPU = 8
"""On an H200 recorded steps of two small CNNs took 1.5 times as many events a second as of one, of
four 2.0 times, of eight 2.3 times and of sixteen no more; of rcnns 1.4, 1.7 and 1.8 times. A sweep
was not measured so (docs/PERFORMANCE.md)."""

MOST_UNKNOWN = 4
"""Where the free memory is not known; a trial that does not fit is tried again alone."""

WORKER_BYTES = 5 * 10**9
"""What a worker may come to need for a large network's batch, beside CUDA itself and the events,
which those of a process share. Eight of a default cnn sweep in as many processes took 7.4 GB."""


@dataclass(frozen=True)
class Share:
    """How many workers share a GPU, and in words what allows no more."""

    per_gpu: int
    reason: str


def choose_share(free_bytes: int | None) -> Share:
    """Choose how many workers share each GPU.

    Args:
        free_bytes: Of memory on the GPU that has least, or None where that is not known.

    Returns:
        At least one worker, at most what the memory has room for.
    """
    by_memory, memory = MOST_UNKNOWN, "free memory unknown"
    if free_bytes is not None:
        by_memory, memory = free_bytes // WORKER_BYTES, f"{free_bytes / 1e9:.0f} GB free"
    per_gpu = max(1, min(MOST_PER_GPU, by_memory))
    return Share(per_gpu, f"at most {per_gpu} a GPU: {memory}")


def read_free_bytes(names: Sequence[str]) -> int | None:
    """Read the free memory of the GPU that has least, from the driver: no memory of it is taken.

    Args:
        names: Of the GPUs, as CUDA_VISIBLE_DEVICES has them: numbers or UUIDs.

    Returns:
        Bytes, or None where the driver's `nvidia-smi` is not there or does not know.
    """
    free_mib = ask_driver("memory.free", names)
    return None if free_mib is None else min(free_mib) * 2**20


def parse_per_gpu(text: str | None) -> int | None:
    """Read how many workers share a GPU: a number, or `auto` (None).

    Raises:
        ConfigError: when it is neither.
    """
    if text is None or text.strip() == AUTO:
        return None
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise ConfigError(f"per-gpu: got {text}, expected {AUTO} or at least 1; change --per-gpu")
    return number

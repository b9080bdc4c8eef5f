"""How many workers share a GPU where nobody said.

One worker leaves most of a large GPU idle: while it loads, saves and judges, and wherever its steps
wait for the host. What bounds their number is the GPU's memory, the host's cores and the trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.errors import ConfigError
from sweep.machine.driver import ask_driver

AUTO = "auto"

MOST_PER_GPU = 8
"""With so many an H100 was busy 84 % of the time, where one alone kept it busy 19 %. That was
before a training's step was recorded; how many pay since has not been measured."""

MOST_UNKNOWN = 4
"""Where the free memory is not known; a trial that does not fit is tried again alone."""

WORKER_BYTES = 6 * 10**9
"""What a worker may come to need: half a gigabyte for CUDA itself, 0.8 for 20,000 events in half
precision, the rest for a large network's batch. Eight of a default cnn sweep took 7.4 GB in all."""


@dataclass(frozen=True)
class Share:
    """How many workers share a GPU, and in words what allows no more."""

    per_gpu: int
    reason: str


def choose_share(num_gpus: int, num_cores: int, free_bytes: int | None) -> Share:
    """Choose how many workers share each GPU.

    Args:
        num_gpus: GPUs of one machine that are used, at least 1.
        num_cores: Of that machine, for all of them.
        free_bytes: Of memory on the GPU that has least, or None where that is not known.

    Returns:
        At least one worker, at most a core's worth each and what the memory has room for.
    """
    by_cores = num_cores // num_gpus
    by_memory, memory = MOST_UNKNOWN, "free memory unknown"
    if free_bytes is not None:
        by_memory, memory = free_bytes // WORKER_BYTES, f"{free_bytes / 1e9:.0f} GB free"
    per_gpu = max(1, min(MOST_PER_GPU, by_cores, by_memory))
    return Share(per_gpu, f"at most {per_gpu} a GPU: {memory}, {num_cores} cores")


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

"""What a worker takes of its machine: memory, and of its GPU memory and time."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sweep.machine.device import name_gpu
from sweep.machine.driver import ask_driver
from sweep.storage.workers import Usage

EVERY_S = 5.0
"""It is measured at most once in so long: the kernel walks through all pages of the process."""
ROLLUP = Path("/proc/self/smaps_rollup")


class UsageMeter:
    """Measures what a worker takes, now and then.

    Args:
        num_workers: In this process; each has its part of what that takes.
    """

    def __init__(
        self,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
        num_workers: int = 1,
    ) -> None:
        self._device = device
        self._num_workers = num_workers
        self._clock = clock
        self._due_s = -math.inf

    def measure(self) -> Usage | None:
        """Measure; None where the last time is not EVERY_S ago."""
        if self._clock() < self._due_s:
            return None
        self._due_s = self._clock() + EVERY_S * self._num_workers
        memory = read_memory_bytes()
        part = None if memory is None else memory // self._num_workers
        if self._device.type != "cuda":
            return Usage(part)
        use = ask_driver("utilization.gpu", [name_gpu(self._device)])
        return Usage(
            part,
            torch.cuda.memory_reserved(self._device) // self._num_workers,
            None if use is None else use[0] / 100,
        )


def read_memory_bytes(rollup: Path = ROLLUP) -> int | None:
    """Read how much memory this process takes: of what it shares with others, its part.

    Workers are forked from one process and map the same events, so that what each of them has in
    reach (its resident set) would count those many times.

    Returns:
        Its proportional set size; None on another system than Linux.
    """
    try:
        found = re.search(r"^Pss:\s+(\d+) kB$", rollup.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024

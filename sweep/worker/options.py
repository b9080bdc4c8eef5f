"""Where a worker works, and what of that can be refused before torch is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import ConfigError, check_least

DEVICES = r"auto|cpu|cuda(:\d+)?|mps|xpu(:\d+)?"
"""What PyTorch may compute on, by its own names."""


@dataclass(frozen=True)
class WorkerOptions:
    """Where a worker works.

    Attributes:
        sweep: Name of the only sweep to work on, or None for all of the database in fair turn.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        num_threads: Of PyTorch on a CPU, or None for its own choice.
        at_once: Trials that it trains at the same time; None for one, or on a GPU for as many as
            its memory has room for.
        is_forever: Whether to wait for more where nothing is left to train.
        is_started_by_us: Whether a launcher started it, which had the database open: a database
            that does not answer is then waited for from the beginning.
    """

    storage: str
    sweep: str | None
    artifacts: Path
    device: str = "cpu"
    num_threads: int | None = None
    at_once: int | None = None
    is_forever: bool = False
    is_started_by_us: bool = False

    def check(self) -> None:
        """Refuse what can be on no machine.

        Raises:
            ConfigError: when the device or the number of threads is none.
        """
        check_least("threads", self.num_threads)
        check_least("at-once", self.at_once)
        if not re.fullmatch(DEVICES, self.device):
            raise ConfigError(
                f"device: cannot be used, got {self.device!r}, expected auto, cpu, cuda or cuda:N "
                "that is there; change --device"
            )

"""What a worker holds open while it trains, and what may interrupt it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
import torch
from optuna.storages import BaseStorage

from models import Architecture
from storage.sweeps import Sweep
from sweep.config import SweepConfig
from sweep.data.splits import Split


class Interruption(Protocol):
    """Tells a trial whether it should go on, and holds its claim."""

    def is_gentle(self) -> bool:
        """Say whether to leave after the epoch."""

    def is_immediate(self) -> bool:
        """Say whether to leave at once."""

    def hold(self) -> None:
        """Renew the claim now, before something is written that only its holder may write.

        Raises:
            LostClaimError: when another worker took the trial over.
        """


@dataclass(frozen=True)
class Session:
    """What a worker holds open for all trials of a sweep."""

    engine: sa.Engine
    study_storage: BaseStorage
    sweep: Sweep
    config: SweepConfig
    architecture: Architecture
    split: Split
    device: torch.device
    artifacts: Path

"""Where the trials of a sweep keep their files: checkpoints and weights."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from sweep.storage.files import remove_leftovers
from sweep.storage.path_parts import check_path_part
from sweep.storage.sweeps import Sweep

NUM_KEPT_WEIGHTS = 10
"""How many trials of a sweep, the best ones, keep their weights on disk."""
WEIGHTS = "weights.safetensors"


class TrialFolder:
    """Where one slot of the budget keeps its checkpoint and the weights of its best epoch.

    The time of the sweep's creation is part of the name, so that a sweep never takes up what
    another of the same name left behind, from a database that was removed or stands beside it.
    """

    def __init__(self, artifacts: Path, sweep: Sweep, slot: int) -> None:
        self.path = _get_sweep_folder(artifacts, sweep) / f"{slot:05d}"
        self.checkpoint = self.path / "checkpoint.pt"
        self.weights = self.path / WEIGHTS

    def drop_checkpoint(self) -> None:
        """Remove what only an unfinished trial needs, with what a killed writer left of it."""
        with suppress(FileNotFoundError):  # another worker removes the folder now: it is beaten
            remove_leftovers(self.path)
        self.checkpoint.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove everything the trial kept."""
        shutil.rmtree(self.path, ignore_errors=True)


def list_weighted(artifacts: Path, sweep: Sweep) -> list[int]:
    """List the slots of a sweep whose trials have weights on this disk."""
    found = _get_sweep_folder(artifacts, sweep).glob(f"*/{WEIGHTS}")
    return sorted(int(path.parent.name) for path in found if path.parent.name.isdigit())


def list_kept(artifacts: Path, sweep: Sweep) -> list[int]:
    """List the slots of a sweep whose trials have a folder on this disk."""
    found = _get_sweep_folder(artifacts, sweep).glob("*")
    return sorted(int(path.name) for path in found if path.name.isdigit())


def _get_sweep_folder(artifacts: Path, sweep: Sweep) -> Path:
    name = f"{check_path_part(sweep.name)}-{round(sweep.created_s * 1000):x}"
    return artifacts / "trials" / name

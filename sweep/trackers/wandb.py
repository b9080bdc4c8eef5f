"""A sweep as Weights & Biases keeps it offline: a folder a run, that `wandb sync` sends."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import wandb

from sweep.storage.files import open_scratch, write_folder
from sweep.trackers.runs import Run, claim_folder


def write_runs(folder: Path, sweep: str, mark: str, runs: Sequence[Run]) -> None:
    """Write the runs of a sweep; `wandb sync FOLDER/SWEEP/wandb/offline-run-*` sends them.

    Nothing is sent here, and nobody is asked who he is.

    Args:
        folder: In which a folder named as the sweep is made.
        mark: Which tells the sweep from others of its name.

    Raises:
        FileExistsError: when it has one already.
    """

    def write(place: Path) -> None:
        claim_folder(place, mark)
        for run in runs:
            _write_run(place, sweep, _name(sweep, mark, run), run)

    write_folder(folder / sweep, write)


class Writer:
    """Writes each run of a sweep when it has ended, whole or not at all.

    A folder that was begun cannot be gone on with offline, and nobody looks at it before that.

    Raises:
        FileExistsError: when the folder holds another sweep of this name.
    """

    def __init__(self, folder: Path, sweep: str, mark: str) -> None:
        self._place = folder / sweep
        self._sweep, self._mark = sweep, mark
        claim_folder(self._place, mark)

    def write(self, run: Run) -> None:
        """Write a run that has ended, unless it is there."""
        own = _name(self._sweep, self._mark, run)
        kept = self._place / "wandb"
        if run.finished_s is None or any(kept.glob(f"offline-run-*-{own}")):
            return
        kept.mkdir(exist_ok=True)
        with open_scratch(self._place) as scratch:
            _write_run(scratch, self._sweep, own, run)
            (made,) = (scratch / "wandb").glob(f"offline-run-*-{own}")
            os.replace(made, kept / made.name)

    def close(self, *, is_done: bool) -> None:
        """Do nothing more: what has ended is written."""


def _name(sweep: str, mark: str, run: Run) -> str:
    """Name a run as W&B does, but always alike: it is sent once, however often it is written."""
    return hashlib.blake2b(f"{sweep} {mark} {run.number}".encode(), digest_size=6).hexdigest()


def _write_run(place: Path, sweep: str, name: str, run: Run) -> None:
    own = wandb.init(
        mode="offline",
        dir=place,
        id=name,
        project=sweep,
        group=sweep,
        name=run.name,
        config={**run.params, **{f"sweep_{name}": text for name, text in run.notes.items()}},
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        reinit="create_new",
    )
    for step in run.steps:
        own.log(dict(step.values), step=step.epoch)
    for key, value in run.values.items():
        own.summary[f"best_{key}"] = value
    own.finish(exit_code=1 if run.is_failed else 0)

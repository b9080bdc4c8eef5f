"""A sweep as Weights & Biases keeps it offline: a folder a run, that `wandb sync` sends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import wandb

from sweep.storage.files import write_folder
from sweep.trackers.runs import Run


def write_runs(folder: Path, sweep: str, runs: Sequence[Run]) -> None:
    """Write the runs of a sweep; `wandb sync FOLDER/SWEEP/wandb/offline-run-*` sends them.

    Nothing is sent here, and nobody is asked who he is.

    Args:
        folder: In which a folder named as the sweep is made.

    Raises:
        FileExistsError: when it has one already.
    """
    write_folder(folder / sweep, lambda place: _write_all(place, sweep, runs))


def _write_all(place: Path, sweep: str, runs: Sequence[Run]) -> None:
    for run in runs:
        own = wandb.init(
            mode="offline",
            dir=place,
            project=sweep,
            group=sweep,
            name=run.name,
            config={**run.params, **{f"sweep_{name}": text for name, text in run.notes.items()}},
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
            reinit="create_new",
        )
        for step in run.steps:
            own.log(dict(step.values), step=step.epoch)
        for name, value in run.values.items():
            own.summary[f"best_{name}"] = value
        own.finish(exit_code=1 if run.is_failed else 0)

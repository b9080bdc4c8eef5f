"""A sweep as TensorBoard shows it: scalars by epoch, and its table of hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from sweep.models.value import Value, write_value
from sweep.storage.files import write_folder
from sweep.trackers.runs import Run


def write_runs(folder: Path, sweep: str, runs: Sequence[Run]) -> None:
    """Write the runs of a sweep; `tensorboard --logdir` of the folder shows them.

    Args:
        folder: In which a folder named as the sweep is made, with one of each run.

    Raises:
        FileExistsError: when it has one already.
    """
    write_folder(folder / sweep, lambda place: _write_all(place, runs))


def _write_all(place: Path, runs: Sequence[Run]) -> None:
    for run in runs:
        writer = SummaryWriter(str(place / run.name))
        for step in run.steps:
            for name, value in step.values.items():
                writer.add_scalar(name, value, step.epoch, walltime=step.at_s)
        params = {name: _fit(value) for name, value in run.params.items()}
        values = {f"best/{name}": value for name, value in run.values.items()}
        writer.add_hparams(params, values, run_name=".")  # in the run's own folder
        for name, text in run.notes.items():
            writer.add_text(name, text)
        writer.close()


def _fit(value: Value) -> bool | int | float | str:
    """Give a value as its table takes it: what is None or a list as text."""
    return write_value(value) if value is None or isinstance(value, list) else value

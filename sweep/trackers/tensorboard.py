"""A sweep as TensorBoard shows it: scalars by epoch, and its table of hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch.utils.tensorboard import SummaryWriter

from sweep.models.value import Value, write_value
from sweep.storage.files import write_folder
from sweep.trackers.runs import Run, claim_folder

END = "_hparams_/session_end_info"
"""The tag of the last thing that is written of a run."""


def write_runs(folder: Path, sweep: str, mark: str, runs: Sequence[Run]) -> None:
    """Write the runs of a sweep; `tensorboard --logdir` of the folder shows them.

    Args:
        folder: In which a folder named as the sweep is made, with one of each run.
        mark: Which tells the sweep from others of its name.

    Raises:
        FileExistsError: when it has one already.
    """

    def write(place: Path) -> None:
        claim_folder(place, mark)
        for run in runs:
            writer = SummaryWriter(str(place / run.name))
            _write_steps(writer, run, set())
            _end(writer, run)

    write_folder(folder / sweep, write)


class Writer:
    """Writes the runs of a sweep, and goes on with those that are there.

    A run's table of hyperparameters is written when it has ended. Each process that goes on with a
    run makes a file of its own; TensorBoard reads all of a folder.

    Raises:
        FileExistsError: when the folder holds another sweep of this name.
    """

    def __init__(self, folder: Path, sweep: str, mark: str) -> None:
        self._place = folder / sweep
        claim_folder(self._place, mark)
        self._open: dict[str, SummaryWriter] = {}
        self._seen: dict[str, set[tuple[str, int]]] = {}

    def write(self, run: Run) -> None:
        """Write what is new of a run."""
        place = self._place / run.name
        if run.name not in self._seen:
            self._seen[run.name] = _read_seen(place)
        seen = self._seen[run.name]
        if (END, 0) in seen:
            return
        if run.name not in self._open:
            self._open[run.name] = SummaryWriter(str(place))
        writer = self._open[run.name]
        _write_steps(writer, run, seen)
        if run.finished_s is not None:
            _end(writer, run)
            seen.add((END, 0))
        elif run.is_running:
            writer.flush()
            return
        else:  # paused: perhaps for long, and each writer has a thread
            writer.close()
        del self._open[run.name]

    def close(self, *, is_done: bool) -> None:  # noqa: ARG002 - TensorBoard knows no end
        """Close the files."""
        for writer in self._open.values():
            writer.close()


def _write_steps(writer: SummaryWriter, run: Run, seen: set[tuple[str, int]]) -> None:
    """Write the values that are not seen yet, and note them."""
    for step in run.steps:
        for name, value in step.values.items():
            if (name, step.epoch) not in seen:
                writer.add_scalar(name, value, step.epoch, walltime=step.at_s)
                seen.add((name, step.epoch))


def _end(writer: SummaryWriter, run: Run) -> None:
    """Write what is known of a run at its end."""
    for name, text in run.notes.items():
        writer.add_text(name, text)
    params = {name: _fit(value) for name, value in run.params.items()}
    values = {f"best/{name}": value for name, value in run.values.items()}
    writer.add_hparams(params, values, run_name=".")  # in the run's own folder
    writer.close()


def _read_seen(place: Path) -> set[tuple[str, int]]:
    """Read which values of a run are there; of a file that a kill cut off, those before the cut."""
    return {
        (value.tag, event.step if value.tag != END else 0)
        for path in sorted(place.glob("events.out.tfevents.*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    }


def _fit(value: Value) -> bool | int | float | str:
    """Give a value as its table takes it: what is None or a list as text."""
    return write_value(value) if value is None or isinstance(value, list) else value

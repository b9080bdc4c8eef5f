"""A sweep as Weights & Biases keeps it offline: a folder a run, that `wandb sync` sends."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import wandb

from sweep.storage.files import write_folder
from sweep.trackers.runs import NOTE, Run, Step, claim_folder

WHOLE = "whole"
"""The file that says of a run's folder that nothing of it is missing."""


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
            own = _begin(place, sweep, _name(sweep, mark, run), run)
            _log(own, run.steps)
            _end(own, run)

    write_folder(folder / sweep, write)


class Writer:
    """Writes the runs of a sweep while they are trained; W&B puts what it is told on disk itself.

    A run that a killed process had begun cannot be gone on with offline: it is written anew, under
    the same id, so that it is sent once. What has ended, and is whole, is left. So one process
    writes at a time: it holds a lock until it ends.

    Raises:
        FileExistsError: when the folder holds another sweep of this name.
        BlockingIOError: when another process writes there.
    """

    def __init__(self, folder: Path, sweep: str, mark: str) -> None:
        self._place = folder / sweep
        self._sweep, self._mark = sweep, mark
        claim_folder(self._place, mark)
        self._lock = _lock(self._place)
        self._open: dict[str, wandb.Run] = {}
        self._steps: dict[str, int] = {}

    def write(self, run: Run) -> None:
        """Write what is new of a run."""
        name = _name(self._sweep, self._mark, run)
        if name not in self._open:
            kept = list((self._place / "wandb").glob(f"offline-run-*-{name}"))
            if any((one / WHOLE).exists() for one in kept):
                return
            for one in kept:
                shutil.rmtree(one)
            self._open[name] = _begin(self._place, self._sweep, name, run)
        own, last = self._open[name], self._steps.get(name, 0)
        _log(own, [step for step in run.steps if step.epoch > last])
        self._steps[name] = run.steps[-1].epoch if run.steps else 0
        if run.finished_s is not None:
            del self._open[name]
            _end(own, run)

    def close(self, *, is_done: bool) -> None:  # noqa: ARG002 - each run has an end of its own
        """End what is not whole: W&B calls it failed, until it is gone on with."""
        for own in self._open.values():
            own.finish(exit_code=1)
        self._lock.close()


def _lock(place: Path) -> BinaryIO:
    """Hold the lock of a sweep's folder until what is given is closed; raises as `Writer`."""
    held = open(place / NOTE, "rb")  # noqa: SIM115 - for whoever asks to close
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        held.close()
        raise BlockingIOError(f"{place}: another process writes there") from exc
    except OSError:
        return held  # the file system knows no locks
    return held


def _name(sweep: str, mark: str, run: Run) -> str:
    """Name a run as W&B does, but always alike: it is sent once, however often it is written."""
    return hashlib.blake2b(f"{sweep} {mark} {run.number}".encode(), digest_size=6).hexdigest()


def _begin(place: Path, sweep: str, name: str, run: Run) -> wandb.Run:
    """Begin a run with what is known of it."""
    return wandb.init(
        mode="offline",
        dir=place,
        id=name,
        project=sweep,
        group=sweep,
        name=run.name,
        config={**run.params, **_list_notes(run)},
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        reinit="create_new",
    )


def _log(own: wandb.Run, steps: Sequence[Step]) -> None:
    for step in steps:
        own.log(dict(step.values), step=step.epoch, commit=True)  # not with the next one


def _end(own: wandb.Run, run: Run) -> None:
    """Write what is known of a run at its end, and that it is whole."""
    config: Any = own.config  # W&B has no types for it
    config.update(_list_notes(run), allow_val_change=True)
    for key, value in run.values.items():
        own.summary[f"best_{key}"] = value
    folder = Path(own.dir).parent
    own.finish(exit_code=1 if run.is_failed else 0)
    (folder / WHOLE).touch()


def _list_notes(run: Run) -> dict[str, str]:
    return {f"sweep_{name}": text for name, text in run.notes.items()}

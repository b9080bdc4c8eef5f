"""The trials of a sweep as every tracker knows them: runs with settings, steps and an end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.metrics.score import get_score
from sweep.metrics.table import METRICS
from sweep.models.value import Value
from sweep.results.best import get_number, get_own_epoch, say_origin
from sweep.results.status import Status
from sweep.storage.epochs import Curves, TrialRow
from sweep.storage.sweeps import COMPLETE, FAILED, PRUNED, RUNNING
from sweep.storage.tables import Epoch

NOTE = "sweep.created"
"""The file that says which sweep a folder holds."""


@dataclass(frozen=True)
class Step:
    """One epoch: its number from 1, its end in seconds since 1970, and its values by name."""

    epoch: int
    at_s: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One trial that has begun.

    Attributes:
        params: Its hyperparameters.
        notes: What is told of it in words: state, outcome, reason, origin.
        values: The metrics of its best epoch; of its last one while it is not finished.
        finished_s: Seconds since 1970; None while it is not finished.
        is_whole: Whether it ended as it should: complete or pruned.
        is_failed: Whether a fault ended it.
        is_running: Whether a worker has it now.
    """

    number: int
    params: Mapping[str, Value]
    notes: Mapping[str, str]
    values: Mapping[str, float]
    steps: Sequence[Step]
    started_s: float
    finished_s: float | None
    is_whole: bool
    is_failed: bool
    is_running: bool

    @property
    def name(self) -> str:
        """What it is called, in an order that is its number's."""
        return f"trial-{self.number:04d}"


def list_runs(status: Status, curves: Curves) -> list[Run]:
    """List the trials of a sweep that have begun, in their order."""
    return [make_run(status, trial, curves.get(trial.id, [])) for trial in status.begun]


def make_run(status: Status, trial: TrialRow, curve: Sequence[Epoch]) -> Run:
    """Make the run of a trial that has begun, of its epochs so far."""
    started_s = trial.started_s or status.sweep.created_s
    own = get_own_epoch(trial)
    notes = {
        "state": trial.state,
        "outcome": trial.outcome,
        "reason": trial.reason,
        "origin": say_origin(status, trial),
        "worker": trial.worker,
    }
    return Run(
        number=get_number(trial),
        params=dict(trial.params),
        notes={name: text for name, text in notes.items() if text is not None},
        values=_measure(own) if own else {},
        steps=_list_steps(curve, started_s),
        started_s=started_s,
        finished_s=trial.finished_s,
        is_whole=trial.state in (COMPLETE, PRUNED),
        is_failed=trial.state == FAILED,
        is_running=trial.state == RUNNING,
    )


def claim_folder(folder: Path, mark: str) -> None:
    """Make the folder of a sweep, or find it.

    Args:
        mark: Which tells the sweep from others of its name.

    Raises:
        FileExistsError: when it is that of another sweep.
    """
    note = folder / NOTE
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(mark, encoding="utf-8")
    elif not note.is_file() or note.read_text(encoding="utf-8", errors="replace") != mark:
        raise FileExistsError(f"{folder}: it holds another sweep")


def _list_steps(curve: Sequence[Epoch], started_s: float) -> list[Step]:
    """List epochs as if each had followed the last one at once: pauses are not kept."""
    steps, at_s = [], started_s
    for epoch in curve:
        at_s += epoch.duration_s
        values = {"train_loss": epoch.train_loss, "lr": epoch.lr, **_measure(epoch)}
        steps.append(Step(epoch.epoch, at_s, values))
    return steps


def _measure(epoch: Epoch) -> dict[str, float]:
    """Give the metrics of an epoch that have a value."""
    values = {metric.key: metric.measure(get_score(epoch)) for metric in METRICS}
    return {name: value for name, value in values.items() if math.isfinite(value)}

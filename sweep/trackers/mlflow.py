"""A sweep as MLflow keeps it: an experiment, and in it a run that holds those of the trials."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import SweepError
from sweep.models.value import write_value
from sweep.storage.files import write_file
from sweep.trackers.runs import Run, Step

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells of every table
FILE = "mlflow.db"
MARK, TRIAL = "sweep.created", "sweep.trial"
LONGEST = 5000
"""Of a tag's characters."""
MOST_VALUES = 1000
"""That MLflow takes at a time."""


def write_runs(folder: Path, sweep: str, mark: str, runs: Sequence[Run]) -> None:
    """Write the runs of a sweep into `mlflow.db`, which `mlflow ui` shows, all of them or none.

    Args:
        folder: Whose database may hold other sweeps already.
        mark: Which tells the sweep from others of its name.

    Raises:
        FileExistsError: when it holds a sweep of this name already.
        SweepError: when MLflow cannot read what is there.
    """
    path = folder.resolve() / FILE

    def write(copy: Path) -> None:
        if path.exists():
            shutil.copyfile(path, copy)
        writer = Writer(folder, sweep, mark, copy)
        if writer.is_continued:
            raise FileExistsError(sweep)
        for run in runs:
            writer.write(run)
        writer.close(is_done=True)

    try:
        write_file(path, write)
    except (MlflowException, SQLAlchemyError) as exc:
        reason = " ".join(str(exc).split())[:200]
        raise SweepError(
            f"{path}: MLflow cannot use it, got {reason!r}, expected its database; choose another "
            "folder"
        ) from exc


class Writer:
    """Writes the runs of a sweep, and goes on with those that are there.

    MLflow keeps a value of a metric once, however often it is told, so that what a killed writer
    had begun is only made whole.

    Args:
        folder: Whose database may hold other sweeps.
        database: Another file in the place of the folder's.

    Raises:
        FileExistsError: when it holds another sweep of this name.
    """

    def __init__(self, folder: Path, sweep: str, mark: str, database: Path | None = None) -> None:
        self._client = MlflowClient(tracking_uri=f"sqlite:///{database or folder.resolve() / FILE}")
        found = self._client.get_experiment_by_name(sweep)
        self.is_continued = found is not None
        if found is not None and found.tags.get(MARK) != mark:
            raise FileExistsError(f"another sweep {sweep}")
        self._experiment = (
            found.experiment_id
            if found
            else self._client.create_experiment(
                sweep, (folder.resolve() / "artifacts" / sweep).as_uri(), {MARK: mark}
            )
        )
        self._sweep = sweep
        self._ids: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._parent = ""
        self._last_s = 0.0
        for run in self._list_runs():
            if TRIAL in run.data.tags:
                self._ids[run.data.tags[TRIAL]] = run.info.run_id
            else:
                self._parent = run.info.run_id

    def _list_runs(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], page_token=token)
            yield from page
            if not (token := page.token):
                return

    def write(self, run: Run) -> None:
        """Write what is new of a run."""
        own = self._open(run)
        last = self._steps.get(own)
        if last is None:
            history = self._client.get_metric_history(own, "train_loss")
            last = max((one.step for one in history), default=0)
        for values in _part([step for step in run.steps if step.epoch >= last]):
            self._client.log_batch(own, metrics=values)
        self._steps[own] = run.steps[-1].epoch if run.steps else 0
        self._client.log_batch(own, metrics=_list_best(run), tags=_list_tags(run.notes))
        if run.finished_s is not None:
            self._last_s = max(self._last_s, run.finished_s)
            status = "FAILED" if run.is_failed else "FINISHED"
            self._client.set_terminated(own, status, end_time=_to_ms(run.finished_s))

    def close(self, *, is_done: bool) -> None:
        """Say in the sweep's own run how it ended."""
        if not self._parent:
            self._parent = self._begin(0.0, self._sweep, {})
        status = "FINISHED" if is_done else "KILLED"
        self._client.set_terminated(self._parent, status, end_time=_to_ms(self._last_s))

    def _open(self, run: Run) -> str:
        """Find the run of a trial, or begin it."""
        if not self._parent:
            self._parent = self._begin(run.started_s, self._sweep, {})
        if not self._steps:  # the first one that is written here
            self._client.update_run(self._parent, RunStatus.to_string(RunStatus.RUNNING))
        key = str(run.number)
        if key not in self._ids:
            tags = {MLFLOW_PARENT_RUN_ID: self._parent, TRIAL: key}
            self._ids[key] = self._begin(run.started_s, run.name, tags)
        params = [Param(name, write_value(value)) for name, value in run.params.items()]
        self._client.log_batch(self._ids[key], params=params)
        return self._ids[key]

    def _begin(self, started_s: float, name: str, tags: Mapping[str, str]) -> str:
        made = self._client.create_run(self._experiment, _to_ms(started_s), dict(tags), name)
        return str(made.info.run_id)


def _part(steps: Sequence[Step]) -> Iterator[list[Metric]]:
    """Part the values of steps into as many as MLflow takes at a time."""
    values = [
        Metric(name, value, _to_ms(step.at_s), step.epoch)
        for step in steps
        for name, value in step.values.items()
    ]
    for first in range(0, len(values), MOST_VALUES):
        yield values[first : first + MOST_VALUES]


def _list_best(run: Run) -> list[Metric]:
    """List the metrics of the best epoch, which is not always the last one."""
    at_ms = _to_ms(run.finished_s or run.started_s)
    return [Metric(f"best_{name}", value, at_ms, 0) for name, value in run.values.items()]


def _list_tags(notes: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(f"sweep.{name}", text[:LONGEST]) for name, text in notes.items()]


def _to_ms(time_s: float) -> int:
    return round(1000 * time_s)

"""A sweep as MLflow keeps it: an experiment, and in it a run that holds those of the trials."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import SweepError
from sweep.models.value import write_value
from sweep.storage.files import write_file
from sweep.trackers.runs import Run

FILE = "mlflow.db"
LONGEST = 5000
"""Of a tag's characters."""
MOST_VALUES = 1000
"""That MLflow takes at a time."""


def write_runs(folder: Path, sweep: str, runs: Sequence[Run]) -> None:
    """Write the runs of a sweep into `mlflow.db`, which `mlflow ui` shows, all of them or none.

    Args:
        folder: Whose database may hold other sweeps already.

    Raises:
        FileExistsError: when it holds this sweep already.
        SweepError: when MLflow cannot read what is there.
    """
    path = folder.resolve() / FILE

    def write(copy: Path) -> None:
        if path.exists():
            shutil.copyfile(path, copy)
        _write_all(copy, folder.resolve() / "artifacts" / sweep, sweep, runs)

    try:
        write_file(path, write)
    except (MlflowException, SQLAlchemyError) as exc:
        reason = " ".join(str(exc).split())[:200]
        raise SweepError(
            f"{path}: MLflow cannot use it, got {reason!r}, expected its database; choose another "
            "folder"
        ) from exc


def _write_all(database: Path, artifacts: Path, sweep: str, runs: Sequence[Run]) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    if client.get_experiment_by_name(sweep) is not None:
        raise FileExistsError(sweep)
    experiment = client.create_experiment(sweep, artifact_location=artifacts.as_uri())
    began_s = min((run.started_s for run in runs), default=0.0)
    parent = client.create_run(experiment, start_time=_to_ms(began_s), run_name=sweep).info.run_id
    for run in runs:
        _write_run(client, experiment, parent, run)
    ends = [run.finished_s for run in runs if run.finished_s is not None]
    client.set_terminated(parent, end_time=_to_ms(max(ends, default=began_s)))


def _write_run(client: MlflowClient, experiment: str, parent: str, run: Run) -> None:
    own = client.create_run(
        experiment,
        start_time=_to_ms(run.started_s),
        tags={MLFLOW_PARENT_RUN_ID: parent},
        run_name=run.name,
    ).info.run_id
    values = [
        Metric(name, value, _to_ms(step.at_s), step.epoch)
        for step in run.steps
        for name, value in step.values.items()
    ]
    for first in range(0, len(values), MOST_VALUES):
        client.log_batch(own, metrics=values[first : first + MOST_VALUES])
    client.log_batch(
        own,
        metrics=_list_best(run),
        params=[Param(name, write_value(value)) for name, value in run.params.items()],
        tags=_list_tags(run.notes),
    )
    if run.finished_s is not None:
        client.set_terminated(
            own, "FAILED" if run.is_failed else "FINISHED", end_time=_to_ms(run.finished_s)
        )


def _list_best(run: Run) -> list[Metric]:
    """List the metrics of the best epoch, which is not always the last one."""
    at_ms = _to_ms(run.finished_s or run.started_s)
    return [Metric(f"best_{name}", value, at_ms, 0) for name, value in run.values.items()]


def _list_tags(notes: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(f"sweep.{name}", text[:LONGEST]) for name, text in notes.items()]


def _to_ms(time_s: float) -> int:
    return round(1000 * time_s)

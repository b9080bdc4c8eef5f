"""A sweep written for a tracker, read back by that tracker's own library."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import end_trial
from sweep.errors import SweepError
from sweep.results.status import read_status
from sweep.storage.epochs import Epoch
from sweep.storage.workers import enter_worker
from sweep.trackers.export import export_sweep
from sweep.trackers.trackers import TRACKERS
from sweep.trial.session import Session

PARAMS = {"hidden_size": 4, "lr": 0.1 + 0.2, "batch_size": 12, "beta1": 0.9, "beta2": 0.999}
CURVE = [
    Epoch(number, 24 * number, 0.2 / number, 0.1 / number, 12, 30, 20, 30, 9, 1e-3, 0.5)
    for number in (1, 2)
]
BLOCK = 32768
REASON = "Traceback:\nKeyError: 'a'"


@pytest.fixture
def database(make_session: Callable[..., Session], sqlite_url: str) -> str:
    """A sweep `net` with a complete trial of two epochs, and one that failed before its first."""
    session = make_session(sqlite_url, trials=3)
    enter_worker(session.engine, "w", "cpu")
    end_trial(session, PARAMS, CURVE, "complete")
    end_trial(session, PARAMS, [], "failed", REASON)
    return sqlite_url


def test_a_file_in_the_place_of_the_folder_is_called_one(
    make_session: Callable[..., Session], sqlite_url: str, tmp_path: Path
) -> None:
    """And not a folder that holds the sweep already."""
    place = tmp_path / "notes.txt"
    place.write_text("mine")
    session = make_session(sqlite_url)
    status = read_status(session.engine, session.sweep)
    with pytest.raises(SweepError, match=r"notes\.txt: not a folder, got a file"):
        export_sweep(TRACKERS["mlflow"], status, {}, place)
    assert place.read_text() == "mine"


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
def test_mlflow_reads_runs_of_trials_in_a_run_of_the_sweep(
    database: str, call: Callable[..., Any], tmp_path: Path
) -> None:
    """Settings, each epoch's metrics, how each ended; a second writing is refused."""
    done = call("export-to", "mlflow", str(tmp_path), "--storage", database)
    assert done.code == 0, done.err
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("net")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["net", "trial-0000", "trial-0001"]
    good, bad = runs["trial-0000"], runs["trial-0001"]
    assert good.data.tags["mlflow.parentRunId"] == runs["net"].info.run_id
    assert (good.info.status, bad.info.status) == ("FINISHED", "FAILED")
    assert bad.data.tags["sweep.reason"] == REASON
    assert float(good.data.params["lr"]) == PARAMS["lr"]
    history = client.get_metric_history(good.info.run_id, "validation_loss")
    assert [(one.step, one.value) for one in history] == [(1, 0.1), (2, 0.05)]
    assert good.data.metrics["best_efficiency"] == 0.6
    again = call("export-to", "mlflow", str(tmp_path), "--storage", database)
    assert again.code == 1
    assert "holds sweep net already" in again.err


def test_a_database_that_is_none_of_mlflows_stays_as_it_is(
    database: str, call: Callable[..., Any], tmp_path: Path
) -> None:
    """In one line; nothing is left beside it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mlflow.db").write_text("no database" * 500)
    done = call("export-to", "mlflow", str(tmp_path / "out"), "--storage", database)
    assert done.code == 1
    assert "MLflow cannot use it" in done.err
    assert done.err.strip().count("error:") == 1
    assert (tmp_path / "out" / "mlflow.db").read_text() == "no database" * 500
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mlflow.db"]


def test_tensorboard_reads_scalars_and_hyperparameters(
    database: str, call: Callable[..., Any], tmp_path: Path
) -> None:
    """A folder a trial, with each epoch's metrics and the trial's settings."""
    done = call("export-to", "tensorboard", str(tmp_path), "--storage", database)
    assert done.code == 0, done.err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        events = EventAccumulator(str(tmp_path / "net" / "trial-0000")).Reload()
    assert [(e.step, pytest.approx(e.value)) for e in events.Scalars("validation_loss")] == [
        (1, 0.1),
        (2, 0.05),
    ]
    kept = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(kept).session_start_info.hparams
    assert settings["lr"].number_value == PARAMS["lr"]
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        "trial-0000",
        "trial-0001",
    ]


def test_wandb_reads_offline_runs(
    database: str, call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent; a run a trial lies there with settings and each epoch's metrics."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "own"))
    done = call("export-to", "wandb", str(tmp_path / "out"), "--storage", database)
    assert done.code == 0, done.err
    found = {}
    for file in (tmp_path / "out" / "net" / "wandb").glob("offline-run-*/run-*.wandb"):
        name, history, settings = read_run(file)
        found[name] = (history, settings)
    assert sorted(found) == ["trial-0000", "trial-0001"]
    history, settings = found["trial-0000"]
    assert [(row["_step"], row["validation_loss"]) for row in history] == [(1, 0.1), (2, 0.05)]
    assert settings["lr"] == PARAMS["lr"]
    assert found["trial-0001"][1]["sweep_reason"] == REASON


def read_run(file: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Read what Weights & Biases would send of a run: its name, history and settings."""
    from wandb.proto import wandb_internal_pb2

    name, history, settings = "", [], {}
    for content in read_records(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        if record.WhichOneof("record_type") == "run":
            name = record.run.display_name
            settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif record.WhichOneof("record_type") == "history":
            items = record.history.item
            history.append(
                {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}
            )
    return name, history, settings


def read_records(content: bytes) -> Iterator[bytes]:
    """Read the records of a run's file: LevelDB's log, after a head of seven bytes.

    A record lies in parts in blocks of 32 KiB; a part begins with a checksum (4 bytes), its length
    (2) and its kind (1): whole, first, middle or last.
    """
    at, record = 7, b""
    while at < len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _checksum, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""

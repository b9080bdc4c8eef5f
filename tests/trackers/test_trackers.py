"""A sweep written for a tracker, read back by that tracker's own library."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from workers import end_trial, take

from sweep.errors import ConfigError, SweepError
from sweep.results.status import read_status
from sweep.storage.claims import begin_claimed
from sweep.storage.epochs import read_curves, record_epochs
from sweep.storage.tables import Epoch
from sweep.storage.workers import enter_worker
from sweep.trackers.export import export_sweep
from sweep.trackers.following import keep_tracked
from sweep.trackers.runs import list_runs
from sweep.trackers.trackers import TRACKERS, read_tracks
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


MLFLOWS = "ignore::sqlalchemy.exc.SADeprecationWarning"


@pytest.mark.filterwarnings(MLFLOWS)
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
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = read_events(tmp_path / "net" / "trial-0000")
    assert list_scalars(events) == [(1, pytest.approx(0.1)), (2, pytest.approx(0.05))]
    kept = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(kept).session_start_info.hparams
    assert settings["lr"].number_value == PARAMS["lr"]
    assert sorted(path.name for path in (tmp_path / "net").glob("*/")) == [
        "trial-0000",
        "trial-0001",
    ]


def read_events(folder: Path) -> Any:
    """Read a run as TensorBoard does, of all of its files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        return EventAccumulator(str(folder)).Reload()


def list_scalars(events: Any) -> list[tuple[int, float]]:
    """List the validation losses by step."""
    return [(event.step, event.value) for event in events.Scalars("validation_loss")]


def test_wandb_reads_offline_runs(
    database: str, call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent; a run a trial lies there with settings and each epoch's metrics."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "own"))
    done = call("export-to", "wandb", str(tmp_path / "out"), "--storage", database)
    assert done.code == 0, done.err
    (good, history, settings), (bad, _, told) = read_runs(tmp_path / "out")
    assert (good, bad) == ("trial-0000", "trial-0001")
    assert [(row["_step"], row["validation_loss"]) for row in history] == [(1, 0.1), (2, 0.05)]
    assert settings["lr"] == PARAMS["lr"]
    assert told["sweep_reason"] == REASON


def read_runs(folder: Path) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """Read the runs of the sweep, in order of their names."""
    return sorted(map(read_run, (folder / "net" / "wandb").glob("offline-run-*/run-*.wandb")))


@pytest.mark.filterwarnings(MLFLOWS)
def test_sweep_that_was_killed_goes_on_with_the_same_runs(
    make_session: Callable[..., Session],
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written meanwhile, by a second process from where the first was killed: each value once."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "own"))
    session = make_session(sqlite_url, trials=2)
    enter_worker(session.engine, "w", "cpu")
    end_trial(session, PARAMS, CURVE, "complete")
    claim = take(session, "w")
    begin_claimed(session.engine, claim, claim.slot, PARAMS)
    said: list[str] = []
    tracks = [f"{name}:{tmp_path}" for name in TRACKERS]
    writers = [
        import_module(tracker.module).Writer(tmp_path, "net", session.sweep.mark)
        for tracker in TRACKERS.values()
    ]
    record_epochs(session.engine, claim, CURVE[:1])
    status = read_status(session.engine, session.sweep)
    for run in list_runs(status, read_curves(session.engine, session.sweep.id)):
        for writer in writers:
            writer.write(run)  # and is killed: it never closes
    import_module("wandb").teardown()  # which ends with the process, as the lock does
    writers[list(TRACKERS).index("wandb")]._lock.close()
    record_epochs(session.engine, claim, CURVE)
    for _twice in range(2):
        with keep_tracked(tracks, session.engine, session.sweep, said.append):
            pass
    assert [line.partition(";")[0] for line in said] == [
        f"track: {name} in {tmp_path}" for name in [*TRACKERS, *TRACKERS]
    ]
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("net")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.run_name"])
    assert [(run.info.run_name, run.info.status) for run in runs] == [
        ("net", "KILLED"),
        ("trial-0000", "FINISHED"),
        ("trial-0001", "RUNNING"),
    ]
    for run in runs[1:]:
        history = client.get_metric_history(run.info.run_id, "validation_loss")
        assert [(one.step, one.value) for one in history] == [(1, 0.1), (2, 0.05)]
        scalars = list_scalars(read_events(tmp_path / "net" / str(run.info.run_name)))
        assert scalars == [(1, pytest.approx(0.1)), (2, pytest.approx(0.05))]
    for (name, history, settings), state in zip(
        read_runs(tmp_path), ("complete", "running"), strict=True
    ):
        assert settings["sweep_state"] == state, name
        assert [(row["_step"], row["validation_loss"]) for row in history] == [(1, 0.1), (2, 0.05)]


def test_wandb_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Another would take the runs that are being written for those of a killed one."""
    module = import_module(TRACKERS["wandb"].module)
    first = module.Writer(tmp_path, "net", "its mark")
    with pytest.raises(BlockingIOError, match="net: another process writes there"):
        module.Writer(tmp_path, "net", "its mark")
    first.close(is_done=True)
    module.Writer(tmp_path, "net", "its mark").close(is_done=True)


def test_fault_of_a_tracker_is_a_line(
    make_session: Callable[..., Session], sqlite_url: str, tmp_path: Path
) -> None:
    """Whatever it is, the other trackers and the sweep go on."""
    session = make_session(sqlite_url, trials=1)
    (tmp_path / "net" / "trial-0000").mkdir(parents=True)
    said: list[str] = []
    tracks = [f"tensorboard:{tmp_path}", f"wandb:{tmp_path / 'own'}"]
    with keep_tracked(tracks, session.engine, session.sweep, said.append):
        pass
    assert said[2:] == [
        f"track: tensorboard: nothing more is written, got {tmp_path}/net: it holds another sweep; "
        "the sweep goes on, and `sweep run` of net with the same --track catches up"
    ]
    assert (tmp_path / "own" / "net" / "sweep.created").is_file()
    for text, reason in (("x", "tracker: unknown, got 'x'"), (f"wandb:{__file__}", "not a folder")):
        with pytest.raises(ConfigError, match=reason):
            read_tracks([text])


def read_run(file: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Read what Weights & Biases would send of a run: its name, history and settings."""
    from wandb.proto import wandb_internal_pb2

    name, history, settings = "", [], {}
    for content in read_records(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        if record.WhichOneof("record_type") == "run":
            name = record.run.display_name
            settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif record.WhichOneof("record_type") == "config":
            settings |= {i.key: json.loads(i.value_json) for i in record.config.update}
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

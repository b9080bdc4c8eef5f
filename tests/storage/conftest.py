"""A database with everything in it that a sweep can have, and what tells two databases apart."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import plotly.graph_objects
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from sweep.storage import studies
from sweep.storage.attachments import attach_file
from sweep.storage.claims import Claim, begin_claimed, claim_trial, finish_claim, release_claim
from sweep.storage.edits import Entry, record_edit
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.epochs import record_epochs
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import Sweep, create_sweep
from sweep.storage.tables import Epoch, trials

HOUR_S = 3600.0
UNKNOWN = ("alembic_version", "version_info", "sweep_versions", "sweep_workers")
"""Tables that say something of the database, not of a sweep."""
NOTE = "# note\n" + "long " * 2000
AWKWARD = (0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, math.inf, -math.inf, math.nan)
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",
}


@pytest.fixture
def open_database() -> Iterator[Callable[[str], sa.Engine]]:
    """Open a database, making it where it is missing; closed at the end."""
    opened: list[sa.Engine] = []

    def open_one(url: str) -> sa.Engine:
        opened.append(create_engine(parse_url(url)))
        create_tables(opened[-1])
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.dispose()


@pytest.fixture
def sweep(engine: sa.Engine) -> Sweep:
    """A sweep of three trials."""
    return create_sweep(engine, "cnn", {"b": 1, "a": [None, "x"]}, {"python": "3"}, 3)


def run_out(engine: sa.Engine, claim: Claim) -> None:
    """Let a lease run out now."""
    late = trials.update().where(trials.c.id == claim.trial_id).values(lease_until_s=1.0)
    with engine.begin() as connection:
        connection.execute(late)


@pytest.fixture
def file_url(tmp_path: Path) -> Callable[[str], str]:
    """Name a SQLite database in the test's folder."""
    return lambda name: f"sqlite:///{tmp_path / name}"


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database `a`, in which there are the sweeps cnn and mlp, and their files."""
    folder = tmp_path_factory.mktemp("filled")
    engine = create_engine(parse_url(f"sqlite:///{folder / 'a'}"))
    create_tables(engine)
    fill(engine, "cnn", folder / "artifacts", tuple(STATES))
    fill(engine, "mlp", folder / "artifacts", (TrialState.PRUNED,))
    add_companion(engine, "cnn")
    engine.dispose()
    with closing(sqlite3.connect(folder / "a")) as connection:  # out of its log
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def source(filled: Path, tmp_path: Path, open_database: Callable[[str], sa.Engine]) -> sa.Engine:
    """A copy of the filled database, with its files, in the test's folder."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return open_database(f"sqlite:///{tmp_path / 'a'}")


def fill(engine: sa.Engine, name: str, folder: Path, states: tuple[TrialState, ...]) -> None:
    """Make a sweep with trials in these states, a row in every table, and awkward values."""
    url = engine.url.render_as_string(hide_password=False)
    study = studies.create_study(
        studies.open_study_storage(parse_url(url)), name, direction="maximize", metric_name="loss"
    )
    config = {"model": "cnn", "text": "é\u2028'\""}
    files = {"net.py": bytes(range(256)), "blocks/é.py": b""}
    made = create_sweep(engine, name, config, {"python": "3"}, 5, files)
    for slot, state in enumerate(states):
        claim = claim_trial(engine, made.id, "host:1:x", HOUR_S)
        assert claim is not None
        trial = begin(study, slot, name, folder)
        begin_claimed(engine, claim, trial.number, {"lr": 0.125, "kind": None})
        losses = [value for value in AWKWARD if not math.isnan(value)]
        rows = [Epoch(n, n, v, v, 12, 3, 1, 3, 6, 1e-3, 0.5) for n, v in enumerate(losses, 1)]
        record_epochs(engine, claim, rows)
        if state == TrialState.WAITING:
            studies.suspend_trial(trial)
            release_claim(engine, claim)
            continue
        studies.finish_trial(study, trial, state, 0.5)
        told = STATES[state]
        reason = "Traceback\n" * 500
        finish_claim(
            engine, claim, state=told, outcome=told, reason=reason, feasible=True, best_epoch=2
        )
    study.set_user_attr("best", {"deep": [1, 2.5, None]})
    studies.save_note(study, NOTE)
    studies.save_figure(study, plotly.graph_objects.Figure(layout={"title": "x" * 5000}), "card")
    beat = "SELECT max(trial_id), '2026-01-02 03:04:05.678901' FROM trials"
    with engine.begin() as connection:
        record_edit(connection, made.id, Entry("Ada é", "stopped it"))
        connection.execute(sa.text(f"INSERT INTO trial_heartbeats (trial_id, heartbeat) {beat}"))


def begin(study: optuna.Study, slot: int, name: str, folder: Path) -> optuna.Trial:
    """Begin a trial of a study and give it parameters, values, attributes, a note and a file."""
    trial = studies.begin_trial(study, slot, {"lr": 0.125})
    trial.suggest_float("lr", 1e-12, 1e3, log=True)
    trial.suggest_int("hidden_size", 8, 64, step=8)
    trial.suggest_categorical("kind", ["a", None, True, 3, 0.5])
    for step, value in enumerate(AWKWARD if slot == 1 else (0.5,), 1):
        studies.report_epochs(trial, {step: value})
    studies.set_attributes(trial, {"efficiency": 0.1 + 0.2, "reason": "long é " * 5000})
    studies.set_constraints(trial, slot % 2 == 0)
    optuna_dashboard.save_note(trial, f"of trial {trial.number}")
    picture = folder.parent / "picture.png"
    picture.write_bytes(f"{name} {slot}".encode())
    attach_file(trial, picture, folder)
    return trial


def add_companion(engine: sa.Engine, name: str) -> None:
    """Make the study with all metrics of a sweep."""
    url = engine.url.render_as_string(hide_password=False)
    study = optuna.create_study(
        study_name=studies.name_companion(name),
        storage=studies.open_study_storage(parse_url(url)),
        directions=["minimize", "maximize", "minimize"],
    )
    study.add_trial(optuna.trial.create_trial(values=[0.1, math.inf, -math.inf]))


@pytest.fixture
def add_study() -> Callable[[str, str], None]:
    """Make a study of somebody else with a trial, so that ids differ from another database's."""

    def add(url: str, name: str) -> None:
        study_storage = studies.open_study_storage(parse_url(url))
        study = optuna.create_study(study_name=name, storage=study_storage)
        study.ask().suggest_float("lr", 0.0, 1.0)

    return add


@pytest.fixture
def read_all() -> Callable[[sa.Engine], dict[str, list[str]]]:
    """Read every row of every table that holds something of a sweep, in an order of its own.

    Ids are left out or, where they name another row, told by what that stands for: a trial by its
    study and number or by its sweep and slot. So the rows of a copy are equal to those copied.
    """
    return read_rows


def read_rows(engine: sa.Engine) -> dict[str, list[str]]:
    """Read every row without its ids."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:

        def tell(query: str) -> dict[int, str]:
            return {row[0]: f"{row[1:]}" for row in connection.execute(sa.text(query))}

        owners = {
            "studies": tell("SELECT study_id, study_name FROM studies"),
            "sweep_sweeps": tell("SELECT id, name FROM sweep_sweeps"),
            "trials": tell("SELECT trial_id, study_name, number FROM trials NATURAL JOIN studies"),
            "sweep_trials": tell(
                "SELECT sweep_trials.id, name, slot FROM sweep_trials JOIN sweep_sweeps "
                "ON sweep_sweeps.id = sweep_id"
            ),
        }
        return {
            table.name: sorted(
                tell_row(dict(row), table, owners)
                for row in connection.execute(sa.select(table)).mappings()
            )
            for table in tables.sorted_tables
            if table.name not in UNKNOWN
        }


def tell_row(row: dict[str, Any], table: sa.Table, owners: dict[str, dict[int, str]]) -> str:
    """Tell a row without its ids."""
    for key in table.foreign_keys:
        row[key.parent.name] = owners[key.column.table.name][row[key.parent.name]]
    if len(table.primary_key) == 1:
        del row[table.primary_key.columns[0].name]
    if table.name == "study_system_attributes":
        row["key"] = hide_id(row["key"], owners["trials"])
    return repr(sorted(row.items()))


def hide_id(key: str, told: dict[int, str]) -> str:
    """Tell the trial in the key of a note by what it stands for."""
    parts = key.split(":")
    if parts[0] == "dashboard" and parts[1].isdigit():
        parts[1] = told[int(parts[1])]
    return ":".join(parts)

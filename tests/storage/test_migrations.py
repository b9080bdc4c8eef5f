"""Databases that older versions made are brought forward, whole, and only when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from sweep.storage.changes import change_version
from sweep.storage.claims import claim_trial
from sweep.storage.edits import Entry
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.epochs import read_curve, read_trials
from sweep.storage.errors import StorageError
from sweep.storage.migrations import create_tables, migrate_tables
from sweep.storage.points import add_points
from sweep.storage.sweeps import create_sweep, find_sweep
from sweep.storage.tables import SCHEMA_VERSION, Epoch, metadata, trials

FIRST = sa.MetaData()
"""The tables of version 1, which nothing but this test knows any more."""

sa.Table("sweep_versions", FIRST, sa.Column("version", sa.Integer, primary_key=True))
sa.Table(
    "sweep_sweeps",
    FIRST,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("budget", sa.Integer, nullable=False),
    sa.Column("created_s", sa.Double, nullable=False),
    sa.Column("stop_requested", sa.Boolean, nullable=False),
)
sa.Table(
    "sweep_trials",
    FIRST,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sweep_id", sa.ForeignKey("sweep_sweeps.id"), nullable=False),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(32)),
    sa.Column("reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(200)),
    sa.Column("lease_until_s", sa.Double),
    sa.Column("started_s", sa.Double),
    sa.Column("finished_s", sa.Double),
    sa.Column("params", sa.Text),
    sa.Column("feasible", sa.Boolean),
    sa.Column("best_epoch", sa.Integer),
    sa.UniqueConstraint("sweep_id", "slot"),
    sa.Index("sweep_trials_by_state", "sweep_id", "state", "slot"),
)
sa.Table(
    "sweep_attempts",
    FIRST,
    sa.Column("trial_id", sa.ForeignKey("sweep_trials.id"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("worker", sa.String(200), nullable=False),
    sa.Column("started_s", sa.Double, nullable=False),
    sa.Column("ended_s", sa.Double),
    sa.Column("ending", sa.String(32)),
)
sa.Table(
    "sweep_epochs",
    FIRST,
    sa.Column("trial_id", sa.ForeignKey("sweep_trials.id"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("events_seen", sa.Integer, nullable=False),
    sa.Column("train_loss", sa.Double, nullable=False),
    sa.Column("validation_loss", sa.Double, nullable=False),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("found", sa.Integer, nullable=False),
    sa.Column("missed", sa.Integer, nullable=False),
    sa.Column("predicted_found", sa.Integer, nullable=False),
    sa.Column("false_positives", sa.Integer, nullable=False),
    sa.Column("lr", sa.Double, nullable=False),
    sa.Column("duration_s", sa.Double, nullable=False),
    sa.Column("recorded_s", sa.Double, nullable=False),
)

EPOCHS = [Epoch(epoch, 10 * epoch, 2.0, 0.1 + 0.2, 1, 1, 0, 1, 0, 1e-3, 0.5) for epoch in (1, 2)]
ROWS: dict[str, list[dict[str, Any]]] = {
    "sweep_versions": [{"version": 1}],
    "sweep_sweeps": [
        {
            "id": 7,
            "name": "cnn",
            "config": '{"a": 1}',
            "provenance": "{}",
            "budget": 2,
            "created_s": 1_700_000_000.123,
            "stop_requested": True,
        }
    ],
    "sweep_trials": [
        {
            "id": 3,
            "sweep_id": 7,
            "slot": 0,
            "number": 0,
            "state": "complete",
            "outcome": "complete",
            "attempts": 1,
            "worker": "a",
            "started_s": 1.0,
            "finished_s": 2.0,
            "params": '{"lr": 0.1}',
            "feasible": True,
            "best_epoch": 2,
        },
        {"id": 4, "sweep_id": 7, "slot": 1, "number": None, "state": "waiting", "attempts": 0},
    ],
    "sweep_attempts": [
        {
            "trial_id": 3,
            "attempt": 1,
            "worker": "a",
            "started_s": 1.0,
            "ended_s": 2.0,
            "ending": "finished",
        }
    ],
    "sweep_epochs": [
        {
            **{name: value for name, value in vars(epoch).items() if value is not None},
            "trial_id": 3,
            "attempt": 1,
            "recorded_s": 1.5,
        }
        for epoch in EPOCHS
    ],
}


@pytest.fixture
def old(database_url: str) -> Iterator[sa.Engine]:
    """A database that version 1 made, with a sweep; of either kind in turn."""
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        FIRST.create_all(connection)
        for name, rows in ROWS.items():
            for row in rows:
                connection.execute(FIRST.tables[name].insert().values(**row))
    yield engine
    engine.dispose()


def describe(engine: sa.Engine) -> dict[str, Any]:
    """Describe our tables as the database itself does; the order of columns does not count."""
    inspector = sa.inspect(engine)
    return {
        name: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(name)
            },
            "key": inspector.get_pk_constraint(name),
            "parents": inspector.get_foreign_keys(name),
            "indexes": inspector.get_indexes(name),
            "unique": inspector.get_unique_constraints(name),
        }
        for name in sorted(inspector.get_table_names())
        if name.startswith("sweep_")
    }


def read_all(engine: sa.Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Read all rows of the tables of version 1, in their columns of then."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=str)
            for table in FIRST.sorted_tables
            if table.name != "sweep_versions"
        }


def test_old_tables_here_are_not_those_of_today() -> None:
    """Otherwise the tests below would compare nothing."""
    assert {*FIRST.tables} < {*metadata.tables}


def test_migrated_database_is_as_a_fresh_one(old: sa.Engine) -> None:
    """Columns with their types and defaults, keys and indexes; the rows stay as they were."""
    before = read_all(old)
    assert migrate_tables(old) == (1, SCHEMA_VERSION)
    migrated = describe(old)
    assert read_all(old) == before
    metadata.drop_all(old)
    create_tables(old)
    assert migrated == describe(old)


def test_migrated_sweep_is_read(old: sa.Engine) -> None:
    """Sweep, trials and curve come out as they went in; what is new has its default."""
    migrate_tables(old)
    sweep = find_sweep(old, "cnn")
    assert (sweep.budget, sweep.created_s, sweep.stop_requested) == (2, 1_700_000_000.123, True)
    assert (sweep.trial_timeout_s, sweep.version, sweep.priority) == (None, 1, 0)
    (row,) = read_trials(old, sweep.id)
    assert (row.params, row.best, row.version) == ({"lr": 0.1}, EPOCHS[1], 1)
    assert read_curve(old, row.id) == EPOCHS


def test_second_migration_does_nothing(old: sa.Engine) -> None:
    """It says so, and all is as after the first."""
    migrate_tables(old)
    before = describe(old), read_all(old)
    assert migrate_tables(old) == (SCHEMA_VERSION, SCHEMA_VERSION)
    assert (describe(old), read_all(old)) == before


def test_newer_database_is_refused_and_not_touched(old: sa.Engine) -> None:
    """Its steps are not known here."""
    with old.begin() as connection:
        connection.execute(FIRST.tables["sweep_versions"].update().values(version=99))
    before = describe(old)
    with pytest.raises(StorageError, match=r"got version 99, expected .* use the newer version"):
        migrate_tables(old)
    assert describe(old) == before


def test_database_without_sweeps_is_refused(database_url: str) -> None:
    """A plain Optuna database stays one."""
    optuna.storages.RDBStorage(database_url).engine.dispose()
    engine = create_engine(parse_url(database_url))
    with pytest.raises(StorageError, match="no sweeps in"):
        migrate_tables(engine)
    assert describe(engine) == {}
    engine.dispose()


def test_old_database_is_left_alone_until_a_person_migrates_it(
    old: sa.Engine, database_url: str, call: Callable[..., Any], own_network: Path
) -> None:
    """Every command names the cure in one line and changes nothing; then it is followed."""
    before = describe(old), read_all(old), sa.inspect(old).get_table_names()
    where = ("--storage", database_url)
    for command in (
        ("run", "--model", f"{own_network}:MyNet", "--workers", "1"),
        ("worker",),
        ("status",),
        ("storage", "backup", "backup.db"),
    ):
        answer = call(*command, *where)
        assert f"got version 1, expected {SCHEMA_VERSION}; bring it forward" in answer.fault
        assert "`sweep storage migrate`" in answer.err
    assert (describe(old), read_all(old), sa.inspect(old).get_table_names()) == before

    answer = call("storage", "migrate", *where)
    assert (answer.code, answer.out) == (0, "")
    assert f"brought from version 1 to {SCHEMA_VERSION}" in answer.err
    answer = call("storage", "migrate", *where)
    assert (answer.code, answer.out) == (0, "")
    assert f"nothing to do; version {SCHEMA_VERSION} is the newest" in answer.err
    assert read_all(old) == before[1]


def test_point_of_before_there_were_versions_is_tried_in_the_space_of_then(
    engine: sa.Engine,
) -> None:
    """It was added to a database of an earlier version, and a change comes before its turn."""
    made = create_sweep(engine, "cnn", {}, {}, 2)
    add_points(engine, made, [{"lr": 0.1}], 0)
    with engine.begin() as connection:
        connection.execute(trials.update().values(version=None))
    entry = Entry("anna", "began version 2")
    assert change_version(engine, made, {"now": "another"}, first_slot=0, entry=entry)
    claims = [claim_trial(engine, made.id, worker, 60.0) for worker in "ab"]
    assert [claim and (claim.point, claim.version) for claim in claims] == [
        ({"lr": 0.1}, 1),
        ({}, 2),
    ]

"""The tables of this project, which stand beside Optuna's in the same database.

    sweeps    one search: its frozen config, its budget, whether it is to stop
    trials    one slot of a budget: who holds it until when, what came of it
    attempts  one process's time with a trial
    epochs    one epoch of a trial: all metrics
    workers   one process that trains or has trained, and when it was last heard of
    sources   one file of a person's own network, kept with its sweep
    edits     one change of a sweep by a person: who, when, what
    versions  the schema's version

Times are seconds since 1970 by the database's clock.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import URL

from sweep.storage.engine import open_engine
from sweep.storage.errors import RightsError, StorageError
from sweep.storage.passwords import show_url
from sweep.storage.transactions import read, read_value, transact

SCHEMA_VERSION = 11

metadata = sa.MetaData()

versions = sa.Table(
    "sweep_versions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
)

sweeps = sa.Table(
    "sweep_sweeps",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("config", sa.Text, nullable=False),  # JSON: as it is now, with what it was before
    sa.Column("provenance", sa.Text, nullable=False),  # JSON: versions, machine, command
    sa.Column("budget", sa.Integer, nullable=False),
    sa.Column("created_s", sa.Double, nullable=False),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("trial_timeout_s", sa.Double),  # of training, or none
    sa.Column("publisher", sa.String(200)),  # who refreshes its pages now
    sa.Column("publisher_until_s", sa.Double),
    sa.Column("published_s", sa.Double),
    sa.Column("published", sa.String(200)),  # what the pages show: trials by state
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),  # of its config
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),  # the highest first
    sa.Column("stops_when_flat", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("flat", sa.Text),  # JSON: why it ended before its budget, and what that was
)

sources = sa.Table(
    "sweep_sources",
    metadata,
    sa.Column("sweep_id", sa.ForeignKey("sweep_sweeps.id"), primary_key=True),
    sa.Column("path", sa.String(400), primary_key=True),  # from the folder of the network's file
    sa.Column("content", sa.LargeBinary, nullable=False),
)

edits = sa.Table(
    "sweep_edits",
    metadata,
    sa.Column("sweep_id", sa.ForeignKey("sweep_sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # from 1
    sa.Column("edited_s", sa.Double, nullable=False),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("what", sa.Text, nullable=False),
)

trials = sa.Table(
    "sweep_trials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sweep_id", sa.ForeignKey("sweep_sweeps.id"), nullable=False),
    sa.Column("slot", sa.Integer, nullable=False),  # 0 .. budget - 1
    sa.Column("number", sa.Integer),  # Optuna's, once it has begun
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(32)),  # complete, pruned, dead, diverged, error, ...
    sa.Column("reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("worker", sa.String(200)),
    sa.Column("lease_until_s", sa.Double),
    sa.Column("started_s", sa.Double),
    sa.Column("finished_s", sa.Double),
    sa.Column("params", sa.Text),  # JSON: every hyperparameter, by its own name
    sa.Column("feasible", sa.Boolean),
    sa.Column("best_epoch", sa.Integer),
    sa.Column("alone", sa.Boolean, nullable=False, server_default=sa.false()),  # on its device
    sa.Column("until_epoch", sa.Integer),  # where it was paused or will be; none: to the end
    sa.Column("point", sa.Text),  # JSON: what a person wants tried, by its own names
    sa.Column("version", sa.Integer),  # of the config that it is begun with; none: not yet
    sa.UniqueConstraint("sweep_id", "slot"),
)
sa.Index("sweep_trials_by_state", trials.c.sweep_id, trials.c.state, trials.c.slot)

attempts = sa.Table(
    "sweep_attempts",
    metadata,
    sa.Column("trial_id", sa.ForeignKey("sweep_trials.id"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),  # from 1
    sa.Column("worker", sa.String(200), nullable=False),
    sa.Column("started_s", sa.Double, nullable=False),
    sa.Column("ended_s", sa.Double),
    sa.Column("ending", sa.String(32)),  # finished, released, paused, expired, or its process's
)

workers = sa.Table(
    "sweep_workers",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("device", sa.String(200), nullable=False),
    sa.Column("started_s", sa.Double, nullable=False),
    sa.Column("seen_s", sa.Double, nullable=False),
    sa.Column("ended_s", sa.Double),
    sa.Column("memory_bytes", sa.BigInteger),  # this and the following: as last measured
    sa.Column("gpu_memory_bytes", sa.BigInteger),
    sa.Column("gpu_use", sa.Double),  # from 0 to 1
)

Sum: TypeAlias = int
"""A whole number that may be too large for 32 bits."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training events, and the validation that followed it.

    Losses are per event; `found`, `missed`, `predicted_found` and `false_positives` are the S,
    MT, Sp and FP of the reference over `events` validation events; `epoch` counts from 1. The sums
    of the position residuals' powers over `pairs` are None where an older version wrote the epoch.
    `threshold`, `integral` and `min_width` are the settings that peaks were counted with, where
    they were chosen in the validation; `bootstrap_low` and `_high` are the efficiency's interval.
    """

    epoch: int
    events_seen: int
    train_loss: float
    validation_loss: float
    events: int
    found: int
    missed: int
    predicted_found: int
    false_positives: int
    lr: float
    duration_s: float
    pairs: Sum | None = None  # this and the sums of powers: none before version 5
    residual_um: Sum | None = None
    residual_um2: Sum | None = None
    residual_um3: Sum | None = None
    residual_um4: Sum | None = None
    threshold: float | None = None  # this and the following: none before version 8
    integral: float | None = None
    min_width: int | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None


def _make_column(field: Field[int | float | None]) -> sa.Column[int | float | None]:
    """Make the column of a field of `Epoch`, by how the field is annotated."""
    kind, _, nothing = str(field.type).partition(" | ")
    form = {"int": sa.Integer, "float": sa.Double, "Sum": sa.BigInteger}[kind]
    return sa.Column(field.name, form, nullable=bool(nothing), primary_key=field.name == "epoch")


epochs = sa.Table(
    "sweep_epochs",
    metadata,
    sa.Column("trial_id", sa.ForeignKey("sweep_trials.id"), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("recorded_s", sa.Double, nullable=False),
    *map(_make_column, fields(Epoch)),
)


@read
def has_tables(connection: sa.Connection) -> bool:
    """Say whether the database holds this project's tables."""
    return sa.inspect(connection).has_table(versions.name)


def check_tables(engine: sa.Engine) -> None:
    """Refuse a database without sweeps, or one of another schema version.

    Raises:
        StorageError: in either case.
    """
    shown = show_url(engine.url)
    if not has_tables(engine):
        if (schema := _find_hidden_schema(engine)) is not None:
            raise RightsError(
                f"storage: the tables in {shown} are out of reach, got a role without the right to "
                f"use their schema, expected USAGE on schema {schema}; its owner gives it: "
                f"GRANT USAGE ON SCHEMA {schema} TO {engine.url.username or 'the role'}"
            )
        raise StorageError(
            f"storage: no sweeps in {shown}, got a database without this project's tables, "
            "expected one that `sweep run` made; check --storage or SWEEP_STORAGE"
        )
    found = read_version(engine)
    if found < SCHEMA_VERSION:
        raise StorageError(
            f"storage: schema of {shown}, got version {found}, expected {SCHEMA_VERSION}; bring it "
            "forward with `sweep storage migrate` when no worker of the older version runs"
        )
    if found > SCHEMA_VERSION:
        raise StorageError(
            f"storage: schema of {shown}, got version {found}, expected {SCHEMA_VERSION}; "
            "use the newer version of sweep that made it"
        )


def open_sweeps(url: URL) -> sa.Engine:
    """Open a database that holds sweeps; raises as `open_engine` and `check_tables`."""
    engine = open_engine(url)
    check_tables(engine)
    return engine


def _find_hidden_schema(engine: sa.Engine) -> str | None:
    """Find a schema of PostgreSQL that has the tables and that this role may not use, or None."""
    if engine.dialect.name != "postgresql":
        return None
    query = sa.text(
        "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relname = :name AND NOT has_schema_privilege(n.oid, 'USAGE')"
    ).bindparams(name=versions.name)
    found = read_value(engine, query)
    return None if found is None else str(found)


@transact
def check_writable(connection: sa.Connection) -> None:
    """See that this role or user may write to the tables or make them, before work is done.

    Nothing is changed: no row is touched, and what is made is taken back, but the rights to do so
    are asked for.

    Raises:
        RightsError: when a right is missing.
    """
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        columns = list(table.columns)
        connection.execute(table.update().where(sa.false()).values({columns[0]: columns[0]}))
        connection.execute(table.delete().where(sa.false()))
        none = sa.select(*columns).where(sa.false())
        connection.execute(table.insert().from_select(columns, none))

    connection.rollback()


def read_version(engine: sa.Engine) -> int:
    """Read the schema's version of a database that has one."""
    return int(read_value(engine, sa.select(versions.c.version)))

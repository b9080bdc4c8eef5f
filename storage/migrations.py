"""Makes the tables, and brings those of an older version forward, step by step.

A step is never changed once it was released: databases have gone through it. Each is written out
here instead of being derived from `sweep.storage.tables`, which describes the newest version only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from sweep.storage.tables import (
    SCHEMA_VERSION,
    check_tables,
    has_tables,
    metadata,
    read_version,
    versions,
)
from sweep.storage.transactions import transact

if TYPE_CHECKING:
    from alembic.operations import Operations


def create_tables(engine: sa.Engine) -> None:
    """Make the tables where they are missing. Only one process may do this (DESIGN 0).

    Raises:
        StorageError: when the database was written by another version of this project.
    """
    _make_tables(engine)
    check_tables(engine)


@transact
def _make_tables(connection: sa.Connection) -> None:
    if not sa.inspect(connection).has_table(versions.name):
        metadata.create_all(connection)
        connection.execute(versions.insert().values(version=SCHEMA_VERSION))


def migrate_tables(engine: sa.Engine) -> tuple[int, int]:
    """Bring the tables of an older version forward, all steps in one transaction.

    Returns:
        The version found and the version now: equal when there was nothing to do.

    Raises:
        StorageError: when the database holds no sweeps, or those of a newer version.
    """
    if not has_tables(engine) or read_version(engine) >= SCHEMA_VERSION:
        check_tables(engine)  # says what is wrong, if anything
        return SCHEMA_VERSION, SCHEMA_VERSION
    found = _take_steps(engine)
    check_tables(engine)
    return found, SCHEMA_VERSION


@transact
def _take_steps(connection: sa.Connection) -> int:
    from alembic.migration import MigrationContext  # late: only this step needs it
    from alembic.operations import Operations

    found = int(connection.execute(sa.select(versions.c.version).with_for_update()).scalar_one())
    operations = Operations(MigrationContext.configure(connection))
    for version in range(found, SCHEMA_VERSION):
        _STEPS[version](operations)
    if found < SCHEMA_VERSION:
        connection.execute(versions.update().values(version=SCHEMA_VERSION))
    return found


def _add_workers(operations: Operations) -> None:
    """Time limits of trials, trials that need a device for themselves, and the workers."""
    operations.add_column("sweep_sweeps", sa.Column("trial_timeout_s", sa.Double))
    operations.add_column(
        "sweep_trials",
        sa.Column("alone", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    operations.create_table(
        "sweep_workers",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("started_s", sa.Double, nullable=False),
        sa.Column("seen_s", sa.Double, nullable=False),
        sa.Column("ended_s", sa.Double),
    )


def _add_publisher(operations: Operations) -> None:
    """Who refreshes a sweep's pages in the dashboard, and what they show."""
    for column in (
        sa.Column("publisher", sa.String(200)),
        sa.Column("publisher_until_s", sa.Double),
        sa.Column("published_s", sa.Double),
        sa.Column("published", sa.String(200)),
    ):
        operations.add_column("sweep_sweeps", column)


def _add_sources(operations: Operations) -> None:
    """The files of a person's own network; sweeps that are there have none."""
    operations.create_table(
        "sweep_sources",
        sa.Column("sweep_id", sa.Integer, sa.ForeignKey("sweep_sweeps.id"), primary_key=True),
        sa.Column("path", sa.String(400), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def _add_residuals(operations: Operations) -> None:
    """Sums of the position residuals; epochs that are there have none."""
    for name in ("pairs", "residual_um", "residual_um2", "residual_um3", "residual_um4"):
        operations.add_column("sweep_epochs", sa.Column(name, sa.BigInteger))


def _add_pauses(operations: Operations) -> None:
    """How far a trial trains before it is compared; those that are there train to their end."""
    operations.add_column("sweep_trials", sa.Column("until_epoch", sa.Integer))


def _add_points(operations: Operations) -> None:
    """What a person wants tried next; trials that are there are the search's."""
    operations.add_column("sweep_trials", sa.Column("point", sa.Text))


def _add_decode(operations: Operations) -> None:
    """With which settings peaks were counted; epochs that are there have the reference's."""
    for name in ("threshold", "integral", "bootstrap_low", "bootstrap_high"):
        operations.add_column("sweep_epochs", sa.Column(name, sa.Double))
    operations.add_column("sweep_epochs", sa.Column("min_width", sa.Integer))


def _add_changes(operations: Operations) -> None:
    """Which version of its sweep a trial has, and whose turn it is; nothing was changed so far."""
    for name, default in (("version", "1"), ("priority", "0")):
        column = sa.Column(name, sa.Integer, nullable=False, server_default=default)
        operations.add_column("sweep_sweeps", column)
    operations.add_column("sweep_trials", sa.Column("version", sa.Integer))
    operations.execute("UPDATE sweep_trials SET version = 1 WHERE attempts > 0")


def _add_edits(operations: Operations) -> None:
    """Who changed a sweep when and how, and what workers take of memory and GPU."""
    operations.create_table(
        "sweep_edits",
        sa.Column("sweep_id", sa.Integer, sa.ForeignKey("sweep_sweeps.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("edited_s", sa.Double, nullable=False),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("what", sa.Text, nullable=False),
    )
    for column in (
        sa.Column("memory_bytes", sa.BigInteger),
        sa.Column("gpu_memory_bytes", sa.BigInteger),
        sa.Column("gpu_use", sa.Double),
    ):
        operations.add_column("sweep_workers", column)


def _add_flatness(operations: Operations) -> None:
    """Whether a sweep ends where a further trial does not pay; none did so far."""
    stops = sa.Column("stops_when_flat", sa.Boolean, nullable=False, server_default=sa.false())
    for column in (stops, sa.Column("flat", sa.Text)):
        operations.add_column("sweep_sweeps", column)


_STEPS: dict[int, Callable[[Operations], None]] = {
    1: _add_workers,
    2: _add_publisher,
    3: _add_sources,
    4: _add_residuals,
    5: _add_pauses,
    6: _add_points,
    7: _add_decode,
    8: _add_changes,
    9: _add_edits,
    10: _add_flatness,
}
"""By the version they begin with."""

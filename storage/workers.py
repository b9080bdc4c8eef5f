"""Who works: one row for each worker process, with the time it was last heard of.

Only people look at these rows. Whether a trial may be taken over is decided by its lease alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.sweeps import RUNNING
from sweep.storage.tables import sweeps, trials, workers
from sweep.storage.transactions import read, read_clock_s, read_rows, tell_time_s, transact

SILENT_S = 300.0
"""A worker not heard of for so long is not listed: its process or its machine has ended."""


@dataclass(frozen=True)
class Usage:
    """What a worker takes of its machine; None for what is not known.

    `memory_bytes` counts what it shares with others by its part. `gpu_memory_bytes` is what PyTorch
    holds of the GPU for it; `gpu_use` from 0 to 1 is the share of the time in which that is busy,
    whoever keeps it so.
    """

    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    gpu_use: float | None = None


@dataclass(frozen=True)
class WorkerRow:
    """One worker at work.

    `silent_s` is the time since it was last heard of. `sweep`, `trial` (its number in the study)
    and `lease_s` (time left) say what it holds, None when it holds nothing. The others are its
    `Usage`, as last measured.
    """

    name: str
    device: str
    silent_s: float
    sweep: str | None
    trial: int | None
    lease_s: float | None
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    gpu_use: float | None = None


@transact
def enter_worker(connection: sa.Connection, name: str, device: str) -> None:
    """Note that a worker has begun. Those that ended or fell silent long ago are forgotten."""
    now_s = read_clock_s(connection)
    connection.execute(
        workers.delete().where(
            sa.or_(
                workers.c.ended_s.is_not(None),
                workers.c.seen_s < now_s - 100 * SILENT_S,
                workers.c.name == name,  # it could not take leave, or its entry was repeated
            )
        )
    )
    connection.execute(
        workers.insert().values(name=name, device=device, started_s=now_s, seen_s=now_s)
    )


def see(connection: sa.Connection, name: str, usage: Usage | None = None) -> None:
    """Note within a transaction that a worker is there.

    Args:
        usage: What it takes, where that was measured now.
    """
    _note(connection, name, "seen_s", asdict(usage) if usage else {})


see_worker = transact(see)


@transact
def leave_worker(connection: sa.Connection, name: str) -> None:
    """Note that a worker has ended."""
    _note(connection, name, "ended_s", {})


def _note(connection: sa.Connection, name: str, time: str, values: Mapping[str, Any]) -> None:
    statement = _make_note(time, tell_time_s(connection))
    connection.execute(statement, {"of_worker": name, **values})


@cache
def _make_note(time: str, now: sa.ColumnElement[float]) -> sa.Update:
    """Make what notes a time of a worker, and other columns that are given."""
    return workers.update().where(workers.c.name == sa.bindparam("of_worker")).values({time: now})


@read
def list_workers(connection: sa.Connection, sweep_id: int | None = None) -> list[WorkerRow]:
    """List the workers that are there, oldest first.

    Args:
        sweep_id: only those that hold a trial of this sweep or none at all; None for all.
    """
    now_s = read_clock_s(connection)
    held = sa.and_(trials.c.worker == workers.c.name, trials.c.state == RUNNING)
    query = (
        sa.select(
            workers.c.name,
            workers.c.device,
            (now_s - workers.c.seen_s).label("silent_s"),
            sweeps.c.name.label("sweep"),
            trials.c.number.label("trial"),
            (trials.c.lease_until_s - now_s).label("lease_s"),
            *(workers.c[field.name] for field in fields(Usage)),
        )
        .select_from(
            workers.outerjoin(trials, held).outerjoin(sweeps, sweeps.c.id == trials.c.sweep_id)
        )
        .where(workers.c.ended_s.is_(None), workers.c.seen_s >= now_s - SILENT_S)
        .order_by(workers.c.started_s, workers.c.name)
    )
    if sweep_id is not None:
        query = query.where(sa.or_(trials.c.sweep_id.is_(None), trials.c.sweep_id == sweep_id))
    return [WorkerRow(*row) for row in connection.execute(query)]


def read_devices(engine: sa.Engine) -> dict[str, str]:
    """Read the device of each worker by name; those that ended are forgotten soon."""
    query = sa.select(workers.c.name, workers.c.device)
    return {row.name: row.device for row in read_rows(engine, query)}

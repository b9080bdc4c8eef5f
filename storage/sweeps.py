"""Sweeps in the database: created once with a frozen config, found by name, stopped, counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from sweep.storage.content import parse_column
from sweep.storage.edits import Entry, record_edit
from sweep.storage.errors import UnknownSweepError
from sweep.storage.sources import write_files
from sweep.storage.tables import attempts, check_tables, has_tables, sweeps, trials
from sweep.storage.transactions import read, read_clock_s, read_rows, tell_time_s, transact

WAITING, RUNNING, COMPLETE, PRUNED, FAILED = "waiting", "running", "complete", "pruned", "failed"
LOST = "lost"  # of running ones, as they are counted: those whose lease has run out
PAUSED = "paused"
"""At a rung, with its checkpoint: to be promoted by any worker, or ended."""


@dataclass(frozen=True)
class Flat:
    """Why a search ended before its budget was spent, and what that budget was."""

    reason: str
    budget: int


@dataclass(frozen=True)
class Sweep:
    """One search. `config` and `provenance` are JSON objects.

    The config never changes but for where the events and a person's own network lie, for the
    rounds and the end of a confirmation, and for what `sweep change` may: each such change is a
    `version`, from 1. Of open sweeps the one of the highest `priority` has the first turn. Where
    it `stops_when_flat` it ends when a further trial would not pay, which `flat` tells of then.
    """

    id: int
    name: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    budget: int
    created_s: float
    stop_requested: bool
    trial_timeout_s: float | None
    version: int = 1
    priority: int = 0
    stops_when_flat: bool = False
    flat: Flat | None = None

    @property
    def mark(self) -> str:
        """What tells it from every other sweep of its name, wherever a copy of it is."""
        return f"{self.created_s:.6f}"

    @classmethod
    def from_row(cls, row: sa.Row[Any]) -> Sweep:
        flat = row.flat and parse_column(row.flat, f"sweep {row.name}: flat")
        return cls(
            id=row.id,
            name=row.name,
            config=parse_column(row.config, f"sweep {row.name}: config"),
            provenance=parse_column(row.provenance, f"sweep {row.name}: provenance"),
            budget=row.budget,
            created_s=row.created_s,
            stop_requested=row.stop_requested,
            trial_timeout_s=row.trial_timeout_s,
            version=row.version,
            priority=row.priority,
            stops_when_flat=row.stops_when_flat,
            flat=Flat(str(flat["reason"]), int(flat["budget"])) if flat else None,
        )


@dataclass(frozen=True)
class TrialCounts:
    """How many trials of a sweep's budget are in each state; `budget` is their sum."""

    waiting: int
    running: int
    complete: int
    pruned: int
    failed: int
    paused: int = 0

    @property
    def budget(self) -> int:
        return self.unfinished + self.finished

    @property
    def unfinished(self) -> int:
        return self.idle + self.running

    @property
    def idle(self) -> int:
        """Those in nobody's hands that are not finished."""
        return self.waiting + self.paused

    @property
    def finished(self) -> int:
        return self.complete + self.pruned + self.failed


@transact
def create_sweep(
    connection: sa.Connection,
    name: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    budget: int,
    files: Mapping[str, bytes] = MappingProxyType({}),
    priority: int = 0,
) -> Sweep:
    """Store a new sweep with one waiting trial for each slot of its budget.

    Args:
        files: of a person's own network, by path from its folder.
        priority: as `set_priority` has it.

    Raises:
        sqlalchemy.exc.IntegrityError: when the name is taken.
    """
    row = connection.execute(
        sweeps.insert()
        .values(
            name=name,
            config=json.dumps(config, sort_keys=True),
            provenance=json.dumps(provenance, sort_keys=True),
            budget=budget,
            created_s=read_clock_s(connection),
            stop_requested=False,
            priority=priority,
        )
        .returning(sweeps)
    ).one()
    write_files(connection, row.id, files)
    _add_slots(connection, row.id, range(budget))
    return Sweep.from_row(row)


def find_sweep(engine: sa.Engine, name: str) -> Sweep:
    """Read a sweep.

    Raises:
        UnknownSweepError: when there is none of that name.
    """
    query = sa.select(sweeps).where(sweeps.c.name == name)
    rows = read_rows(engine, query)
    if not rows:
        known = ", ".join(sweep.name for sweep in list_sweeps(engine)) or "none"
        raise UnknownSweepError(
            f"sweep: not in the database, got {name!r}, expected one of: {known}; "
            "name one with --sweep or start it with `sweep run`"
        )
    return Sweep.from_row(rows[0])


def find_stored(engine: sa.Engine, name: str) -> Sweep | None:
    """Find a sweep; None where there is none, or not even a database of sweeps.

    Raises:
        StorageError: when the database is of another version.
    """
    if not has_tables(engine):
        return None
    check_tables(engine)
    try:
        return find_sweep(engine, name)
    except UnknownSweepError:
        return None


def list_sweeps(engine: sa.Engine) -> list[Sweep]:
    """Read all sweeps, oldest first."""
    query = sa.select(sweeps).order_by(sweeps.c.id)
    return [Sweep.from_row(row) for row in read_rows(engine, query)]


@transact
def change_budget(
    connection: sa.Connection, sweep_id: int, budget: int, author: str | None = None
) -> int:
    """Set how many trials a sweep trains.

    A larger budget adds waiting trials, also to a search that was found flat; a smaller one takes
    waiting trials away, never one that has begun.

    Args:
        author: Who wants it, of whom is told what it came to; None where nobody asked.

    Returns:
        The budget now: `budget`, or more where more trials have begun already.
    """
    lock_sweep(connection, sweep_id)
    stored = sa.select(sweeps.c.budget).where(sweeps.c.id == sweep_id)
    before = connection.execute(stored).scalar_one()
    now = set_budget(connection, sweep_id, budget)
    if author is not None and now != before:
        entry = Entry(author, f"changed the trials from {before} to {now}")
        record_edit(connection, sweep_id, entry)
    return now


def is_untouched(sweep_id: int, first_slot: int) -> sa.ColumnElement[bool]:
    """Say of a trial whether it waits from this slot on, and nobody has claimed it yet."""
    return sa.and_(
        trials.c.sweep_id == sweep_id,
        trials.c.state == WAITING,
        trials.c.attempts == 0,
        trials.c.slot >= first_slot,
    )


def set_budget(connection: sa.Connection, sweep_id: int, budget: int) -> int:
    """Set how many trials a sweep trains, within a transaction; as `change_budget`."""
    lock_sweep(connection, sweep_id)
    mine = trials.c.sweep_id == sweep_id
    connection.execute(trials.delete().where(is_untouched(sweep_id, budget)))
    held = set(connection.execute(sa.select(trials.c.slot).where(mine)).scalars())
    free = (slot for slot in range(budget) if slot not in held)
    _add_slots(connection, sweep_id, list(free)[: max(0, budget - len(held))])
    result = max(len(held), budget)
    this = sweeps.c.id == sweep_id
    connection.execute(sweeps.update().where(this).values(budget=result))
    if result > len(held):
        was_flat = sa.and_(this, sweeps.c.flat.is_not(None))
        connection.execute(sweeps.update().where(was_flat).values(flat=None, stops_when_flat=False))
    return result


@transact
def change_config(
    connection: sa.Connection,
    sweep: Sweep,
    config: Mapping[str, Any],
    files: Mapping[str, bytes],
    also: Callable[[sa.Connection], object] = bool,
) -> bool:
    """Store where a sweep's events and its network lie now, a confirmation's next round, a change.

    Whoever calls keeps all else of its config, and what the files of the network do.

    Args:
        sweep: As it was read, on which the change builds.
        also: What else is done, in the same transaction.

    Returns:
        Whether it is stored; False where somebody else has changed the config since then: it is as
        they left it, and to be read anew.
    """
    text = json.dumps(config, sort_keys=True)
    lock_sweep(connection, sweep.id)
    mine = sweeps.c.id == sweep.id
    stored = connection.execute(sa.select(sweeps.c.config).where(mine)).scalar_one()
    found = parse_column(stored, f"sweep {sweep.name}: config")
    if found == config:  # the connection broke between the commit and its answer
        return True
    if found != sweep.config:
        return False
    connection.execute(sweeps.update().where(mine).values(config=text))
    write_files(connection, sweep.id, files)
    also(connection)
    return True


@transact
def set_columns(
    connection: sa.Connection,
    /,
    sweep_id: int,
    entry: Entry | None = None,
    others: Sequence[int] = (),
    **values: Any,
) -> None:
    """Set columns of a sweep's row and of the `others`, and tell of it in its log."""
    if entry is not None:
        record_edit(connection, sweep_id, entry)
    these = sweeps.c.id.in_((sweep_id, *others))
    connection.execute(sweeps.update().where(these).values(**values))


def change_trial_timeout(engine: sa.Engine, sweep_id: int, timeout_s: float) -> None:
    """Set for how long a trial may train; workers heed it from their next trial on."""
    set_columns(engine, sweep_id, trial_timeout_s=timeout_s)


def set_priority(
    engine: sa.Engine,
    sweep_id: int,
    priority: int,
    entry: Entry | None = None,
    others: Sequence[int] = (),
) -> None:
    """Set whose turn it is: workers take trials of the open sweep of the highest priority first.

    They heed it from their next trial on. A sweep begins with 0, and less than that is possible.

    Args:
        entry: What is told of it, if anything is.
        others: The ids of those that have the same from now on.
    """
    set_columns(engine, sweep_id, entry, others, priority=priority)


def request_stop(
    engine: sa.Engine, sweep_id: int, stop: bool = True, entry: Entry | None = None
) -> None:
    """Ask all workers of a sweep to stop after the epoch they are in, or take that back.

    Args:
        entry: What is told of it, if anything is.
    """
    set_columns(engine, sweep_id, entry, stop_requested=stop)


@read
def list_open_sweeps(connection: sa.Connection) -> list[Sweep]:
    """Read the sweeps that are not to stop and whose budget is not spent, in turn.

    Returns:
        First those of the highest priority; of these the one with the fewest trials in training,
        of equals the one whose last trial was claimed longest ago.
    """
    rows = list(connection.execute(_ask_open(tell_time_s(connection))))
    if len(rows) > 1:
        claimed_s = _read_last_claims(connection)
        rows.sort(key=lambda row: (-row.priority, row.num_held, claimed_s.get(row.id, 0.0)))
    return [Sweep.from_row(row) for row in rows]


@cache
def _ask_open(now_s: sa.ColumnElement[float]) -> sa.Select[Any]:
    mine = trials.c.sweep_id == sweeps.c.id
    held = sa.and_(mine, trials.c.state == RUNNING, trials.c.lease_until_s >= now_s)
    is_open = sa.exists().where(mine, trials.c.state.in_((WAITING, RUNNING, PAUSED)))
    num_held = sa.select(sa.func.count()).where(held).scalar_subquery().label("num_held")
    return (
        sa.select(sweeps, num_held)
        .where(sweeps.c.stop_requested.is_(False), is_open)
        .order_by(sweeps.c.id)
    )


def _read_last_claims(connection: sa.Connection) -> dict[int, float]:
    """Read when a trial of each sweep was last claimed."""
    last = sa.select(trials.c.sweep_id, sa.func.max(attempts.c.started_s))
    query = last.join(attempts, attempts.c.trial_id == trials.c.id).group_by(trials.c.sweep_id)
    return {sweep_id: claimed_s for sweep_id, claimed_s in connection.execute(query)}


@read
def count_trials(connection: sa.Connection, sweep_id: int) -> TrialCounts:
    """Count a sweep's trials by state; a trial whose lease has run out counts as waiting."""
    rows = connection.execute(_ask_counts(tell_time_s(connection)), {"of_sweep": sweep_id})
    found = {str(name): int(count) for name, count in rows}
    names = (WAITING, RUNNING, COMPLETE, PRUNED, FAILED, PAUSED)
    waiting, running, *others = (found.get(name, 0) for name in names)
    return TrialCounts(waiting + found[LOST], running - found[LOST], *others)


@cache
def _ask_counts(now_s: sa.ColumnElement[float]) -> sa.CompoundSelect[Any]:
    mine = trials.c.sweep_id == sa.bindparam("of_sweep")
    lost = sa.and_(mine, trials.c.state == RUNNING, trials.c.lease_until_s < now_s)
    by_state = sa.select(trials.c.state, sa.func.count()).where(mine).group_by(trials.c.state)
    return by_state.union_all(sa.select(sa.literal(LOST), sa.func.count()).where(lost))


def lock_sweep(connection: sa.Connection, sweep_id: int) -> None:
    """Hold a sweep's row until the transaction ends (SQLite holds the whole file anyway).

    Whoever holds trials too has taken the sweep first, so that no two wait for each other.
    """
    connection.execute(_make_lock(), {"of_sweep": sweep_id})


@cache
def _make_lock() -> sa.Select[Any]:
    return sa.select(sweeps.c.id).where(sweeps.c.id == sa.bindparam("of_sweep")).with_for_update()


def _add_slots(connection: sa.Connection, sweep_id: int, slots: Iterable[int]) -> None:
    rows = [{"sweep_id": sweep_id, "slot": slot, "state": WAITING, "attempts": 0} for slot in slots]
    if rows:
        connection.execute(trials.insert(), rows)

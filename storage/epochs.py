"""The learning curves: one row for each epoch of each trial, and trials read with their best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.claims import Claim, update_claimed
from sweep.storage.content import parse_column
from sweep.storage.ranking import Ranking
from sweep.storage.sweeps import COMPLETE
from sweep.storage.tables import Epoch, epochs, sweeps, trials
from sweep.storage.transactions import read, read_rows, tell_time_s, transact


@dataclass(frozen=True)
class TrialRow:
    """One trial as stored, with the epoch whose metrics are its own (None before the first).

    `is_added` says that a person wanted it tried; `version` is that of the sweep's config that it
    was begun with.
    """

    id: int
    slot: int
    number: int | None
    state: str
    outcome: str | None
    reason: str | None
    attempts: int
    worker: str | None
    started_s: float | None
    finished_s: float | None
    params: Mapping[str, Any]
    feasible: bool | None
    best: Epoch | None
    last: Epoch | None
    is_added: bool = False
    version: int = 1

    @property
    def num_epochs(self) -> int:
        """How many it has trained."""
        return self.last.epoch if self.last else 0

    @property
    def short_reason(self) -> str:
        """The reason of its end in one line: of a traceback, the error itself."""
        return (self.reason or "").strip().rpartition("\n")[2]


Curves = Mapping[int, Sequence[Epoch]]
"""The epochs of each trial of a sweep, by the trials' ids."""

_COLUMNS = [epochs.c[field.name] for field in fields(Epoch)]
_OWN = {field.name for field in fields(TrialRow)} - {"params", "best", "last", "is_added"}


@transact
def record_epochs(
    connection: sa.Connection,
    claim: Claim,
    results: Sequence[Epoch],
    beside: Callable[[sa.Connection], None] = lambda _connection: None,
) -> bool:
    """Store epochs of a claimed trial; those already stored stay as they are.

    Args:
        beside: What else is written in the same transaction; done again where that is.

    Returns:
        Whether the workers of its sweep are asked to stop.

    Raises:
        LostClaimError: when another worker took the trial over meanwhile.
    """
    now_s, is_to_stop = update_claimed(
        connection, claim, tell_time_s(connection), _ask_stop(), worker=claim.worker
    )
    mine = {"trial_id": claim.trial_id, "attempt": claim.attempt, "recorded_s": now_s}
    rows = [asdict(result) | mine for result in results]
    if rows:
        connection.execute(_make_recording(connection.dialect.name), rows)
    beside(connection)
    return bool(is_to_stop)


@cache
def _ask_stop() -> sa.ColumnElement[Any]:
    this = sweeps.c.id == sa.bindparam("of_sweep")
    return sa.select(sweeps.c.stop_requested).where(this).scalar_subquery()


@cache
def _make_recording(dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite  # late: who only reads needs neither

    made = (sqlite if dialect == "sqlite" else postgresql).insert(epochs)
    return made.on_conflict_do_nothing()


def read_curve(engine: sa.Engine, trial_id: int) -> list[Epoch]:
    """Read a trial's epochs in order."""
    query = sa.select(*_COLUMNS).where(epochs.c.trial_id == trial_id).order_by(epochs.c.epoch)
    return [Epoch(*row) for row in read_rows(engine, query)]


def read_curves(engine: sa.Engine, sweep_id: int) -> dict[int, list[Epoch]]:
    """Read the epochs of all trials of a sweep, in order, by the trials' ids."""
    query = (
        sa.select(epochs.c.trial_id, *_COLUMNS)
        .join(trials, trials.c.id == epochs.c.trial_id)
        .where(trials.c.sweep_id == sweep_id)
        .order_by(epochs.c.trial_id, epochs.c.epoch)
    )
    curves: dict[int, list[Epoch]] = {}
    for row in read_rows(engine, query):
        curves.setdefault(row[0], []).append(Epoch(*row[1:]))
    return curves


@read
def read_trials(connection: sa.Connection, sweep_id: int) -> list[TrialRow]:
    """Read all trials of a sweep that have begun, by slot, with their best and last epochs."""
    query = (
        sa.select(trials)
        .where(trials.c.sweep_id == sweep_id, trials.c.number.is_not(None))
        .order_by(trials.c.slot)
    )
    last = (
        sa.select(epochs.c.trial_id, sa.func.max(epochs.c.epoch).label("epoch"))
        .join(trials, trials.c.id == epochs.c.trial_id)
        .where(trials.c.sweep_id == sweep_id)
        .group_by(epochs.c.trial_id)
        .subquery()
    )
    last_query = sa.select(epochs.c.trial_id, *_COLUMNS).join(
        last, sa.and_(epochs.c.trial_id == last.c.trial_id, epochs.c.epoch == last.c.epoch)
    )
    best_query = (
        sa.select(epochs.c.trial_id, *_COLUMNS)
        .join(
            trials,
            sa.and_(epochs.c.trial_id == trials.c.id, epochs.c.epoch == trials.c.best_epoch),
        )
        .where(trials.c.sweep_id == sweep_id)
    )
    found = connection.execute(query).all()
    lasts = {row[0]: Epoch(*row[1:]) for row in connection.execute(last_query)}
    bests = {row[0]: Epoch(*row[1:]) for row in connection.execute(best_query)}
    return [_make_trial(row, bests.get(row.id), lasts.get(row.id)) for row in found]


def read_best(
    engine: sa.Engine,
    sweep_id: int,
    ranking: Ranking,
    limit: int,
    *,
    are_feasible: bool = True,
) -> list[tuple[int, float]]:
    """Read the best trials of a sweep: complete and feasible, the earlier slot of equals first.

    The database ranks them, so that the end of a trial costs no more in a sweep of thousands.

    Args:
        are_feasible: Whether those are ranked that live, or those that are dead.

    Returns:
        Their slots with the values they are ranked by, best first.
    """
    query = _ask_best(ranking, are_feasible)
    found = read_rows(engine, query, of_sweep=sweep_id, num_best=limit)
    return [(row[0], row[1]) for row in found]


@cache
def _ask_best(ranking: Ranking, are_feasible: bool) -> sa.Select[Any]:
    value = ranking.make_value()
    return (
        sa.select(trials.c.slot, value)
        .join(
            epochs,
            sa.and_(epochs.c.trial_id == trials.c.id, epochs.c.epoch == trials.c.best_epoch),
        )
        .where(
            trials.c.sweep_id == sa.bindparam("of_sweep"),
            trials.c.state == COMPLETE,
            trials.c.feasible == are_feasible,
        )
        .order_by(value.desc() if ranking.is_highest_first else value, trials.c.slot)
        .limit(sa.bindparam("num_best", type_=sa.Integer))
    )


def read_states(engine: sa.Engine, sweep_id: int, slots: Iterable[int]) -> dict[int, str]:
    """Read the states of some trials of a sweep, by slot; of those that are there."""
    found = read_rows(engine, _ask_states(), of_sweep=sweep_id, slots=list(slots))
    return {row.slot: row.state for row in found}


@cache
def _ask_states() -> sa.Select[Any]:
    return sa.select(trials.c.slot, trials.c.state).where(
        trials.c.sweep_id == sa.bindparam("of_sweep"),
        trials.c.slot.in_(sa.bindparam("slots", expanding=True)),
    )


def _make_trial(row: sa.Row[Any], best: Epoch | None, last: Epoch | None) -> TrialRow:
    columns = {name: getattr(row, name) for name in _OWN}
    params = parse_column(row.params, f"trial {row.id}: params") if row.params else {}
    is_added = row.point is not None
    return TrialRow(**columns, params=params, best=best, last=last, is_added=is_added)

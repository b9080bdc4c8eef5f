"""Who trains which trial: slots are claimed, leased, renewed, released and finished.

A claim is a lease: it ends at a time of the database's clock unless it is renewed. Whoever finds
a lease that has run out takes the same trial over. Every write of a claim's holder checks that
the claim is still its own, and raises `LostClaimError` where it is not, so that a worker that was
away too long cannot overwrite its successor's numbers.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlalchemy as sa

from sweep.storage.attempts import (
    EXPIRED,
    FINISHED,
    RELEASED,
    begin_attempt,
    end_attempt,
    list_lost,
    read_ending,
)
from sweep.storage.errors import LostClaimError
from sweep.storage.points import get_point
from sweep.storage.standings import NextTrial, Promotion, choose_trial, read_ahead
from sweep.storage.sweeps import PAUSED, RUNNING, WAITING
from sweep.storage.tables import attempts, sweeps, trials, workers
from sweep.storage.transactions import read_clock_s, tell_time_s, transact
from sweep.storage.workers import Usage, see


@dataclass(frozen=True)
class Claim:
    """The right to train one trial, until the lease runs out.

    `slot` counts the budget from 0; `attempt` counts the times this trial was claimed, from 1;
    `number` is the trial's in the study, once it has begun.
    `num_lost` counts the attempts whose worker was lost since the trial last came an epoch
    further; `own_endings` says of those whose process ended of itself how it did. `alone` says
    that the trial needs a device for itself. It trains up to the epoch `until_epoch`, to its end
    where that is None; or not at all: `account` says why a paused trial is ended for good.
    `point` are the values that a person wants tried with it, by the hyperparameters' names.
    `version` is that of the sweep's config that it was begun with, which it keeps to its end.
    """

    trial_id: int
    sweep_id: int
    slot: int
    attempt: int
    worker: str
    number: int | None = None
    num_lost: int = 0
    alone: bool = False
    own_endings: tuple[str, ...] = ()
    until_epoch: int | None = None
    account: str | None = None
    point: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


def claim_trial(
    engine: sa.Engine,
    sweep_id: int,
    worker: str,
    lease_s: float,
    promotion: Promotion | None = None,
) -> Claim | None:
    """Take the first trial whose lease has run out, or else what is to be done next.

    That is the first trial that waits, or what the rule of a sweep chooses whose trials pause. All
    is one transaction.

    Args:
        worker: who claims, a name unique to the process.
        lease_s: for how long the claim holds without being renewed.

    Returns:
        The claim, or None when every trial is finished or in somebody's hands, or has to wait
        until others are further.
    """
    if promotion is not None:
        read_ahead(engine, sweep_id, promotion)
    return _claim_next(engine, sweep_id, worker, lease_s, promotion, itertools.count())


@transact
def _claim_next(
    connection: sa.Connection,
    sweep_id: int,
    worker: str,
    lease_s: float,
    promotion: Promotion | None,
    tries: Iterator[int],
) -> Claim | None:
    if next(tries):  # the connection may have broken between the commit and its answer
        _release_held(connection, sweep_id, worker)
    chosen = choose_trial(connection, sweep_id, promotion)
    if chosen is None:
        return None
    now_s = begin_attempt(connection, chosen[0].id, chosen[0].attempts + 1, worker)
    return _take(connection, sweep_id, *chosen, worker, now_s, lease_s)


def _take(
    connection: sa.Connection,
    sweep_id: int,
    row: sa.Row[Any],
    next_trial: NextTrial,
    worker: str,
    now_s: float,
    lease_s: float,
) -> Claim:
    """Put a trial whose attempt has begun into a worker's hands."""
    lost = [] if row.attempts == 0 else list_lost(connection, row.id)
    given = {
        "state": RUNNING,
        "worker": worker,
        "attempts": row.attempts + 1,
        "lease_until_s": now_s + lease_s,
        "until_epoch": next_trial.until_epoch,
        "started_s": now_s if row.started_s is None else row.started_s,
    }
    this = {"of_trial": row.id, "of_sweep": sweep_id}
    version = connection.execute(_make_taking(), given | this).scalar_one()
    return Claim(
        row.id,
        sweep_id,
        row.slot,
        row.attempts + 1,
        worker,
        number=row.number,
        num_lost=len(lost),
        alone=row.alone,
        own_endings=tuple(ending for ending in lost if ending != EXPIRED),
        until_epoch=next_trial.until_epoch,
        account=next_trial.account,
        point=get_point(row),
        version=version,
    )


@cache
def _make_taking() -> Any:
    """Make what writes columns of a trial that is taken, and gives the version that it has then."""
    this = sweeps.c.id == sa.bindparam("of_sweep")
    current = sa.select(sweeps.c.version).where(this).scalar_subquery()
    return (
        trials.update()
        .where(trials.c.id == sa.bindparam("of_trial"))
        .values(version=sa.func.coalesce(trials.c.version, current))
        .returning(trials.c.version)
    )


def _release_held(connection: sa.Connection, sweep_id: int, worker: str) -> None:
    """Give back what a worker claimed without knowing."""
    held = sa.and_(
        trials.c.sweep_id == sweep_id, trials.c.worker == worker, trials.c.state == RUNNING
    )
    _take_back(connection, held, read_clock_s(connection), RELEASED)


def _take_back(
    connection: sa.Connection, held: sa.ColumnElement[bool], now_s: float, ending: Any
) -> None:
    """Let trials wait that somebody holds, and end their attempts."""
    ids = sa.select(trials.c.id).where(held)
    connection.execute(
        attempts.update()
        .where(attempts.c.ended_s.is_(None), attempts.c.trial_id.in_(ids))
        .values(ended_s=now_s, ending=ending)
    )
    waiting = {"state": WAITING, "worker": None, "lease_until_s": None}
    connection.execute(trials.update().where(held).values(**waiting))


@transact
def renew_claim(
    connection: sa.Connection, claim: Claim, lease_s: float, usage: Usage | None = None
) -> None:
    """Hold a claim for another `lease_s` from now; its worker was seen.

    Args:
        usage: What the worker takes, where that was measured now.
    """
    update_claimed(connection, claim, lease_s=lease_s)
    see(connection, claim.worker, usage)


@transact
def expire_claims(
    connection: sa.Connection, sweep_id: int, is_gone: Callable[[str], bool], ending: str = EXPIRED
) -> int:
    """End at once the leases of workers that are known to be gone.

    Args:
        is_gone: says of a worker's name whether its process is known to have ended.
        ending: how, where the process is known to have ended of itself. Where it had several
            trials in hand it is not known whose network it was, and none is charged with it.

    Returns:
        How many leases were ended.
    """
    now_s = read_clock_s(connection)
    rows = connection.execute(
        sa.select(trials.c.id, trials.c.worker)
        .where(
            trials.c.sweep_id == sweep_id,
            trials.c.state == RUNNING,
            trials.c.lease_until_s >= now_s,
        )
        .with_for_update()
    ).all()
    gone = [row.id for row in rows if is_gone(row.worker)]
    connection.execute(trials.update().where(trials.c.id.in_(gone)).values(lease_until_s=now_s - 1))
    if ending != EXPIRED and len(gone) == 1:
        connection.execute(
            attempts.update()
            .where(attempts.c.trial_id.in_(gone), attempts.c.ended_s.is_(None))
            .values(ended_s=now_s, ending=ending)
        )
    return len(gone)


@transact
def begin_claimed(
    connection: sa.Connection, claim: Claim, number: int, params: Mapping[str, Any]
) -> None:
    """Note a claimed trial's number in the study and its hyperparameters."""
    update_claimed(connection, claim, number=number, params=json.dumps(params))


def release_claim(engine: sa.Engine, claim: Claim, *, alone: bool = False) -> None:
    """Give a trial back unfinished; whoever claims it next goes on from its checkpoint.

    Args:
        alone: whether the trial needs a device for itself from now on.
    """
    alone = alone or claim.alone
    _give_up_claim(engine, claim, RELEASED, state=WAITING, worker=None, alone=alone)


def pause_claim(engine: sa.Engine, claim: Claim) -> None:
    """Give a trial back at the epoch that it was to be trained to."""
    _give_up_claim(engine, claim, PAUSED, state=PAUSED, worker=None)


def finish_claim(
    engine: sa.Engine,
    claim: Claim,
    *,
    state: str,
    outcome: str,
    reason: str | None,
    feasible: bool,
    best_epoch: int | None,
) -> None:
    """Store what came of a trial: its slot of the budget is spent.

    Args:
        state: complete, pruned or failed.
        outcome: the state more closely (complete, dead; pruned, diverged, timeout; error,
            out_of_memory, lost).
        reason: one line or a traceback, where there is something to say.
        feasible: whether the trial may be called the best.
        best_epoch: the epoch whose weights and metrics are the trial's, from 1.
    """
    _give_up_claim(
        engine,
        claim,
        FINISHED,
        state=state,
        outcome=outcome,
        reason=reason,
        feasible=feasible,
        best_epoch=best_epoch,
    )


@transact
def _give_up_claim(connection: sa.Connection, /, claim: Claim, ending: str, **values: Any) -> None:
    """End the attempt of a claim, and write columns of its trial."""
    had_ended, now_s = read_ending(connection, claim.trial_id, claim.attempt)
    if had_ended == ending:
        return  # the connection broke between the commit and its answer
    finished_s = now_s if ending == FINISHED else None
    update_claimed(connection, claim, lease_until_s=None, finished_s=finished_s, **values)
    end_attempt(connection, claim.trial_id, claim.attempt, now_s, ending)


def release_all(connection: sa.Connection, now_s: float) -> None:
    """Give all trials back unfinished, in a copy of a database of which no worker knows.

    Args:
        connection: of a transaction on the copy.
        now_s: time of the copy by the clock of the database that was copied.
    """
    lost = sa.select(trials.c.id).where(trials.c.lease_until_s < now_s)
    ending = sa.case((attempts.c.trial_id.in_(lost), EXPIRED), else_=RELEASED)
    _take_back(connection, trials.c.state == RUNNING, now_s, ending)
    connection.execute(workers.delete())


def update_claimed(
    connection: sa.Connection,
    claim: Claim,
    *found: sa.ColumnElement[Any],
    lease_s: float | None = None,
    **values: Any,
) -> tuple[Any, ...]:
    """Write columns of a trial within a transaction, if the claim still holds.

    Args:
        found: What is read beside, made once; it may ask for `of_sweep`, the id of the sweep.
        lease_s: For how long from now the claim holds then; as it was where None.

    Returns:
        What was read.

    Raises:
        LostClaimError: when another worker took the trial over meanwhile.
    """
    now = None if lease_s is None else tell_time_s(connection)
    mine = {
        "of_trial": claim.trial_id,
        "of_worker": claim.worker,
        "of_attempt": claim.attempt,
        "of_sweep": claim.sweep_id,
        "lease_s": lease_s,
    }
    statement = _make_claimed_update(now, found)
    row = connection.execute(statement, mine | values).first()
    if row is None:
        raise LostClaimError(
            f"trial in slot {claim.slot}: the claim of {claim.worker} ran out and another worker "
            "holds the trial, got a write after the lease's end, expected a renewed lease; "
            "nothing was stored"
        )
    return tuple(row)[1:]


@cache
def _make_claimed_update(
    now: sa.ColumnElement[float] | None, found: tuple[sa.ColumnElement[Any], ...]
) -> Any:
    """Make what writes columns of a claimed trial, and its lease where the time now is given."""
    lease = {} if now is None else {"lease_until_s": now + sa.bindparam("lease_s", type_=sa.Double)}
    return (
        trials.update()
        .where(
            trials.c.id == sa.bindparam("of_trial"),
            trials.c.state == RUNNING,
            trials.c.worker == sa.bindparam("of_worker"),
            trials.c.attempts == sa.bindparam("of_attempt"),
        )
        .values(lease)
        .returning(trials.c.id, *found)
    )

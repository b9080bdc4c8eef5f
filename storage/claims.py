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
from typing import Any

import sqlalchemy as sa

from sweep.storage.errors import LostClaimError
from sweep.storage.points import get_point
from sweep.storage.standings import NextTrial, Promotion, choose_trial, read_ahead
from sweep.storage.sweeps import PAUSED, RUNNING, WAITING
from sweep.storage.tables import attempts, epochs, sweeps, trials, workers
from sweep.storage.transactions import read_clock_s, tell_time_s, transact
from sweep.storage.workers import Usage, see

FINISHED, RELEASED, EXPIRED = "finished", "released", "expired"


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
    now_s = read_clock_s(connection)
    if next(tries):  # the connection may have broken between the commit and its answer
        _release_held(connection, sweep_id, worker)
    chosen = choose_trial(connection, sweep_id, now_s, promotion)
    if chosen is None:
        return None
    now_s = read_clock_s(connection)  # the lock may have been waited for: what was has ended
    _begin_attempt(connection, chosen[0], worker, now_s)
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
    lost = [] if row.attempts == 0 else _list_lost(connection, row.id)
    current = sa.select(sweeps.c.version).where(sweeps.c.id == sweep_id).scalar_subquery()
    version = connection.execute(
        trials.update()
        .where(trials.c.id == row.id)
        .values(
            state=RUNNING,
            worker=worker,
            attempts=row.attempts + 1,
            lease_until_s=now_s + lease_s,
            until_epoch=next_trial.until_epoch,
            started_s=now_s if row.started_s is None else row.started_s,
            version=current if row.version is None else row.version,
        )
        .returning(trials.c.version)
    ).scalar_one()
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


def _begin_attempt(
    connection: sa.Connection, row: sa.Row[Any], worker: str, started_s: float
) -> None:
    """Close a trial's open attempt as expired, where there is one, and open the next."""
    connection.execute(
        attempts.update()
        .where(attempts.c.trial_id == row.id, attempts.c.ended_s.is_(None))
        .values(ended_s=started_s, ending=EXPIRED)
    )
    connection.execute(
        attempts.insert().values(
            trial_id=row.id, attempt=row.attempts + 1, worker=worker, started_s=started_s
        )
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


def _list_lost(connection: sa.Connection, trial_id: int) -> list[str]:
    """List the endings of the attempts that were lost without an epoch more, in their order."""
    furthest = sa.select(sa.func.max(epochs.c.attempt)).where(epochs.c.trial_id == trial_id)
    query = sa.select(attempts.c.ending).where(
        attempts.c.trial_id == trial_id,
        attempts.c.ending.not_in((FINISHED, RELEASED, PAUSED)),
        attempts.c.attempt > sa.func.coalesce(furthest.scalar_subquery(), 0),
    )
    return list(connection.execute(query.order_by(attempts.c.attempt)).scalars())


@transact
def renew_claim(
    connection: sa.Connection, claim: Claim, lease_s: float, usage: Usage | None = None
) -> None:
    """Hold a claim for another `lease_s` from now; its worker was seen.

    Args:
        usage: What the worker takes, where that was measured now.
    """
    update_claimed(connection, claim, lease_until_s=tell_time_s(connection) + lease_s)
    see(connection, claim.worker, usage)


@transact
def expire_claims(
    connection: sa.Connection, sweep_id: int, is_gone: Callable[[str], bool], ending: str = EXPIRED
) -> int:
    """End at once the leases of workers that are known to be gone.

    Args:
        is_gone: says of a worker's name whether its process is known to have ended.
        ending: how, where the process is known to have ended of itself.

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
    if ending != EXPIRED:
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
    _end_attempt(engine, claim, RELEASED, state=WAITING, worker=None, alone=alone)


def pause_claim(engine: sa.Engine, claim: Claim) -> None:
    """Give a trial back at the epoch that it was to be trained to."""
    _end_attempt(engine, claim, PAUSED, state=PAUSED, worker=None)


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
    _end_attempt(
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
def _end_attempt(connection: sa.Connection, /, claim: Claim, ending: str, **values: Any) -> None:
    """End the attempt of a claim, and write columns of its trial."""
    this = sa.and_(attempts.c.trial_id == claim.trial_id, attempts.c.attempt == claim.attempt)
    if connection.execute(sa.select(attempts.c.ending).where(this)).scalar() == ending:
        return  # the connection broke between the commit and its answer
    now_s = read_clock_s(connection)
    finished_s = now_s if ending == FINISHED else None
    update_claimed(connection, claim, lease_until_s=None, finished_s=finished_s, **values)
    connection.execute(attempts.update().where(this).values(ended_s=now_s, ending=ending))


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
    **values: Any,
) -> tuple[Any, ...]:
    """Write columns of a trial within a transaction, if the claim still holds.

    Args:
        found: What is read beside.

    Returns:
        What was read.

    Raises:
        LostClaimError: when another worker took the trial over meanwhile.
    """
    row = connection.execute(
        trials.update()
        .where(
            trials.c.id == claim.trial_id,
            trials.c.state == RUNNING,
            trials.c.worker == claim.worker,
            trials.c.attempts == claim.attempt,
        )
        .values(**values)
        .returning(trials.c.id, *found)
    ).first()
    if row is None:
        raise LostClaimError(
            f"trial in slot {claim.slot}: the claim of {claim.worker} ran out and another worker "
            "holds the trial, got a write after the lease's end, expected a renewed lease; "
            "nothing was stored"
        )
    return tuple(row)[1:]

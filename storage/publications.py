"""Who refreshes the pages that the dashboard shows of a sweep: one process at a time, by a lease.

The pages (note, figures, companion study) are kept in the database as text and are not written in
one transaction. Whoever finds that a sweep has moved on since they were written may take the lease,
writes them, and notes what they show; who has lost it meets a `LostClaimError`. `sweep run`, `sweep
dashboard` and workers all look; which of them it is does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sweep.storage.errors import LostClaimError
from sweep.storage.sweeps import COMPLETE, FAILED, PAUSED, PRUNED, RUNNING, WAITING
from sweep.storage.tables import sweeps, trials
from sweep.storage.transactions import read, read_clock_s, transact

STATES = (WAITING, RUNNING, PAUSED, COMPLETE, PRUNED, FAILED)
OUTDATED = "outdated"
"""What pages show, whatever is being written, once something else of a sweep was changed."""


@dataclass(frozen=True)
class Publication:
    """The right to write a sweep's pages, until the lease runs out.

    `mark` is what the sweep was like when the right was taken.
    """

    sweep_id: int
    sweep: str
    publisher: str
    mark: str


def is_stale(engine: sa.Engine, sweep: str | None) -> bool:
    """Say whether a sweep, or with None any sweep, has moved on since its pages were written."""
    return bool(read(_list_stale)(engine, sweep))


@transact
def claim_publication(
    connection: sa.Connection, sweep: str | None, publisher: str, *, every_s: float, lease_s: float
) -> Publication | None:
    """Take the right to write the pages of a sweep that has moved on.

    Args:
        sweep: name of the sweep, or None for any.
        publisher: who claims, a name unique to the process.
        every_s: pages younger than this are left alone.

    Returns:
        The right, or None when there is nothing to write now or somebody else writes it.
    """
    now_s = read_clock_s(connection)
    for row in _list_stale(connection, sweep):
        result = connection.execute(
            sweeps.update()
            .where(
                sweeps.c.id == row.id,
                sa.or_(sweeps.c.publisher.is_(None), sweeps.c.publisher_until_s < now_s),
                sa.func.coalesce(sweeps.c.published_s, 0) <= now_s - every_s,
            )
            .values(publisher=publisher, publisher_until_s=now_s + lease_s, published=None)
        )
        if result.rowcount == 1:
            return Publication(row.id, row.name, publisher, _mark(row))
    return None


@transact
def renew_publication(connection: sa.Connection, publication: Publication, lease_s: float) -> None:
    """Hold the right for another `lease_s` from now."""
    _update(connection, publication, publisher_until_s=read_clock_s(connection) + lease_s)


@transact
def end_publication(connection: sa.Connection, publication: Publication, *, is_whole: bool) -> None:
    """Give the right back.

    Args:
        is_whole: whether the pages now show what the sweep was like when the right was taken;
            otherwise, and where they were outdated meanwhile, whoever comes next goes on.
    """
    shown = sa.func.coalesce(sweeps.c.published, publication.mark) if is_whole else None
    _update(
        connection,
        publication,
        publisher=None,
        publisher_until_s=None,
        published_s=read_clock_s(connection),
        published=shown,
    )


@transact
def outdate_pages(connection: sa.Connection, names: Sequence[str]) -> None:
    """Have the pages of sweeps written again, though none of their trials has moved on."""
    old = sweeps.update().where(sweeps.c.name.in_(names)).values(published=OUTDATED)
    connection.execute(old)


def _update(connection: sa.Connection, publication: Publication, **values: Any) -> None:
    result = connection.execute(
        sweeps.update()
        .where(sweeps.c.id == publication.sweep_id, sweeps.c.publisher == publication.publisher)
        .values(**values)
    )
    if result.rowcount != 1:
        raise LostClaimError(
            f"pages of sweep {publication.sweep}: another process writes them, got a write of "
            f"{publication.publisher} after the lease's end, expected a renewed lease; the other "
            "one goes on"
        )


def _list_stale(connection: sa.Connection, sweep: str | None) -> list[sa.Row[Any]]:
    """List the sweeps whose trials are not as their pages show them, longest unpublished first."""
    states = (
        sa.select(
            trials.c.sweep_id,
            *(
                sa.func.sum(sa.case((trials.c.state == state, 1), else_=0)).label(state)
                for state in STATES
            ),
        )
        .group_by(trials.c.sweep_id)
        .subquery()
    )
    query = (
        sa.select(sweeps.c.id, sweeps.c.name, sweeps.c.published, *(states.c[s] for s in STATES))
        .join(states, states.c.sweep_id == sweeps.c.id)
        .order_by(sa.func.coalesce(sweeps.c.published_s, 0), sweeps.c.id)
    )
    if sweep is not None:
        query = query.where(sweeps.c.name == sweep)
    return [row for row in connection.execute(query) if row.published != _mark(row)]


def _mark(row: sa.Row[Any]) -> str:
    """Describe a sweep's trials by state, as far as its pages depend on them."""
    return " ".join(f"{state}={getattr(row, state)}" for state in STATES)

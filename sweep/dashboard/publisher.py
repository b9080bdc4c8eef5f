"""Keeps the dashboard's pages fresh: one process at a time, and only when something changed.

Every process that works on sweeps may run a publisher; a lease in the database decides which of
them writes. So the pages stay fresh where a sweep was only registered and remote workers train it,
and where the dashboard alone is open.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage

from sweep.errors import SweepError, summarise_fault
from sweep.results.confirmation import find_confirmation
from sweep.results.status import read_status
from sweep.storage.errors import LostClaimError, RightsError, StorageError
from sweep.storage.publications import (
    Publication,
    claim_publication,
    end_publication,
    is_stale,
    renew_publication,
)
from sweep.storage.sweeps import find_sweep

logger = logging.getLogger(__name__)

EVERY_S = 10.0
"""A sweep's pages are written at most once in so long."""
PUBLISHER_LEASE_S = 60.0
"""Who has not written one part of a sweep's pages within this time is taken for gone."""
STOP_S = 3.0
"""How long the end of a process waits for the part that is being written."""
_chance = random.Random()  # not the process's own, which networks draw from


class Publisher:
    """Looks in a thread of its own for sweeps that have moved on, and writes their pages.

    Args:
        sweep: Name of the only sweep to look after, or None for all.
        say: Told in one line why pages could not be written; each line once.
    """

    def __init__(
        self,
        engine: sa.Engine,
        storage: BaseStorage,
        sweep: str | None = None,
        say: Callable[[str], None] = logger.warning,
        every_s: float = EVERY_S,
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._sweep = sweep
        self._say = say
        self._every_s = every_s
        self._name = uuid.uuid4().hex
        self._said: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="publisher", daemon=True)

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._thread.join(STOP_S)

    def catch_up(self) -> None:
        """Write now what is not shown yet; where somebody else is at it, wait for them and look.

        What cannot be written is reported, not raised: it must not end what it tells of.
        """
        deadline_s = time.monotonic() + PUBLISHER_LEASE_S
        try:
            while is_stale(self._engine, self._sweep) and time.monotonic() < deadline_s:
                if not self._write_one(every_s=0.0):
                    time.sleep(0.2)
        except Exception as exc:
            self._say_once(exc)

    def _look(self) -> None:
        while not self._done.wait(self._every_s * _chance.uniform(0.5, 1.0)):
            try:
                while is_stale(self._engine, self._sweep) and self._write_one(self._every_s):
                    pass
            except Exception as exc:
                self._say_once(exc)
                if isinstance(exc, RightsError):  # who may write the pages does so elsewhere
                    return

    def _write_one(self, every_s: float) -> bool:
        """Write the pages of one sweep; False when there is none to write now."""
        publication = claim_publication(
            self._engine, self._sweep, self._name, every_s=every_s, lease_s=PUBLISHER_LEASE_S
        )
        if publication is None:
            return False
        try:
            is_whole = self._write(publication)
            end_publication(self._engine, publication, is_whole=is_whole)
        except LostClaimError:
            return False
        except Exception:
            end_publication(self._engine, publication, is_whole=False)
            raise
        return True

    def _write(self, publication: Publication) -> bool:
        from sweep.dashboard.publication import publish  # figures: only who draws needs them

        status = read_status(self._engine, find_sweep(self._engine, publication.sweep))
        return publish(
            self._storage,
            status,
            hold=lambda: renew_publication(self._engine, publication, PUBLISHER_LEASE_S),
            confirmation=find_confirmation(self._engine, status),
        )

    def _say_once(self, exc: Exception) -> None:
        text = summarise_fault(exc)
        if text not in self._said:
            self._said.add(text)
            self._say(f"the dashboard's pages are not refreshed: {text}")
            if not isinstance(exc, FAULTS):
                logger.error("a fault of this program", exc_info=exc)


@contextmanager
def keep_fresh(
    engine: sa.Engine,
    storage: BaseStorage,
    sweep: str | None,
    say: Callable[[str], None],
    is_hurried: Callable[[], bool],
) -> Iterator[None]:
    """Keep pages fresh while something else is done, and write what is left at its end.

    Args:
        is_hurried: Says at the end whether there is no time for what is left.
    """
    with Publisher(engine, storage, sweep, say) as publisher:
        yield
        if not is_hurried():
            publisher.catch_up()


FAULTS = (OptunaError, sa.exc.SQLAlchemyError, StorageError, SweepError)
"""What may go wrong while pages are written: a database out of reach, a study that was removed. Any
other fault is ours, and its traceback is shown; but neither may end a sweep or its other pages."""

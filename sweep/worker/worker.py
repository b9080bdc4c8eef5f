"""A worker: a process on one device that claims trials until none is left.

Three things can end its work on a trial early. A signal: SIGINT asks it to leave after the epoch, a
second SIGINT or a SIGTERM to leave at once; either way its trial goes back to the others with its
checkpoint. A lost lease: when the database could not be reached for so long that another worker
took the trial over, this one drops it. And the database, which may ask all workers to stop.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import sqlalchemy as sa
import torch
from optuna.storages import BaseStorage

from sweep.machine.device import describe_device, free_memory, keep_memory, open_device
from sweep.machine.process import name_worker
from sweep.machine.signals import Signals
from sweep.storage import studies
from sweep.storage.claims import Claim, release_claim
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.errors import LostClaimError, RightsError, StorageError
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import check_tables
from sweep.storage.transactions import is_passing
from sweep.storage.workers import enter_worker, leave_worker, see_worker
from sweep.trial.run import run_trial
from sweep.trial.session import Session
from sweep.trial.verdict import Pause
from sweep.worker.agenda import Agenda
from sweep.worker.device_lock import DeviceLock
from sweep.worker.lease import Lease, read_lease_s
from sweep.worker.options import WorkerOptions
from sweep.worker.usage import UsageMeter

logger = logging.getLogger(__name__)

POLL_S, MAX_POLL_S = 1.0, 10.0
"""How soon a worker without a trial looks again, at first and after a while."""
Beside = Callable[[sa.Engine, BaseStorage], AbstractContextManager[None]]
RETRY_S = 10.0
"""How soon a worker that is to stay for ever looks again for its database."""


def run_worker(
    options: WorkerOptions,
    signals: Signals,
    say: Callable[[str], None] = logger.info,
    beside: Beside | None = None,
) -> int:
    """Train trials until nothing is left of them or the worker is asked to leave.

    Args:
        signals: Say when to leave.
        say: Told in one line what happened to each trial.
        beside: What else this process does while it has the database open, if anything.

    Returns:
        How many trials this worker finished.

    Raises:
        StorageError, DataError, ModelError, ConfigError, ConflictError: when the database cannot
            be used, or the only sweep to work on cannot be worked on. A worker that is to stay for
            ever waits instead, except for what is wrong with its options and for a missing right.
    """
    options.check()
    keep_memory()
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    worker = _Worker(options, signals, say, beside, open_device(options.device), read_lease_s())
    while True:
        try:
            worker.work()
        except (StorageError, sa.exc.SQLAlchemyError) as exc:
            is_awaited = isinstance(exc, StorageError) or is_passing(exc)
            if not options.is_forever or not is_awaited or isinstance(exc, RightsError):
                raise
            say(f"looking again in {RETRY_S:.0f} s: {exc}")
            signals.wait(RETRY_S)
        if signals.is_gentle() or not options.is_forever:
            return worker.num_finished


class _Worker:
    """A process that works: its name, its device, and how much it has done."""

    def __init__(
        self,
        options: WorkerOptions,
        signals: Signals,
        say: Callable[[str], None],
        beside: Beside | None,
        device: torch.device,
        lease_s: float,
    ) -> None:
        self._options = options
        self._signals = signals
        self._say = say
        self._beside = beside or (lambda _engine, _study_storage: nullcontext())
        self._device = device
        self._lease_s = lease_s
        self._meter = UsageMeter(device)
        self._lock = DeviceLock(device)
        self._name = name_worker()
        self._seen_s = -math.inf
        self.num_finished = 0

    def work(self) -> None:
        """Open the database, and train until nothing is left or it is time to leave."""
        url = parse_url(self._options.storage)
        engine = open_engine(url, is_awaited=self._options.is_started_by_us)
        try:
            check_tables(engine)
            if self._options.sweep is not None:
                find_sweep(engine, self._options.sweep)
            study_storage = studies.open_study_storage(url)
            agenda = Agenda(
                engine,
                study_storage,
                self._options.sweep,
                self._device,
                self._options.artifacts,
                self._say,
            )
            enter_worker(engine, self._name, describe_device(self._device))
            try:
                with self._beside(engine, study_storage):
                    self._follow(agenda, engine)
            finally:
                self._take_leave(engine)
        finally:
            engine.dispose()

    def _follow(self, agenda: Agenda, engine: sa.Engine) -> None:
        idle_s = POLL_S
        while not self._signals.is_gentle():
            if self._take_next(agenda, engine):
                idle_s = POLL_S
                continue
            if agenda.is_done and not self._options.is_forever:
                return
            self._be_seen(engine)
            self._signals.wait(idle_s * random.uniform(0.8, 1.2))
            idle_s = min(2 * idle_s, MAX_POLL_S)

    def _take_next(self, agenda: Agenda, engine: sa.Engine) -> bool:
        """Claim a trial and train it; False when none is free."""

        def is_given_up(timeout_s: float) -> bool:
            self._be_seen(engine)  # who is alone on the device may be so for hours
            return self._signals.wait(timeout_s)

        with self._lock.hold(alone=False, is_given_up=is_given_up) as is_held:
            found = None
            if is_held:
                found = agenda.claim(self._name, self._lease_s, self._signals.is_gentle)
            if found is None:
                return False
            session, claim = found
            if not claim.alone:
                self._train(session, claim)
        if claim.alone:
            self._train(session, claim)
        return True

    def _be_seen(self, engine: sa.Engine) -> None:
        """Note that this worker is there although it has no trial, now and then."""
        if time.monotonic() >= self._seen_s + MAX_POLL_S:
            see_worker(engine, self._name, self._meter.measure())
            self._seen_s = time.monotonic()

    def _train(self, session: Session, claim: Claim) -> None:
        """Train one claimed trial, for itself on the device where it needs that."""
        try:
            with Lease(
                session.engine, claim, self._lease_s, self._signals, self._meter.measure
            ) as lease:
                if claim.alone:
                    with self._lock.hold(alone=True, is_given_up=lease.wait) as is_held:
                        if not is_held:
                            release_claim(session.engine, claim)
                            return
                        end = run_trial(session, claim, lease)
                else:
                    end = run_trial(session, claim, lease)
        except LostClaimError as exc:
            self._say(str(exc))
            return
        finally:
            free_memory(self._device)
        if isinstance(end, Pause):
            self._say(f"slot {claim.slot}: paused after epoch {end.epoch}")
            return
        if end is None:
            self._say(f"slot {claim.slot}: given back with its checkpoint")
            return
        self.num_finished += 1
        reason = f", {end.reason}" if end.reason else ""
        self._say(f"slot {claim.slot}: {end.outcome}{reason}")

    def _take_leave(self, engine: sa.Engine) -> None:
        try:
            leave_worker(engine, self._name)
        except (StorageError, sa.exc.SQLAlchemyError) as exc:
            logger.warning("could not take leave of the database: %s", exc)

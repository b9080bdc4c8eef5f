"""A worker: it claims trials for a device until none is left.

On a CPU it is a process. A GPU has several in one, which take turns (`sweep.machine.turns`).
Three things can end its work on a trial early. A signal: SIGINT asks it to leave after the epoch, a
second SIGINT or a SIGTERM to leave at once; either way its trial goes back to the others with its
checkpoint. A lost lease: when the database could not be reached for so long that another worker
took the trial over, this one drops it. And the database, which may ask all workers to stop.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
import torch
from optuna.storages import BaseStorage

from sweep.machine.device import describe_device, free_memory, keep_memory, open_device
from sweep.machine.process import name_worker
from sweep.machine.sharing import choose_share
from sweep.machine.signals import Signals
from sweep.machine.turns import my_turn
from sweep.storage import studies
from sweep.storage.claims import Claim, release_claim
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.errors import LostClaimError, RightsError, StorageError
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import check_tables
from sweep.storage.transactions import is_passing
from sweep.storage.workers import enter_worker, leave_worker, see_worker
from sweep.trial.run import run_trial
from sweep.trial.session import Session, Splits
from sweep.trial.verdict import Pause
from sweep.worker.agenda import Agenda
from sweep.worker.device_lock import DeviceLock
from sweep.worker.lease import Lease, read_lease_s
from sweep.worker.options import WorkerOptions
from sweep.worker.together import run_together
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
    """Train trials until nothing is left of them or this process is asked to leave.

    Args:
        signals: Say when to leave.
        say: Told in one line what happened to each trial.
        beside: What else this process does while it has the database open, if anything.

    Returns:
        How many trials it finished.

    Raises:
        StorageError, DataError, ModelError, ConfigError, ConflictError: when the database cannot
            be used, or the only sweep to work on cannot be worked on. A worker that is to stay for
            ever waits instead, except for what is wrong with its options and for a missing right.
    """
    options.check()
    keep_memory()
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    device = open_device(options.device)
    num_workers = _count_workers(options, device)
    office = _Office(options, signals, say, device, read_lease_s(), num_workers)
    workers = [_Worker(office, beside if index == 0 else None) for index in range(num_workers)]
    if options.at_once is None and num_workers > 1:
        say(f"{num_workers} trials at once on {describe_device(device)}; --at-once says otherwise")
    run_together([worker.stay for worker in workers], device, signals)
    return sum(worker.num_finished for worker in workers)


def _count_workers(options: WorkerOptions, device: torch.device) -> int:
    """Count the trials that a process trains at once."""
    if options.at_once is not None or device.type != "cuda":
        return options.at_once or 1
    return choose_share(torch.cuda.mem_get_info(device)[0]).per_gpu


@dataclass
class _Office:
    """What the workers of a process have in common."""

    options: WorkerOptions
    signals: Signals
    say: Callable[[str], None]
    device: torch.device
    lease_s: float
    num_workers: int
    claiming: threading.Lock = field(default_factory=threading.Lock)
    has_lone: bool = False
    """Whether one of them has a trial that is to be alone: nobody claims another one then."""
    splits: Splits = field(default_factory=dict)


class _Worker:
    """One that works: its name, its device, and how much it has done."""

    def __init__(self, office: _Office, beside: Beside | None) -> None:
        self._office = office
        self._options = office.options
        self._signals = office.signals
        self._say = office.say
        self._beside = beside or (lambda _engine, _study_storage: nullcontext())
        self._device = office.device
        self._lease_s = office.lease_s
        self._meter = UsageMeter(self._device, num_workers=office.num_workers)
        self._lock = DeviceLock(self._device)
        self._name = name_worker()
        self._chance = random.Random()  # not the process's own, which networks draw from
        self._seen_s = -math.inf
        self.num_finished = 0

    def stay(self) -> None:
        """Work until it is time to leave; where that is never, wait for a database that is gone."""
        while True:
            try:
                self._work()
            except (StorageError, sa.exc.SQLAlchemyError) as exc:
                is_awaited = isinstance(exc, StorageError) or is_passing(exc)
                if not self._options.is_forever or not is_awaited or isinstance(exc, RightsError):
                    raise
                self._say(f"looking again in {RETRY_S:.0f} s: {exc}")
                self._signals.wait(RETRY_S)
            if self._signals.is_gentle() or not self._options.is_forever:
                return

    def _work(self) -> None:
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
                self._office.splits,
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
            self._signals.wait(idle_s * self._chance.uniform(0.8, 1.2))
            idle_s = min(2 * idle_s, MAX_POLL_S)

    def _take_next(self, agenda: Agenda, engine: sa.Engine) -> bool:
        """Claim a trial and train it; False when none is free."""

        def is_given_up(timeout_s: float) -> bool:
            self._be_seen(engine)  # who is alone on the device may be so for hours
            return self._signals.wait(timeout_s)

        with self._lock.hold(alone=False, is_given_up=is_given_up) as is_held:
            found = self._claim(agenda) if is_held else None
            if found is None:
                return False
            session, claim, is_alone = found
            if not is_alone:
                self._train(session, claim)
        if is_alone:
            try:
                self._train(session, claim, is_alone=True)
            finally:
                self._office.has_lone = False
        return True

    def _claim(self, agenda: Agenda) -> tuple[Session, Claim, bool] | None:
        """Claim a trial, and say whether it is to be alone on the device.

        Among several workers of a process one is that has lost its worker again and again:
        perhaps its network ended the process, and did so to the trials beside it.
        """
        with self._office.claiming:
            if self._office.has_lone:
                return None
            found = agenda.claim(self._name, self._lease_s, self._signals.is_gentle)
            if found is None:
                return None
            session, claim = found
            is_alone = claim.alone or (claim.num_lost > 1 and self._office.num_workers > 1)
            self._office.has_lone = is_alone
            return session, claim, is_alone

    def _be_seen(self, engine: sa.Engine) -> None:
        """Note that this worker is there although it has no trial, now and then."""
        if time.monotonic() >= self._seen_s + MAX_POLL_S:
            see_worker(engine, self._name, self._meter.measure())
            self._seen_s = time.monotonic()

    def _train(self, session: Session, claim: Claim, *, is_alone: bool = False) -> None:
        """Train one claimed trial, for itself on the device where it needs that."""
        try:
            with Lease(
                session.engine, claim, self._lease_s, self._signals, self._meter.measure
            ) as lease:
                if is_alone:
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
            with my_turn(), suppress(RuntimeError):  # of a GPU that is lost
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

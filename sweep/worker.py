"""A worker: a process on one device that claims trials until none is left.

Two things can end it early. A signal: SIGINT asks it to leave after the epoch, a second SIGINT or
a SIGTERM to leave at once; either way its trial goes back to the others with its checkpoint. And a
lost lease: when the database could not be reached for so long that another worker took the trial
over, this one drops it.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import sqlalchemy as sa
import torch

from storage import studies
from storage.claims import Claim, claim_trial, renew_claim
from storage.engine import open_engine, parse_url
from storage.errors import LostClaimError, StorageError
from storage.sweeps import count_trials, find_sweep, is_stop_requested
from storage.tables import check_tables
from sweep.config import SweepConfig
from sweep.data.selection import reopen_split
from sweep.errors import ConfigError, ConflictError
from sweep.judgement import is_failing
from sweep.plan import load_model
from sweep.session import Session
from sweep.trial import run_trial

logger = logging.getLogger(__name__)

LEASE_S = 60.0
POLL_S = 1.0


class Signals:
    """Listens for the signals that ask a worker to leave; the first gently, the next at once.

    Args:
        parent: Process whose end asks this one to leave gently, or None.
    """

    def __init__(self, parent: int | None = None) -> None:
        self._parent = parent
        self._gentle = threading.Event()
        self._immediate = threading.Event()

    def install(self) -> None:
        """Listen from now on; only the main thread may call this."""
        signal.signal(signal.SIGINT, self._receive)
        signal.signal(signal.SIGTERM, self._receive)

    def is_gentle(self) -> bool:
        """Say whether to leave after the epoch."""
        is_orphan = self._parent is not None and os.getppid() != self._parent
        return is_orphan or self._gentle.is_set()

    def is_immediate(self) -> bool:
        """Say whether to leave at once."""
        return self._immediate.is_set()

    def ask(self, *, at_once: bool = False) -> None:
        """Ask to leave after the epoch, as a SIGINT does, or at once, as a SIGTERM does."""
        if at_once:
            self._immediate.set()
        self._gentle.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a signal; True when one has come."""
        return self._gentle.wait(timeout_s)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.ask(at_once=number == signal.SIGTERM or self._gentle.is_set())


class Lease:
    """Renews a claim in a thread of its own while its trial is trained.

    A fault of the database does not end the thread: it tries again until the claim is lost.
    """

    def __init__(self, engine: sa.Engine, claim: Claim, lease_s: float, signals: Signals) -> None:
        self._engine = engine
        self._claim = claim
        self._lease_s = lease_s
        self._signals = signals
        self._done = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._thread.join()

    def is_gentle(self) -> bool:
        """Say whether the trial should be left after its epoch."""
        return self._signals.is_gentle() or self._lost.is_set()

    def is_immediate(self) -> bool:
        """Say whether the trial should be left at once."""
        return self._signals.is_immediate() or self._lost.is_set()

    def hold(self) -> None:
        """Renew the claim now.

        Raises:
            LostClaimError: when another worker took the trial over.
        """
        renew_claim(self._engine, self._claim, self._lease_s)

    def _renew(self) -> None:
        while not self._done.wait(self._lease_s / 3):
            try:
                self.hold()
            except LostClaimError:
                if not self._done.is_set():
                    self._lost.set()
                return
            except (sa.exc.SQLAlchemyError, StorageError) as exc:
                logger.warning("lease of slot %s not renewed yet: %s", self._claim.slot, exc)


@dataclass(frozen=True)
class WorkerOptions:
    """Where a worker works.

    Attributes:
        storage: Address of the database.
        sweep: Name of the sweep.
        artifacts: Folder of checkpoints, weights and pictures.
        device: `cpu`, `cuda` or `cuda:N`.
        num_threads: Of PyTorch on a CPU, or None for its own choice.
    """

    storage: str
    sweep: str
    artifacts: Path
    device: str = "cpu"
    num_threads: int | None = None


def run_worker(
    options: WorkerOptions, signals: Signals, report: Callable[[str], None] = logger.info
) -> int:
    """Train trials of a sweep until its budget is spent or the worker is asked to leave.

    Args:
        options: Where.
        signals: Say when to leave.
        report: Told in one line what happened to each trial.

    Returns:
        How many trials this worker finished.

    Raises:
        StorageError, DataError, ModelError, ConfigError, ConflictError: when the sweep cannot be
            worked on.
    """
    if options.num_threads is not None:
        if options.num_threads < 1:
            raise ConfigError(
                f"threads: got {options.num_threads}, expected at least 1; raise --threads"
            )
        torch.set_num_threads(options.num_threads)
    session = _open_session(options)
    name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
    lease_s = _read_lease_s()
    num_finished = 0
    while not signals.is_gentle() and not is_stop_requested(session.engine, session.sweep.id):
        counts = count_trials(session.engine, session.sweep.id)
        if is_failing(counts):
            report(f"stopped: {counts.failed} of {counts.finished} finished trials failed")
            break
        claim = claim_trial(session.engine, session.sweep.id, name, lease_s)
        if claim is None:
            if counts.running == 0 and counts.waiting == 0:
                break
            signals.wait(POLL_S)
            continue
        num_finished += _work_on(session, claim, lease_s, signals, report)
    return num_finished


def _work_on(
    session: Session,
    claim: Claim,
    lease_s: float,
    signals: Signals,
    report: Callable[[str], None],
) -> int:
    """Train one claimed trial; 1 when it was finished, 0 when it was given back or lost."""
    try:
        with Lease(session.engine, claim, lease_s, signals) as lease:
            verdict = run_trial(session, claim, lease)
    except LostClaimError as exc:
        report(str(exc))
        return 0
    if verdict is None:
        report(f"slot {claim.slot}: given back with its checkpoint")
        return 0
    report(
        f"slot {claim.slot}: {verdict.outcome}" + (f", {verdict.reason}" if verdict.reason else "")
    )
    return 1


def _read_lease_s() -> float:
    text = os.environ.get("SWEEP_LEASE_S", str(LEASE_S))
    try:
        lease_s = float(text)
    except ValueError:
        lease_s = math.nan
    if not 0 < lease_s < math.inf:
        raise ConfigError(
            f"SWEEP_LEASE_S: got {text!r}, expected seconds above 0; mend or unset it"
        )
    return lease_s


def _open_device(name: str) -> torch.device:
    """Make sure that a device is there before a trial is claimed for it.

    Raises:
        ConfigError: when it is not.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        reason = (str(exc) or repr(exc)).splitlines()[0]
        raise ConfigError(
            f"device: cannot be used, got {name!r} ({reason}), expected cpu, cuda or cuda:N that "
            "is there; change --device"
        ) from exc
    return device


def _open_session(options: WorkerOptions) -> Session:
    device = _open_device(options.device)
    url = parse_url(options.storage)
    engine = open_engine(url)
    check_tables(engine)
    sweep = find_sweep(engine, options.sweep)
    config = SweepConfig.from_json(sweep.config)
    architecture, digest = load_model(config.model)
    if digest != config.model_digest:
        raise ConflictError(
            f"model: {config.model} is another program than the sweep began with, got hash "
            f"{digest}, expected {config.model_digest}; bring the file back, or start a new sweep"
        )
    return Session(
        engine=engine,
        study_storage=studies.open_study_storage(url),
        sweep=sweep,
        config=config,
        architecture=architecture,
        split=reopen_split(config.data),
        device=device,
        artifacts=options.artifacts,
    )

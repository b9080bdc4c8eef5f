"""The lease of a trial, renewed by a thread while the trial is trained."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable

import sqlalchemy as sa

from sweep.errors import ConfigError
from sweep.machine.signals import Signals
from sweep.storage.claims import Claim, renew_claim
from sweep.storage.errors import LostClaimError, StorageError
from sweep.storage.workers import Usage

logger = logging.getLogger(__name__)

LEASE_S = 60.0
FIRST_S = 2.0
"""After which it is renewed first, so that it is soon seen what a worker takes."""


def read_lease_s() -> float:
    """Read for how long a claim holds without being renewed: `SWEEP_LEASE_S`, or LEASE_S.

    Raises:
        ConfigError: when the variable is no time.
    """
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


class Lease:
    """Renews a claim in a thread of its own while its trial is trained.

    A fault of the database does not end the thread: it tries again until the claim is lost.

    Args:
        measure: Measures what the worker takes, which is stored with it; None where not now.
    """

    def __init__(
        self,
        engine: sa.Engine,
        claim: Claim,
        lease_s: float,
        signals: Signals,
        measure: Callable[[], Usage | None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._claim = claim
        self._lease_s = lease_s
        self._signals = signals
        self._measure = measure
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

    def wait(self, timeout_s: float) -> bool:
        """Wait for a reason to leave; True when there is one."""
        return self._signals.wait(timeout_s) or self._lost.is_set()

    def hold(self) -> None:
        """Renew the claim now.

        Raises:
            LostClaimError: when another worker took the trial over.
        """
        renew_claim(self._engine, self._claim, self._lease_s)

    def _renew(self) -> None:
        wait_s = min(FIRST_S, self._lease_s / 3)
        while not self._done.wait(wait_s):
            wait_s = self._lease_s / 3
            try:  # measured here, beside the training: a GPU's driver takes a while to answer
                renew_claim(self._engine, self._claim, self._lease_s, self._measure())
            except LostClaimError:
                if not self._done.is_set():
                    self._lost.set()
                return
            except (sa.exc.SQLAlchemyError, StorageError) as exc:
                logger.warning("lease of slot %s not renewed yet: %s", self._claim.slot, exc)

"""What a worker does next: the sweeps it may work on, opened once each, in fair turn."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
import torch
from optuna.storages import BaseStorage

from sweep.errors import SweepError
from sweep.machine.turns import my_turn
from sweep.search.judgement import is_failing
from sweep.storage.claims import Claim, claim_trial
from sweep.storage.flatness import end_flat
from sweep.storage.sweeps import Sweep, count_trials, list_open_sweeps
from sweep.trial.retention import drop_leftovers
from sweep.trial.session import Session, Splits, open_session, renew_session
from sweep.worker.flatness import find_flatness

logger = logging.getLogger(__name__)

SHUN_S = 60.0
"""For how long a worker leaves a sweep alone whose files it does not have."""


class Agenda:
    """The sweeps that a worker may work on.

    Args:
        sweep: Name of the only sweep to work on, or None for all.
        splits: What other workers of this process have opened, and open.
        say: Told in one line why a sweep is not worked on.
    """

    def __init__(
        self,
        engine: sa.Engine,
        study_storage: BaseStorage,
        sweep: str | None,
        device: torch.device,
        artifacts: Path,
        say: Callable[[str], None],
        splits: Splits | None = None,
    ) -> None:
        self._engine = engine
        self._study_storage = study_storage
        self._name = sweep
        self._device = device
        self._artifacts = artifacts
        self._splits = {} if splits is None else splits
        self._say = say
        self._sessions: dict[int, Session] = {}
        self._shunned_s: dict[int, float] = {}
        self._said: set[str] = set()
        self._judged: dict[int, int] = {}
        self.is_done = False
        """Whether there was nothing left to wait for when a trial was last asked for."""

    def claim(
        self, worker: str, lease_s: float, is_given_up: Callable[[], bool]
    ) -> tuple[Session, Claim] | None:
        """Claim a trial of the sweep whose turn it is.

        Args:
            is_given_up: Whether the worker is to leave: opening a sweep's events may take long.

        Returns:
            What the trial needs, and the claim; None when no trial is free now.

        Raises:
            SweepError: when the only sweep to work on cannot be worked on here.
        """
        self.is_done = True
        open_sweeps = list_open_sweeps(self._engine)
        self._close_all_but({sweep.id for sweep in open_sweeps})
        for sweep in open_sweeps:
            session = self._open(sweep)
            if session is None:
                continue
            self.is_done = False
            if is_given_up():
                return None
            if sweep.stops_when_flat and sweep.flat is None:
                self._end_if_flat(session)
            claim = claim_trial(self._engine, sweep.id, worker, lease_s, session.promotion)
            if claim is not None:
                return session, claim
        return None

    def _close_all_but(self, open_ids: set[int]) -> None:
        """Close the sweeps of which nothing is left to do, and leave no litter of theirs."""
        for sweep_id in self._sessions.keys() - open_ids:
            drop_leftovers(self._sessions.pop(sweep_id))

    def _open(self, sweep: Sweep) -> Session | None:
        """Open a sweep, or say why it is not worked on."""
        if self._name not in (None, sweep.name):
            return None
        counts = count_trials(self._engine, sweep.id)
        if is_failing(counts):
            self._say_once(
                f"stopped: {counts.failed} of {counts.finished} finished trials failed", sweep
            )
            return None
        if time.monotonic() < self._shunned_s.get(sweep.id, 0.0):
            return None
        try:
            session = self._sessions.get(sweep.id) or self._open_session(sweep)
        except SweepError as exc:
            if self._name is not None:
                raise
            self._shunned_s[sweep.id] = time.monotonic() + SHUN_S
            self._say_once(f"not worked on here: {exc}", sweep)
            return None
        renewed = self._sessions[sweep.id] = renew_session(session, sweep)
        if sweep.version > session.sweep.version:
            said = "; ".join(renewed.config.changes[-1].said)
            self._say_once(f"version {sweep.version} from the next trial on: {said}", sweep)
        return renewed

    def _open_session(self, sweep: Sweep) -> Session:
        with my_turn():
            return open_session(
                self._engine,
                self._study_storage,
                sweep,
                self._device,
                self._artifacts,
                self._splits,
            )

    def _end_if_flat(self, session: Session) -> None:
        """End a search whose trials that nobody has begun are not expected to pay."""
        counts = count_trials(self._engine, session.sweep.id)
        num_begun = counts.budget - counts.waiting
        if not counts.waiting or self._judged.get(session.sweep.id) == num_begun:
            return
        self._judged[session.sweep.id] = num_begun
        reason = find_flatness(session)
        if reason is None:
            return
        first_slot = len(session.config.starting_points)
        if num_gone := end_flat(self._engine, session.sweep.id, reason, first_slot):
            self._say(f"flat: {reason}; {num_gone} trials are not begun")

    def _say_once(self, text: str, sweep: Sweep) -> None:
        line = text if self._name else f"{sweep.name}: {text}"
        if line not in self._said:
            self._said.add(line)
            self._say(line)

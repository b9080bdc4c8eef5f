"""When a trial is given up that loses its worker again and again: it fails, and others go on."""

from __future__ import annotations

from sweep.storage.claims import Claim
from sweep.storage.sweeps import FAILED
from sweep.trial.verdict import Verdict

MAX_LOST_ATTEMPTS = 4
"""After so many attempts that were lost without an epoch, a trial fails: it kills its workers."""
MAX_OWN_ENDINGS = 2
"""Fewer are enough where the process ended of itself: that is the network's doing, not chance."""


def give_up(claim: Claim) -> Verdict | None:
    """Give the verdict on a trial that has lost too many workers; None while it may be tried."""
    endings = claim.own_endings
    if len(endings) >= MAX_OWN_ENDINGS:
        return Verdict(
            FAILED,
            "error",
            f"its network ended its process ({endings[-1]}) {len(endings)} times before the trial "
            "came an epoch further; the log of the worker may say more",
        )
    if claim.num_lost >= MAX_LOST_ATTEMPTS:
        return Verdict(
            FAILED,
            "lost",
            f"its worker was killed or lost {claim.num_lost} times in a row before the trial came "
            "an epoch further",
        )
    return None

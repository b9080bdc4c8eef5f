"""Which trial goes on: trials pause at rungs, and the best of those that came so far are promoted.

Successive halving without waiting for a rung to be full (Li et al. 2018, arXiv:1810.05934, ASHA),
with a promotion that is no verdict on the others: they keep their checkpoints, and are ended only
when no trial that is still to come could let them go on. So each has an account of its end.

Those that went on count: ASHA's rule lets on whatever is among the best share when it comes, and
where a search gets better with each trial that is nearly all of them (30 of 50, measured).

Nothing here knows a database or a network: whoever wants to replay a sweep calls the same function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.storage.standings import NextTrial, Standing
from sweep.storage.sweeps import PAUSED, PRUNED, RUNNING, WAITING

__all__ = ["NextTrial", "Standing", "choose_next_trial", "list_rungs"]

FATAL_OUTCOMES = ("dead", "diverged")
"""Ended early so, a trial is the worst of each rung that it reached, and of the next one."""
LARGEST_SHARE = 9
"""The first rung is at no less than one of so many parts of a trial: what is earlier ranks badly
(benchmarks/search: the rank correlation with the end after a quarter and after an eighth)."""


def list_rungs(num_epochs: int, grace_epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """List the epochs at which trials are compared.

    Args:
        num_epochs: Of a whole trial.
        grace_epochs: Which each trial may train.
        reduction_factor: From one rung to the one before.

    Returns:
        They rise; the last one is the end of a trial. Only that where the grace leaves no other.
    """
    rungs = [num_epochs]
    share = num_epochs / reduction_factor
    while share >= max(1, grace_epochs, num_epochs / LARGEST_SHARE):
        rungs.append(math.ceil(share))
        share /= reduction_factor
    return tuple(sorted(set(rungs)))


@dataclass(frozen=True)
class _Rung:
    """The trials at one rung.

    Attributes:
        reached: Values and slots of those that reached it, and of those that died on the way to it.
        paused: Those of them that are paused here, the best first.
        num_coming: How many more may still reach it.
        num_promoted: How many of them went on already.
    """

    reached: Sequence[tuple[float, int]]
    paused: Sequence[tuple[float, int]]
    num_coming: int
    num_promoted: int
    reduction_factor: int

    @property
    def num_free(self) -> int:
        """How many more may go on now: rounded up once nobody else is to come."""
        share = len(self.reached) / self.reduction_factor
        quota = math.floor(share) if self.num_coming else math.ceil(share)
        return max(0, quota - self.num_promoted)

    @property
    def num_ever(self) -> int:
        """How many more may ever go on."""
        return max(0, self.largest_quota - self.num_promoted)

    @property
    def largest_quota(self) -> int:
        """How many may ever go on."""
        return math.ceil((len(self.reached) + self.num_coming) / self.reduction_factor)


def choose_next_trial(
    standings: Sequence[Standing],
    rungs: Sequence[int],
    reduction_factor: int,
    *,
    kept_slot: int | None = None,
) -> NextTrial | None:
    """Choose what a worker is to do next.

    Promoted is, at the highest rung first, the best paused trial while fewer went on than the share
    of all that reached the rung. A paused one that can no longer be promoted is ended. Else the
    first waiting trial begins.

    Args:
        standings: Of all trials of the sweep.
        rungs: As `list_rungs` gives them.
        reduction_factor: One of so many goes on.
        kept_slot: Of a trial that goes on whatever its rank.

    Returns:
        The trial; None where there is none before the running ones are further, or ever.
    """
    waiting = [standing.slot for standing in standings if standing.state == WAITING]
    begun = [standing for standing in standings if standing.state != WAITING]
    halts = [
        _gather(begun, len(waiting), index, reduction_factor) for index in range(len(rungs) - 1)
    ]
    for index, rung in reversed(list(enumerate(halts))):
        free = rung.paused[: min(1, rung.num_free)]
        for _value, slot in free or [one for one in rung.paused if one[1] == kept_slot]:
            return NextTrial(slot, rungs[index + 1])
    for index, rung in enumerate(halts):
        for beaten in rung.paused[rung.num_ever :]:
            return NextTrial(beaten[1], rungs[index], _explain(rung, beaten, rungs[index]))
    return NextTrial(min(waiting), rungs[0]) if waiting else None


def _gather(
    begun: Sequence[Standing], num_waiting: int, index: int, reduction_factor: int
) -> _Rung:
    """Gather the trials at one rung; who died on the way leaves its place to another."""
    reached: list[tuple[float, int]] = []
    paused: list[tuple[float, int]] = []
    num_coming, num_promoted = num_waiting, 0
    for standing in begun:
        values, state = standing.values, standing.state
        num_values = len(values)
        if state == PRUNED and has_died(standing):
            if num_values >= index:
                reached.append((math.inf, standing.slot))
                num_promoted += num_values > index + 1
        elif num_values > index:
            reached.append((values[index], standing.slot))
            if num_values > index + 1 or state == RUNNING:
                num_promoted += 1
            elif state == PAUSED:
                paused.append(reached[-1])
        elif state in (RUNNING, PAUSED):
            num_coming += 1
    return _Rung(reached, sorted(paused), num_coming, num_promoted, reduction_factor)


def has_died(standing: Standing) -> bool:
    """Say whether a trial died on its way; one that came to its end counts by its values."""
    return standing.state == PRUNED and standing.outcome in FATAL_OUTCOMES


def _explain(rung: _Rung, beaten: tuple[float, int], epoch: int) -> str:
    """Say why a trial never goes on."""
    rank = sum(one <= beaten for one in rung.reached)
    later = f" and {rung.num_coming} to come" if rung.num_coming else ""
    return (
        f"ranked {rank} of {len(rung.reached)}{later} after epoch {epoch}, "
        f"of which at most {rung.largest_quota} may go on and {rung.num_promoted} did"
    )

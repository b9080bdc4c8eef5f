"""Which trial goes on: trials pause at rungs, and the best of those that came so far are promoted.

Successive halving without waiting for a rung to be full (Li et al. 2018, arXiv:1810.05934, ASHA),
with a promotion that is no verdict on the others: they keep their checkpoints, and are ended only
when no trial that is still to come could let them go on. So each has an account of its end.

Those that went on count: ASHA's rule lets on whatever is among the best share when it comes, and
where a search gets better with each trial that is nearly all of them (30 of 50, measured). But the
best of all at a rung is never ended there, though it came when others had taken all the room.

Nothing here knows a database or a network: whoever wants to replay a sweep calls the same function.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from sweep.storage.standings import NextTrial, Standing
from sweep.storage.sweeps import PAUSED, PRUNED, RUNNING, WAITING

__all__ = ["Halving", "NextTrial", "Standing", "choose_next_trial", "list_rungs"]

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


@dataclass
class _Rung:
    """The trials at one rung.

    Attributes:
        reached: Values of those that reached it, and of those that died on the way to it, by slot.
        paused: Values of those of them that are paused here, by slot.
        num_coming: How many more may still reach it.
        num_promoted: How many of them went on already.
    """

    reduction_factor: int
    reached: dict[int, float] = field(default_factory=dict)
    paused: dict[int, float] = field(default_factory=dict)
    num_coming: int = 0
    num_promoted: int = 0

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

    def has_late_leader(self) -> bool:
        """Say whether the best of all that reached it is paused, and others took all the room.

        Of equal ones it is the first, as everywhere: else all of those would go on.
        """
        if self.num_ever:
            return False
        best, slot = min(_rank(self.reached))
        return best < math.inf and slot in self.paused

    def count(self, standing: Standing, index: int, one: int) -> None:
        """Count a trial at the rung of an index, by 1; or by -1 no more, as it was counted.

        Who died on the way leaves its place to another.
        """
        values, state = standing.values, standing.state
        num_values = len(values)
        if state == PRUNED and has_died(standing):
            if num_values >= index:
                _note(self.reached, standing.slot, math.inf, one)
                self.num_promoted += one * (num_values > index + 1)
        elif num_values > index:
            _note(self.reached, standing.slot, values[index], one)
            if num_values > index + 1 or state == RUNNING:
                self.num_promoted += one
            elif state == PAUSED:
                _note(self.paused, standing.slot, values[index], one)
        elif state in (RUNNING, PAUSED, WAITING):
            self.num_coming += one


def _note(values: dict[int, float], slot: int, value: float, one: int) -> None:
    """Put a trial's value among others, or take it out."""
    if one > 0:
        values[slot] = value
    else:
        del values[slot]


class Halving:
    """The rule of one sweep: what it was told of a trial is counted until it is told another thing.

    What it chooses follows from what it is told last, as `choose_next_trial` says.

    Args:
        rungs: As `list_rungs` gives them.
        reduction_factor: One of so many goes on.
        kept_slot: Of a trial that goes on whatever its rank.
    """

    def __init__(
        self, rungs: Sequence[int], reduction_factor: int, *, kept_slot: int | None = None
    ) -> None:
        self._epochs = rungs
        self._kept_slot = kept_slot
        self._told: Sequence[Standing] = ()
        self._waiting: set[int] = set()
        self._rungs = [_Rung(reduction_factor) for _ in rungs[:-1]]

    def __call__(self, standings: Sequence[Standing]) -> NextTrial | None:
        """Choose what a worker is to do next, where the trials of the sweep stand so."""
        pairs = zip_longest(self._told, standings)
        changed = [pair for pair in pairs if pair[0] is not pair[1]]
        self._told = tuple(standings)
        for one, side in ((-1, 0), (1, 1)):  # one that only moved is taken out, then put in
            for pair in changed:
                if (standing := pair[side]) is not None:
                    self._count(standing, one)
        return self._choose()

    def _count(self, standing: Standing, one: int) -> None:
        if standing.state == WAITING:
            self._waiting ^= {standing.slot}
        for index, rung in enumerate(self._rungs):
            rung.count(standing, index, one)

    def _choose(self) -> NextTrial | None:
        halts = list(zip(self._epochs, self._epochs[1:], self._rungs, strict=False))
        for _epoch, next_epoch, rung in reversed(halts):
            if rung.paused and (rung.num_free or rung.has_late_leader()):
                return NextTrial(min(_rank(rung.paused))[1], next_epoch)
            if self._kept_slot is not None and self._kept_slot in rung.paused:
                return NextTrial(self._kept_slot, next_epoch)
        for epoch, _next_epoch, rung in halts:
            if len(rung.paused) > rung.num_ever:
                beaten = sorted(_rank(rung.paused))[rung.num_ever]
                return NextTrial(beaten[1], epoch, _explain(rung, beaten, epoch))
        if not self._waiting:
            return None
        return choose_first(self._waiting, self._epochs, self._kept_slot)


def choose_first(
    waiting: Collection[int], rungs: Sequence[int], kept_slot: int | None
) -> NextTrial:
    """Choose which trial begins: first the one that goes on in any case, without a pause.

    What the others are worth is compared with it, and its verdict is the first of the sweep. The
    others begin in turn.
    """
    if kept_slot is not None and kept_slot in waiting:
        return NextTrial(kept_slot, rungs[-1])
    return NextTrial(min(waiting), rungs[0])


def choose_next_trial(
    standings: Sequence[Standing],
    rungs: Sequence[int],
    reduction_factor: int,
    *,
    kept_slot: int | None = None,
) -> NextTrial | None:
    """Choose what a worker is to do next.

    Promoted is, at the highest rung first, the best paused trial while fewer went on than the share
    of all that reached the rung, or may ever, if it is the best of all these. A paused one that can
    no longer be promoted is ended. Else a waiting trial begins, as `choose_first` says.

    Args:
        standings: Of all trials of the sweep.
        rungs: As `list_rungs` gives them.
        reduction_factor: One of so many goes on.
        kept_slot: Of a trial that goes on whatever its rank.

    Returns:
        The trial; None where there is none before the running ones are further, or ever.
    """
    return Halving(rungs, reduction_factor, kept_slot=kept_slot)(standings)


def _rank(values: Mapping[int, float]) -> Iterator[tuple[float, int]]:
    """Give values with their slots, by which they are ranked."""
    return zip(values.values(), values, strict=True)


def has_died(standing: Standing) -> bool:
    """Say whether a trial died on its way; one that came to its end counts by its values."""
    return standing.state == PRUNED and standing.outcome in FATAL_OUTCOMES


def _explain(rung: _Rung, beaten: tuple[float, int], epoch: int) -> str:
    """Say why a trial never goes on; a late leader did where there was no room."""
    rank = sum(one <= beaten for one in _rank(rung.reached))
    later = f" and {rung.num_coming} to come" if rung.num_coming else ""
    quota, promoted = rung.largest_quota, rung.num_promoted
    room = (
        f"at most {quota} may go on and {promoted} did"
        if promoted <= quota
        else f"{promoted} went on, where there is room for {quota}"
    )
    return f"ranked {rank} of {len(rung.reached)}{later} after epoch {epoch}, of which {room}"

"""The sampler of this project: each trial asks an arm of `sweep.search.proposal` where to look.

It learns from every trial within the space that has shown an epoch: complete, pruned, paused, dead
or in training. What it proposes is stored with the trial before anything of it is used, so that a
worker that takes the trial over draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.search.coordinates import CoordinateSampler, find_coordinate, find_value
from sweep.search.draw import Draw, Outlook
from sweep.search.expected_ends import expect_ends
from sweep.search.proposal import Prospect, ask_model, propose
from sweep.search.seen import NUM_FIRST, Arm, Seen
from sweep.storage.studies import SLOT_KEY, keep_proposal, read_study_trials
from sweep.storage.study_cache import get_row_id

NUM_TRIES = 20
"""To find a configuration that no trial has: a space of few may have no other."""
PROPOSAL_KEY = "sweep:proposal"

MOST_HELD = 50_000
"""Trials of which is kept what was taken from them."""


@dataclass(frozen=True)
class _Taken:
    """What the sampler looks at of a trial.

    Attributes:
        identity: What it has in common with others of the same configuration.
        place: Their coordinates; a setting tuned by hand may lie outside the space.
        curve: Of its epochs.
        arm: Which proposed it.
    """

    identity: tuple[Any, ...]
    place: Sequence[float]
    curve: Sequence[float]
    arm: Arm | None
    is_inside: bool


_Looked = tuple[FrozenTrial, _Taken]

_held: dict[int, tuple[FrozenTrial, tuple[tuple[str, ...], Outlook], _Taken]] = {}
"""By a trial's row, with the trial as it was read: one that has changed since, or is of another
database, is another object."""


class MixedSampler(CoordinateSampler):
    """Proposes a point for one trial."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._found: tuple[int, Mapping[str, float]] | None = None

    def find_point(self, study: Study, trial: FrozenTrial) -> Mapping[str, float]:
        """Give what was proposed for the trial, or propose it now; it is asked for each value."""
        if self._found is None or self._found[0] != trial.number:
            proposal = trial.system_attrs.get(PROPOSAL_KEY)
            if proposal is None:
                proposal = self._propose(study, trial)
                keep_proposal(study, trial, PROPOSAL_KEY, proposal)
            self._found = trial.number, proposal["point"]
        return self._found[1]

    def _propose(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        draw = self._draw
        others = [one for one in self._list_inside(study) if one[0].number != trial.number]
        seen, center_D = self._see_with_center(others)
        rng = np.random.default_rng(draw.seed)
        taken = {one.identity for _other, one in others}
        for _try in range(NUM_TRIES):  # a shift within whole numbers may end where it began
            u_D, arm = propose(seen, center_D, rng)
            point = dict(zip(draw.names, map(float, u_D), strict=True))
            if not others or _identify(self._place(point, others[0][0])) not in taken:
                break
        return {"arm": arm, "point": point}

    def ask_prospects(self, study: Study, count: int) -> list[Prospect]:
        """Ask a model what a further trial may gain: now, without the last trial, the last two, ...

        Args:
            count: How many of these; fewer are given where fewer trials are known than it needs.
        """
        trials, prospects = self._list_inside(study), []
        for end in range(len(trials), max(0, len(trials) - count), -1):
            seen, center_D = self._see_with_center(trials[:end])
            if np.isfinite(seen.value_N).sum() < NUM_FIRST or not seen.u_ND.shape[1]:
                break
            prospects.append(ask_model(seen, center_D, np.random.default_rng(self._draw.seed)))
        return prospects

    def _list_inside(self, study: Study) -> list[_Looked]:
        """List the trials within the space that did not fail."""
        return [
            (trial, taken)
            for trial in read_study_trials(study)
            if trial.state != TrialState.FAIL and (taken := self._take(trial)).is_inside
        ]

    def _see_with_center(
        self, trials: Sequence[_Looked]
    ) -> tuple[Seen, NDArray[np.float64] | None]:
        """See what is known of trials, and where the recommended point is, if it is one of them."""
        seen, slot = self._see(trials), self._draw.outlook.center_slot
        centers = [
            u_D
            for u_D, (trial, _taken) in zip(seen.u_ND, trials, strict=True)
            if trial.system_attrs.get(SLOT_KEY) == slot
        ]
        return seen, centers[0] if centers else None

    def _place(self, point: Mapping[str, float], alike: FrozenTrial) -> tuple[Any, ...]:
        """Give a point's values, in the distributions of another trial."""
        return tuple(find_value(point[n], alike.distributions[n]) for n in self._draw.names)

    def see(self, trials: Sequence[FrozenTrial]) -> Seen:
        """See what is known of other trials of the study."""
        return self._see([(trial, self._take(trial)) for trial in trials])

    def _see(self, trials: Sequence[_Looked]) -> Seen:
        names, outlook = self._draw.names, self._draw.outlook
        found = [taken for _trial, taken in trials]
        u_ND = np.array([one.place for one in found]).reshape(len(trials), len(names))
        is_known = [bool(one.curve) or trial.state.is_finished() for trial, one in trials]
        value_N, doubt_N = np.full(len(trials), math.nan), np.zeros(len(trials))
        if any(is_known):
            known = [one.curve for one, is_one in zip(found, is_known, strict=True) if is_one]
            ends = expect_ends(known, outlook.num_epochs, outlook.worst)
            value_N[is_known], doubt_N[is_known] = ends.value_N, ends.doubt_N
        return Seen(u_ND, value_N, doubt_N, [one.arm for one in found])

    def _take(self, trial: FrozenTrial) -> _Taken:
        """Take from a trial what is looked at; from one that does not run that is done once."""
        draw = self._draw
        of = tuple(draw.names), draw.outlook
        held = _held.get(get_row_id(trial))
        if held is not None and held[0] is trial and held[1] == of:
            return held[2]
        identity = _identify(tuple(trial.params.get(name) for name in draw.names))
        has_all = all(name in trial.params for name in draw.names)
        place = (
            [find_coordinate(trial.params[n], trial.distributions[n]) for n in draw.names]
            if has_all
            else []
        )
        arm = trial.system_attrs.get(PROPOSAL_KEY, {}).get("arm")
        is_inside = has_all and all(0.0 <= u <= 1.0 for u in place)
        taken = _Taken(identity, place, draw.outlook.read_curve(trial), arm, is_inside)
        if trial.state != TrialState.RUNNING:
            if len(_held) >= MOST_HELD:
                _held.clear()
            _held[get_row_id(trial)] = trial, of, taken
        return taken


def _identify(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give what two configurations that are the same have in common.

    A value that comes back from its coordinate may differ in its last digits.
    """
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in values)

"""The sampler of this project: each trial asks an arm of `sweep.search.proposal` where to look.

It learns from every trial within the space that has shown an epoch: complete, pruned, paused, dead
or in training. What it proposes is stored with the trial before anything of it is used, so that a
worker that takes the trial over draws the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from sweep.search.coordinates import CoordinateSampler
from sweep.search.draw import Draw
from sweep.search.proposal import Prospect, ask_model, propose
from sweep.search.seen import NUM_FIRST
from sweep.search.trial_table import PROPOSAL_KEY, TrialTable, open_table
from sweep.storage.studies import keep_proposal, read_study_trials

NUM_TRIES = 20
"""To find a configuration that no trial has: a space of few may have no other."""


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
        draw, table = self._draw, self._open_table(study)
        row_N = table.list_inside(but=trial.number)
        seen, center_D = table.see(row_N), table.find_center(row_N)
        rng = np.random.default_rng(draw.seed)
        for _try in range(NUM_TRIES):  # a shift within whole numbers may end where it began
            u_D, arm = propose(seen, center_D, rng)
            point = dict(zip(draw.names, map(float, u_D), strict=True))
            if not table.has(point, row_N):
                break
        return {"arm": arm, "point": point}

    def ask_prospects(self, study: Study, count: int) -> list[Prospect]:
        """Ask a model what a further trial may gain: now, without the last trial, the last two, ...

        Args:
            count: How many of these; fewer are given where fewer trials are known than it needs.
        """
        table, prospects = self._open_table(study), []
        whole_N = table.list_inside()
        for end in range(len(whole_N), max(0, len(whole_N) - count), -1):
            seen, center_D = table.see(whole_N[:end]), table.find_center(whole_N[:end])
            if np.isfinite(seen.value_N).sum() < NUM_FIRST or not seen.u_ND.shape[1]:
                break
            prospects.append(ask_model(seen, center_D, np.random.default_rng(self._draw.seed)))
        return prospects

    def _open_table(self, study: Study) -> TrialTable:
        draw = self._draw
        return open_table(draw.names, draw.outlook, read_study_trials(study))

"""Random and quasi-random points for many workers: each slot of the budget has one of its own.

The slot decides where the point lies, before the first hyperparameter is asked for. So no two slots
share one, and a trial taken over has its own again, even after a worker that was killed between
two hyperparameters: a sampler that draws one number after the other would go on with the first.
Optuna's QMC sampler counts its points in the study and promises each "at least once": eight workers
were seen to draw 47 different points in 64 trials.
"""

# ruff: noqa: ARG002 (the arguments are Optuna's)
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from sweep.search.coordinates import CoordinateSampler


class PointSampler(CoordinateSampler):
    """Places each of a study's parameters by the coordinates of a point that is known."""

    def __init__(self, point: Mapping[str, float]) -> None:
        self._point = point

    def find_point(self, study: Study, trial: FrozenTrial) -> Mapping[str, float]:
        """Give the point."""
        return self._point


def draw_random_point(names: Sequence[str], seed: int) -> dict[str, float]:
    """Draw a point at random.

    Args:
        names: The study's parameters; the order decides which coordinate is whose.
    """
    return dict(zip(names, np.random.default_rng(seed).random(len(names)).tolist(), strict=True))


def draw_sobol_point(names: Sequence[str], index: int, seed: int) -> dict[str, float]:
    """Draw a point of a scrambled Sobol sequence (Owen 1998, J. Complexity 14:466).

    Args:
        names: The study's parameters; the order decides which coordinate is whose.
        index: Of the point in the sequence, from 0.
    """
    from scipy.stats import qmc  # a second of every process otherwise

    if not names:
        return {}
    sequence = qmc.Sobol(len(names), scramble=True, seed=seed)
    if index:  # SciPy cannot go forward by nothing
        sequence.fast_forward(index)
    return dict(zip(names, sequence.random(1)[0].tolist(), strict=True))

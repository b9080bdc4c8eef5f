"""Quasi-random points for many workers: each slot of the budget has a point of its own.

Optuna's QMC sampler counts its points in the study and promises each "at least once": eight workers
were seen to draw 47 different points in 64 trials. Here the slot says which point of the sequence
is meant, so that no two slots share one and a trial taken over draws its own again.
"""

# ruff: noqa: ARG002 (the arguments are Optuna's)
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.stats import qmc


class SobolSampler(BaseSampler):
    """Draws one point of a scrambled Sobol sequence (Owen 1998, J. Complexity 14:466).

    Args:
        names: The study's parameters; the order decides which coordinate is whose.
        index: Of the point in the sequence, from 0.
        seed: Of the scrambling.
    """

    def __init__(self, names: Sequence[str], index: int, seed: int) -> None:
        sequence = qmc.Sobol(max(1, len(names)), scramble=True, seed=seed)
        if index:  # SciPy cannot go forward by nothing
            sequence.fast_forward(index)
        self._point = dict(zip(names, sequence.random(1)[0], strict=False))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Give no parameters: each has its coordinate."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose nothing at once."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Place a parameter by its coordinate."""
        return place(float(self._point[param_name]), param_distribution)


def place(coordinate: float, distribution: BaseDistribution) -> Any:
    """Give the value of a distribution at a coordinate.

    Args:
        coordinate: From 0 to below 1; equal parts of it mean equally likely values.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(coordinate * len(distribution.choices))]
    if isinstance(distribution, FloatDistribution):
        return _scale(coordinate, distribution.low, distribution.high, distribution.log)
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        if distribution.log:
            value = _scale(coordinate, low - 0.5, high + 0.5, is_log=True)
            return min(max(round(value), low), high)
        return low + step * int(coordinate * ((high - low) // step + 1))
    raise TypeError(f"sampler: got {distribution!r}, expected a float, an int or a choice")


def _scale(coordinate: float, low: float, high: float, is_log: bool) -> float:
    if not is_log:
        return low + coordinate * (high - low)
    return min(max(low * math.exp(coordinate * math.log(high / low)), low), high)

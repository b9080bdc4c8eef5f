"""Random and quasi-random points for many workers: each slot of the budget has one of its own.

The slot decides where the point lies, before the first hyperparameter is asked for. So no two slots
share one, and a trial taken over has its own again, even after a worker that was killed between
two hyperparameters: a sampler that draws one number after the other would go on with the first.
Optuna's QMC sampler counts its points in the study and promises each "at least once": eight workers
were seen to draw 47 different points in 64 trials.
"""

# ruff: noqa: ARG002 (the arguments are Optuna's)
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class PointSampler(BaseSampler):
    """Places each of a study's parameters by its coordinate.

    Args:
        point: Coordinates from 0 to below 1, by the parameters' names.
    """

    def __init__(self, point: Mapping[str, float]) -> None:
        self._point = point

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
        return find_value(self._point[param_name], param_distribution)


def draw_random_point(names: Sequence[str], seed: int) -> dict[str, float]:
    """Draw a point at random.

    Args:
        names: The study's parameters; the order decides which coordinate is whose.
        seed: Of this point.
    """
    return dict(zip(names, np.random.default_rng(seed).random(len(names)).tolist(), strict=True))


def draw_sobol_point(names: Sequence[str], index: int, seed: int) -> dict[str, float]:
    """Draw a point of a scrambled Sobol sequence (Owen 1998, J. Complexity 14:466).

    Args:
        names: The study's parameters; the order decides which coordinate is whose.
        index: Of the point in the sequence, from 0.
        seed: Of the scrambling.
    """
    from scipy.stats import qmc  # a second of every process otherwise

    if not names:
        return {}
    sequence = qmc.Sobol(len(names), scramble=True, seed=seed)
    if index:  # SciPy cannot go forward by nothing
        sequence.fast_forward(index)
    return dict(zip(names, sequence.random(1)[0].tolist(), strict=True))


def find_value(coordinate: float, distribution: BaseDistribution) -> Any:
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

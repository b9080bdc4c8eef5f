"""Coordinates: a point of a search space as numbers from 0 to 1, a coordinate for each parameter.

Equal parts of a coordinate are equally likely values, on the parameter's own scale.
"""

# ruff: noqa: ARG002 (the arguments are Optuna's)
from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
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


class CoordinateSampler(BaseSampler):
    """Places each of a study's parameters by its coordinate in the point of its trial."""

    @abstractmethod
    def find_point(self, study: Study, trial: FrozenTrial) -> Mapping[str, float]:
        """Find a trial's point: coordinates from 0 to below 1, by the parameters' names."""

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
        return find_value(self.find_point(study, trial)[param_name], param_distribution)


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


def find_coordinate(value: Any, distribution: BaseDistribution) -> float:
    """Give the coordinate of a value: `find_value` gives the value back.

    Args:
        value: Of the distribution; a number beyond its ends has a coordinate beyond 0 or 1.
    """
    if isinstance(distribution, CategoricalDistribution):
        return (float(distribution.to_internal_repr(value)) + 0.5) / len(distribution.choices)
    if isinstance(distribution, FloatDistribution):
        return _unscale(value, distribution.low, distribution.high, distribution.log)
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        if distribution.log:
            return _unscale(value, low - 0.5, high + 0.5, is_log=True)
        return ((float(value) - low) / step + 0.5) / ((high - low) // step + 1)
    raise TypeError(f"sampler: got {distribution!r}, expected a float, an int or a choice")


def _unscale(value: float, low: float, high: float, is_log: bool) -> float:
    if is_log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _scale(coordinate: float, low: float, high: float, is_log: bool) -> float:
    if not is_log:
        return low + coordinate * (high - low)
    return min(max(low * math.exp(coordinate * math.log(high / low)), low), high)

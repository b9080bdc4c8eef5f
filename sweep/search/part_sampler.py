"""A sampler that sees the trials of a study otherwise: a part of them, or in another space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from sweep.config import MODEL


class PartSampler(BaseSampler):
    """Has another sampler choose, to which the study is shown otherwise."""

    def __init__(self, sampler: BaseSampler, show: Callable[[Study], Study]) -> None:
        self._sampler = sampler
        self._show = show

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Give the parameters that are chosen together."""
        space = self._sampler.infer_relative_search_space(self._show(study), trial)
        return {name: distribution for name, distribution in space.items() if name != MODEL}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose these."""
        return self._sampler.sample_relative(self._show(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Choose one parameter."""
        return self._sampler.sample_independent(
            self._show(study), trial, param_name, param_distribution
        )

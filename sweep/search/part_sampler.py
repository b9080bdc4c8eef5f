"""A sampler in a sweep of several architectures: it knows the trials of one of them alone."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from sweep.architectures import MODEL
from sweep.storage.study_cache import narrow_study


class PartSampler(BaseSampler):
    """Has another sampler choose, as if the study had the trials of one architecture only.

    Args:
        sampler: Which chooses.
        label: Of the architecture.
    """

    def __init__(self, sampler: BaseSampler, label: str) -> None:
        self._sampler = sampler
        self._label = label

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Give the parameters that are chosen together."""
        space = self._sampler.infer_relative_search_space(self._narrow(study), trial)
        return {name: distribution for name, distribution in space.items() if name != MODEL}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose these."""
        return self._sampler.sample_relative(self._narrow(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Choose one parameter."""
        return self._sampler.sample_independent(
            self._narrow(study), trial, param_name, param_distribution
        )

    def _narrow(self, study: Study) -> Study:
        return narrow_study(study, MODEL, self._label)

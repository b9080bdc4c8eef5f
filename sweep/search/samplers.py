"""Samplers: which algorithm chooses a trial's hyperparameters, and with which settings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from models.space import Dimension, Fixed
from sweep.config import SamplerConfig, SearchConfig
from sweep.errors import ConfigError
from sweep.search.suggestion import get_study_name
from sweep.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def choose_sampler(name: str) -> SamplerConfig:
    """Give the settings of a sampler by name.

    Raises:
        ConfigError: when there is none of that name.
    """
    if name == "tpe":
        return SamplerConfig(
            name="tpe",
            num_startup_trials=10,
            multivariate=True,
            constant_liar=True,
            num_ei_candidates=24,
        )
    if name == "gp":
        return SamplerConfig(name="gp", num_startup_trials=10)
    if name in ("random", "qmc"):
        return SamplerConfig(name=name)
    raise ConfigError(
        f"sampler: unknown, got {name!r}, expected tpe, gp, qmc or random; change --sampler"
    )


def build_sampler(config: SearchConfig, space: Mapping[str, Dimension], slot: int) -> BaseSampler:
    """Build the sampler that chooses one trial's hyperparameters.

    Args:
        space: The sweep's.
        slot: The trial's; with the sweep's seed it decides the random numbers, so that two
            workers never draw the same point and a trial taken over draws the same again.
    """
    import optuna  # late: a name can be refused without it

    from sweep.search.points import PointSampler, draw_random_point, draw_sobol_point

    seed = derive_seed(config.seed, "sampler", slot)
    settings = config.sampler
    names = [
        get_study_name(name, dimension)
        for name, dimension in space.items()
        if not isinstance(dimension, Fixed)
    ]
    random_point = PointSampler(draw_random_point(names, seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if settings.name == "tpe":
            return optuna.samplers.TPESampler(
                n_startup_trials=settings.num_startup_trials or 10,
                multivariate=bool(settings.multivariate),
                constant_liar=bool(settings.constant_liar),
                n_ei_candidates=settings.num_ei_candidates or 24,
                seed=seed,
            )
        if settings.name == "gp":
            return optuna.samplers.GPSampler(
                n_startup_trials=settings.num_startup_trials or 10,
                independent_sampler=random_point,
                seed=seed,
            )
        if settings.name == "qmc":
            qmc_seed = derive_seed(config.seed, "qmc")
            return PointSampler(draw_sobol_point(names, slot, qmc_seed))
        return random_point

"""From a sweep's config to Optuna's sampler and pruner, and from a search space to suggestions."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import BaseTrial

from models.space import Choice, Dimension, Fixed, Float, Int, Value
from sweep.config import (
    DIRECTIONS,
    Direction,
    PrunerConfig,
    SamplerConfig,
    SearchConfig,
    SweepConfig,
)
from sweep.errors import ConfigError
from sweep.judgement import count_grace_epochs
from sweep.points import PointSampler, draw_random_point, draw_sobol_point


def derive_seed(base: int, *parts: str | int) -> int:
    """Derive a seed that differs for each trial and purpose and is the same on every machine.

    Returns:
        A number from 0 to 2**32 - 1.
    """
    text = "/".join(str(part) for part in (base, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


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


def choose_pruner(name: str) -> PrunerConfig:
    """Give the settings of a pruner by name.

    Raises:
        ConfigError: when there is none of that name.
    """
    if name == "median":
        return PrunerConfig(name="median", percentile=50.0, num_startup_trials=5)
    if name == "percentile":
        return PrunerConfig(name="percentile", percentile=25.0, num_startup_trials=5)
    if name == "halving":
        return PrunerConfig(name="halving", reduction_factor=3)
    if name == "none":
        return PrunerConfig(name="none")
    raise ConfigError(
        f"pruner: unknown, got {name!r}, expected median, percentile, halving or none; "
        "change --pruner"
    )


def build_sampler(config: SearchConfig, space: Mapping[str, Dimension], slot: int) -> BaseSampler:
    """Build the sampler that chooses one trial's hyperparameters.

    Args:
        space: The sweep's.
        slot: The trial's; with the sweep's seed it decides the random numbers, so that two
            workers never draw the same point and a trial taken over draws the same again.
    """
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


def build_pruner(config: SweepConfig) -> BasePruner:
    """Build the pruner of a sweep; epochs are its steps, counted from 1."""
    settings = config.search.pruner
    if settings.name == "none":
        return optuna.pruners.NopPruner()
    grace = count_grace_epochs(config)
    if settings.name == "halving":
        rule: BasePruner = optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(1, grace), reduction_factor=settings.reduction_factor or 3
        )
    else:
        rule = optuna.pruners.PercentilePruner(
            settings.percentile or 50.0,
            n_startup_trials=settings.num_startup_trials or 5,
            n_warmup_steps=grace,
        )
    return rule


def get_direction(config: SearchConfig) -> Direction:
    """Give Optuna's direction of the objective: minimize or maximize."""
    return DIRECTIONS[config.objective]


def get_study_name(name: str, dimension: Dimension) -> str:
    """Give a hyperparameter's name in the study.

    Optuna has no scale that is logarithmic in 1 - value, so the study holds `1 - beta1`.
    """
    if isinstance(dimension, Float) and dimension.scale == "one_minus_log":
        return f"1 - {name}"
    return name


def suggest(
    trial: BaseTrial, space: Mapping[str, Dimension], point: Mapping[str, Value]
) -> dict[str, Value]:
    """Ask a trial for a value of every hyperparameter.

    Args:
        trial: Of a study with the sampler to ask; begun with the point's values fixed.
        space: The sweep's; fixed dimensions do not reach the study.
        point: The starting point that the trial tries, or nothing. It may lie outside the space.

    Returns:
        Every hyperparameter's value, by its own name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Fixed parameter .* is out of range", UserWarning)
        values = {name: _suggest_one(trial, name, dimension) for name, dimension in space.items()}
    return {
        name: point.get(name, value) if isinstance(space[name], Fixed) else value
        for name, value in values.items()
    }


def _suggest_one(trial: BaseTrial, name: str, dimension: Dimension) -> Value:
    if isinstance(dimension, Fixed):
        return dimension.value
    if isinstance(dimension, Choice):
        choice: Any = trial.suggest_categorical(name, dimension.values)
        return choice  # type: ignore[no-any-return]
    if isinstance(dimension, Int):
        return trial.suggest_int(
            name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    if dimension.scale == "one_minus_log":
        study_name = get_study_name(name, dimension)
        low, high = _subtract(dimension.high), _subtract(dimension.low)
        return _subtract(trial.suggest_float(study_name, low, high, log=True))
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.scale == "log")


def fix_point(point: Mapping[str, Value], space: Mapping[str, Dimension]) -> dict[str, Value]:
    """Give a starting point in the study's terms.

    Args:
        point: Values by the hyperparameters' own names.
        space: The sweep's.

    Returns:
        Values by the study's parameter names, for each searched hyperparameter of the point.
    """
    fixed: dict[str, Value] = {}
    for name, value in point.items():
        if isinstance(space[name], Fixed):
            continue
        study_name = get_study_name(name, space[name])
        fixed[study_name] = value if study_name == name else _subtract(float(value))
    return fixed


def list_ends(dimension: Dimension) -> list[Value]:
    """List the extreme values of a dimension: both ends of a range, or all choices."""
    if isinstance(dimension, Fixed):
        return [dimension.value]
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return [dimension.low, dimension.high]


def find_nearest(dimension: Dimension, value: Value) -> Value:
    """Find the value of a dimension that is nearest to another; text falls back to the first."""
    if dimension.contains(value):
        return value
    if isinstance(dimension, Choice):
        if isinstance(value, str) or any(isinstance(choice, str) for choice in dimension.values):
            return dimension.values[0]
        return min(dimension.values, key=lambda choice: abs(float(choice) - float(value)))
    if isinstance(dimension, Fixed):
        return dimension.value
    low, high = dimension.low, dimension.high
    clipped = min(max(float(value), low), high)
    if isinstance(dimension, Int):
        return low + round((clipped - low) / dimension.step) * dimension.step
    return clipped


def _subtract(value: float) -> float:
    """Compute 1 - value without the tail of binary digits, so that 0.999 becomes 0.001."""
    return round(1.0 - value, 12)

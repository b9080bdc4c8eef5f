"""Pruners: which rule stops a trial early, and with which settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.config import PrunerConfig, SweepConfig
from sweep.errors import ConfigError
from sweep.search.judgement import count_grace_epochs

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


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


def build_pruner(config: SweepConfig) -> BasePruner:
    """Build the pruner of a sweep; epochs are its steps, counted from 1."""
    import optuna  # late: a name can be refused without it

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

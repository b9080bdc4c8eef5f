"""The pruners there are: which rule stops a trial early. Another one is an entry of this table.

Those of Optuna stop a trial after an epoch, for good. The one of this project, `rungs`, has trials
pause to be compared, and the best of them go on (`sweep.search.promotion`).

The command line reads the names at its start, and configs are checked by them: nothing heavy is
loaded here before a pruner is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True)
class Pruner:
    """A rule that stops trials early; epochs are its steps, counted from 1.

    Attributes:
        build: Makes it, told of the grace, in epochs, and by keyword of its settings.
        settings: Those of a new sweep, under the names that `sweep.config.PrunerConfig` has.
        is_pausing: Whether trials pause at rungs; nothing stops them between these then.
    """

    build: Callable[..., BasePruner]
    settings: Mapping[str, float] = field(default_factory=dict)
    is_pausing: bool = False


def _build_percentile(grace: int, *, percentile: float, num_startup_trials: int) -> BasePruner:
    """Compare with the finished trials at the same epoch, once there are some."""
    from optuna.pruners import PercentilePruner

    return PercentilePruner(percentile, n_startup_trials=num_startup_trials, n_warmup_steps=grace)


def _build_halving(grace: int, *, reduction_factor: int) -> BasePruner:
    """Keep the best share at each of ever later epochs."""
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=max(1, grace), reduction_factor=reduction_factor)


def _build_none(_grace: int, **_settings: float) -> BasePruner:
    """Stop nothing."""
    from optuna.pruners import NopPruner

    return NopPruner()


DEFAULT_PRUNER = "rungs"
PRUNERS: Mapping[str, Pruner] = {
    DEFAULT_PRUNER: Pruner(_build_none, {"reduction_factor": 2}, is_pausing=True),
    "median": Pruner(_build_percentile, {"percentile": 50.0, "num_startup_trials": 5}),
    "percentile": Pruner(_build_percentile, {"percentile": 25.0, "num_startup_trials": 5}),
    "halving": Pruner(_build_halving, {"reduction_factor": 3}),
    "none": Pruner(_build_none),
}
"""Each by the name that `--pruner` takes."""

"""A sweep's sampler and pruner: chosen by name with their settings, and built from its config."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sweep.config import PrunerConfig, SamplerConfig, SearchConfig, SweepConfig
from sweep.errors import check_known
from sweep.metrics.table import OBJECTIVES, is_by_loss
from sweep.models.space import Dimension
from sweep.search.draw import Draw, Outlook
from sweep.search.pruners import PRUNERS, Pruner
from sweep.search.samplers import SAMPLERS, Sampler
from sweep.search.suggestion import name_in_study

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from sweep.storage.standings import NextTrial, Promotion, Standing


def choose_sampler(name: str) -> SamplerConfig:
    """Give the settings of a sampler by name.

    Raises:
        ConfigError: when there is none of that name.
    """
    return SamplerConfig.model_validate({"name": name, **_find_sampler(name).settings})


def choose_pruner(name: str) -> PrunerConfig:
    """Give the settings of a pruner by name.

    Raises:
        ConfigError: when there is none of that name.
    """
    return PrunerConfig.model_validate({"name": name, **_find_pruner(name).settings})


def check_strategy(config: SearchConfig) -> None:
    """Refuse what only another version of this project has, before a trial is claimed for it.

    Raises:
        ConfigError: when the sampler or the pruner of a stored sweep is none of the tables here.
    """
    _find_sampler(config.sampler.name)
    _find_pruner(config.pruner.name)


def choose_objective(name: str) -> str:
    """Give back the name of an objective.

    Raises:
        ConfigError: when there is none of that name.
    """
    check_known("objective", name, OBJECTIVES)
    return name


def build_sampler(
    config: SearchConfig,
    space: Mapping[str, Dimension],
    slot: int,
    outlook: Outlook | None = None,
    names: Mapping[str, str] | None = None,
) -> BaseSampler:
    """Build the sampler that chooses one trial's hyperparameters.

    Args:
        names: As `name_in_study` gives them; None where nothing is prefixed.
    """
    from optuna.exceptions import ExperimentalWarning  # late: a name can be refused without it

    names = name_in_study(space) if names is None else names
    sampler = _find_sampler(config.sampler.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return sampler.build(
            Draw(list(names.values()), slot, config.seed, outlook or Outlook()),
            **_read_settings(sampler, config.sampler),
        )


def describe_outlook(config: SweepConfig) -> Outlook:
    """Describe what a trial of a sweep can come to."""
    return Outlook(
        num_epochs=config.recipe.epochs,
        is_loss=is_by_loss(config.search.objective),
        null_loss=config.data.null_loss,
        center_slot=config.recommended_slot,
    )


def build_pruner(config: SweepConfig) -> BasePruner:
    """Build the pruner of a sweep."""
    from sweep.search.judgement import count_grace_epochs  # late: it loads the database's library

    pruner = _find_pruner(config.search.pruner.name)
    return pruner.build(count_grace_epochs(config), **_read_settings(pruner, config.search.pruner))


def build_promotion(config: SweepConfig) -> Promotion | None:
    """Build the rule by which a sweep's trials pause and go on; None where they do not pause.

    The recommended point always goes on: what the others are worth is compared with it.
    """
    from sweep.search.front import choose_on_front
    from sweep.search.judgement import count_grace_epochs, get_ranking
    from sweep.search.promotion import Halving, list_rungs
    from sweep.storage.standings import Promotion  # late: it loads the database's library

    search = config.search
    pruner = _find_pruner(search.pruner.name)
    if not pruner.is_pausing:
        return None
    factor = int(_read_settings(pruner, search.pruner)["reduction_factor"])
    rungs = list_rungs(config.recipe.epochs, count_grace_epochs(config), factor)
    kept_slot = config.recommended_slot

    choose: Callable[[Sequence[Standing]], NextTrial | None] = (
        partial(choose_on_front, rungs=rungs, kept_slot=kept_slot)
        if search.is_front
        else Halving(rungs, factor, kept_slot=kept_slot)
    )
    return Promotion(rungs, get_ranking(search.objective, search.limits.max_fp), choose)


def _find_sampler(name: str) -> Sampler:
    check_known("sampler", name, SAMPLERS)
    return SAMPLERS[name]


def _find_pruner(name: str) -> Pruner:
    check_known("pruner", name, PRUNERS)
    return PRUNERS[name]


def _read_settings(
    entry: Sampler | Pruner, config: SamplerConfig | PrunerConfig
) -> dict[str, float]:
    """Read the settings that a config has for its sampler or pruner; a new sweep's where None."""
    stored = {name: getattr(config, name) for name in entry.settings}
    return {
        name: default if stored[name] is None else stored[name]
        for name, default in entry.settings.items()
    }

"""The parts of a sweep's config that need neither its network's file nor its events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast, get_args

from sweep.config import (
    LimitsConfig,
    Recipe,
    SearchConfig,
    SweepConfig,
    Variant,
    Whereabouts,
)
from sweep.data.asked import TOY_VERSION, Selection
from sweep.data.paths import name_files
from sweep.errors import ConfigError, ConflictError, check_known, list_allowed
from sweep.metrics.table import FRONT, OBJECTIVES
from sweep.models import Architecture
from sweep.models.space import Dimension
from sweep.plan.defaults import DEFAULTS
from sweep.plan.differences import list_differences
from sweep.plan.profile import Profile
from sweep.plan.recipes import build_recipe
from sweep.plan.request import Request
from sweep.plan.space import choose_space, read_assignments, read_space, write_space
from sweep.plan.steps import fit_grace
from sweep.plan.versions import list_outdated
from sweep.search.pruners import PRUNERS
from sweep.search.strategy import choose_objective, choose_pruner, choose_sampler

DEFAULT_FP = 0.1
"""False positives per event at which published efficiencies are quoted, about
(docs/PHYSICS.md, "Published results")."""


def refuse_changes(stored: SweepConfig, asked: SweepConfig) -> None:
    """Refuse to go on with a sweep differently; what an earlier version of it had may be asked.

    Raises:
        ConflictError: with every difference.
    """
    outdated = list_outdated(stored, asked)
    differences = list_differences(write_space(stored), write_space(asked))
    differences = [line for line in differences if line not in outdated]
    if differences:
        raise ConflictError(
            f"sweep: it is another one already, got {'; '.join(differences)}, expected no "
            "difference; leave these options out, or give the new sweep a name with --sweep"
        )


def plan_recipe(asked: Request, profile: Profile, stored: SweepConfig | None) -> Recipe:
    """Give the recipe asked for; a stored one of that name keeps its settings."""
    if stored and (asked.recipe, asked.epochs) == (stored.recipe.name, stored.recipe.epochs):
        return stored.recipe
    return build_recipe(str(asked.recipe), asked.epochs, profile.epochs)


def finish_recipe(
    recipe: Recipe, space: Mapping[str, Dimension], stored: SweepConfig | None
) -> Recipe:
    """Fit a planned recipe to a space; a stored one keeps its settings."""
    is_stored = stored is not None and recipe == stored.recipe
    return recipe if is_stored else fit_grace(recipe, space)


FRONT_PRUNERS = (*(name for name, pruner in PRUNERS.items() if pruner.is_pausing), "none")
"""Those that can be with the objective `front`."""


def check_front(objective: str | None, pruner: str | None) -> None:
    """Refuse a pruner that compares one number where a trial is judged by several.

    Raises:
        ConfigError: when it is one.
    """
    if objective == FRONT and pruner not in FRONT_PRUNERS:
        raise ConfigError(
            f"pruner: compares one number, got {pruner} with --objective {FRONT}, expected "
            f"{list_allowed(FRONT_PRUNERS)}; change --pruner"
        )


def plan_search(asked: Request, stored: SweepConfig | None) -> SearchConfig:
    """Give the search asked for; a stored sampler or pruner of that name keeps its settings.

    Raises:
        ConfigError: when something asked for is not there, or cannot go with the objective.
    """
    old = stored.search if stored else None
    sampler = old.sampler if old and old.sampler.name == asked.sampler else None
    pruner = old.pruner if old and old.pruner.name == asked.pruner else None
    check_front(asked.objective, asked.pruner)
    return SearchConfig(
        objective=choose_objective(str(asked.objective)),
        limits=plan_limits(asked),
        sampler=sampler or choose_sampler(str(asked.sampler)),
        pruner=pruner or choose_pruner(str(asked.pruner)),
        seed=asked.seed if asked.seed is not None else DEFAULTS.seed,
    )


def plan_limits(asked: Request) -> LimitsConfig:
    """Give the limits asked for; an objective at a fixed rate of false positives has one.

    Raises:
        ConfigError: when a limit is not above 0.
    """
    limits = {name: getattr(asked, name) for name in LimitsConfig.model_fields}
    for name, value in limits.items():
        if value is not None and not 0 < value < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(
                f"{option}: got {value:g}, expected a number above 0; change --{option}"
            )
    objective = OBJECTIVES.get(str(asked.objective))
    if limits["max_fp"] is None and objective is not None and objective.is_at_fp:
        limits["max_fp"] = DEFAULT_FP
    return LimitsConfig(**limits)


def plan_space(
    request: Request,
    profile: Profile,
    stored: SweepConfig | None,
    architecture: Architecture,
    recipe: Recipe,
    num_train: int | None,
) -> dict[str, Dimension]:
    """Give the space asked for; of a stored one stays what was not named.

    Args:
        stored: The config of the sweep that goes on, or None.
        num_train: Training events of a search, where they are known.
    """
    texts = (*request.dimensions, *request.fixed)
    if stored is not None and not texts:
        return read_space(stored)
    space = read_assignments(request, choose_space(architecture, profile, recipe, num_train))
    if stored is None:
        return space
    named = {text.partition("=")[0].strip() for text in texts}
    return read_space(stored) | {name: space[name] for name in space if name in named}


def plan_data(asked: Request, profile: Profile, stored: SweepConfig | None) -> Selection:
    whereabouts = Whereabouts(
        files=name_files(asked.data),
        validation_files=name_files(asked.val_data),
        test_files=name_files(asked.test_data),
        x_key=asked.x_key,
        y_key=asked.y_key,
        variant=read_variant(asked.variant),
        toy_version=stored.data.toy_version if stored else TOY_VERSION,
    )
    # The sizes of a sample-size curve are drawn out of all there is.
    is_curve = asked.curve is not None
    is_whole = bool(whereabouts.files) and (profile.name == "gpu" or is_curve)
    return Selection(
        whereabouts,
        num_train=asked.events,
        num_validation=asked.val_events,
        num_test=asked.test_events,
        max_train=None if is_whole else profile.num_train,
        max_validation=None if whereabouts.validation_files else profile.num_validation,
        max_test=0 if stored or is_curve else profile.num_validation,
    )


def read_variant(text: str | None) -> Variant | None:
    """Read which features of an HDF5 file are meant.

    Raises:
        ConfigError: when there are none of that name.
    """
    if text is not None:
        check_known("variant", text, get_args(Variant))
    return cast("Variant | None", text)

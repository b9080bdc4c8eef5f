"""From a request to a config that is ready to run: the defaults, and what may not be.

What is not asked keeps the stored value when a sweep goes on, and takes the profile's default when
it begins. Everything that can be wrong is found here, before anything trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from models import Architecture
from models.source import Source
from models.space import Dimension, to_json
from sweep.config import (
    DataConfig,
    Recipe,
    SearchConfig,
    SweepConfig,
    Whereabouts,
    describe_fault,
    list_differences,
)
from sweep.data.hdf5 import Variant
from sweep.data.selection import (
    Selection,
    check_selection,
    describe_split,
    name_files,
    open_selection,
)
from sweep.data.splits import Split
from sweep.errors import ConfigError, ConflictError, DataError
from sweep.plan.curve import extend_space, finish_curve, plan_curve
from sweep.plan.defaults import DEFAULTS, fill_request
from sweep.plan.network import (
    check_name,
    choose_network,
    is_own,
    load_model,
    require_model,
    resolve_model,
)
from sweep.plan.profile import CPU, Profile, choose_profile
from sweep.plan.recipes import build_recipe
from sweep.plan.request import Request
from sweep.plan.space import (
    check_space,
    check_training,
    choose_space,
    read_assignments,
    read_space,
    write_space,
)
from sweep.plan.starting_points import plan_starting_points
from sweep.progress import Progress
from sweep.search.strategy import choose_objective, choose_pruner, choose_sampler


@dataclass(frozen=True)
class Plan:
    """A config that is ready to run, with its events opened and what should be said about it.

    `source` are the files of a person's own network.
    """

    config: SweepConfig
    split: Split
    architecture: Architecture
    source: Source | None
    notes: tuple[str, ...]


def plan_sweep(
    request: Request,
    profile: Profile,
    stored: SweepConfig | None = None,
    progress: Progress | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Plan:
    """Turn a request into a config and open its events.

    Args:
        request: What was asked.
        profile: Defaults of the device, used when a sweep begins that does not ask for others.
        stored: The config of the sweep that goes on, or None.
        progress: Told how many of how many toy events are there.
        files: That the sweep that goes on keeps of a person's own network.

    Raises:
        ConfigError, DataError, ModelError: when something asked for cannot be.
        ConflictError: when the sweep exists and was asked to go on differently.
    """
    curve = plan_curve(request.sample_size, stored)
    if stored is not None:
        refuse_changes(stored, stored.model_copy(update={"sample_size": curve}))
    asked = fill_request(request, stored, profile)
    profile = choose_profile(str(asked.profile))
    model, network, stored = choose_network(request.model, stored, files or {})
    architecture = network.architecture
    recipe = _plan_recipe(asked, profile, stored)
    space = _plan_space(request, profile, stored, architecture, recipe)
    if curve is not None:
        space = extend_space(curve, space, architecture.network_hyperparameters)
    selection = _plan_data(asked, profile)
    check_space(architecture, space)
    split = open_selection(selection, progress)
    if curve is not None:
        curve = finish_curve(curve, request.sample_size, split)
    data = _describe_data(request, stored, selection, split)
    start = plan_starting_points(request, stored, architecture, space, curve)
    try:
        config = SweepConfig(
            model=model,
            model_digest=network.digest,
            profile=profile.name,
            space={name: to_json(dimension) for name, dimension in space.items()},
            starting_points=start.points,
            num_hand_tuned=start.num_hand_tuned,
            data=data,
            recipe=recipe,
            search=_plan_search(asked, stored),
            sample_size=curve,
        )
    except ValidationError as exc:
        raise ConfigError(f"config: {describe_fault(exc)}; mend the option") from exc
    if stored is not None:
        refuse_changes(stored, config)
    notes = (*start.notes, *network.list_cautions())
    return Plan(config, split, architecture, network.source, notes)


def refuse_early(request: Request, stored: SweepConfig | None) -> None:
    """Refuse what is wrong whatever the network and the events are, before either is loaded.

    Raises:
        ConfigError, ModelError, DataError, ConflictError: as `plan_sweep`.
    """
    model = _name_model(request, stored)
    if stored is None:  # one that is stored brings its network's files
        check_name(model)
    curve = plan_curve(request.sample_size, stored)
    if stored is not None:
        refuse_changes(stored, stored.model_copy(update={"sample_size": curve}))
    asked = fill_request(request, stored, CPU)
    profile = choose_profile(str(asked.profile))
    recipe = _plan_recipe(asked, profile, stored)
    try:
        _plan_search(asked, stored)
    except ValidationError as exc:
        raise ConfigError(f"config: {describe_fault(exc)}; mend the option") from exc
    check_selection(_plan_data(asked, profile))
    if not is_own(model):
        space = _plan_space(request, profile, stored, load_model(model).architecture, recipe)
        check_training(space)


def _name_model(request: Request, stored: SweepConfig | None) -> str:
    model = request.model or (stored.model if stored else None)
    return resolve_model(require_model(model))


def refuse_changes(stored: SweepConfig, asked: SweepConfig) -> None:
    """Refuse to go on with a sweep differently.

    Raises:
        ConflictError: with every difference.
    """
    differences = list_differences(write_space(stored), write_space(asked))
    if differences:
        raise ConflictError(
            f"sweep: it is another one already, got {'; '.join(differences)}, expected no "
            "difference; leave these options out, or give the new sweep a name with --sweep"
        )


def _plan_recipe(asked: Request, profile: Profile, stored: SweepConfig | None) -> Recipe:
    """Give the recipe asked for; a stored one of that name keeps its settings."""
    if stored and (asked.recipe, asked.epochs) == (stored.recipe.name, stored.recipe.epochs):
        return stored.recipe
    return build_recipe(str(asked.recipe), asked.epochs, profile.epochs)


def _plan_search(asked: Request, stored: SweepConfig | None) -> SearchConfig:
    """Give the search asked for; a stored sampler or pruner of that name keeps its settings."""
    old = stored.search if stored else None
    sampler = old.sampler if old and old.sampler.name == asked.sampler else None
    pruner = old.pruner if old and old.pruner.name == asked.pruner else None
    return SearchConfig(
        objective=choose_objective(str(asked.objective)),
        sampler=sampler or choose_sampler(str(asked.sampler)),
        pruner=pruner or choose_pruner(str(asked.pruner)),
        seed=asked.seed if asked.seed is not None else DEFAULTS.seed,
    )


def _plan_space(
    request: Request,
    profile: Profile,
    stored: SweepConfig | None,
    architecture: Architecture,
    recipe: Recipe,
) -> dict[str, Dimension]:
    if stored is not None and not request.dimensions and not request.fixed:
        return read_space(stored)
    return read_assignments(request, choose_space(architecture, profile, recipe))


def _plan_data(asked: Request, profile: Profile) -> Selection:
    whereabouts = Whereabouts(
        files=name_files(asked.data),
        validation_files=name_files(asked.val_data),
        x_key=asked.x_key,
        y_key=asked.y_key,
        variant=read_variant(asked.variant),
    )
    # The sizes of a sample-size curve are drawn out of all there is.
    is_whole = bool(whereabouts.files) and (profile.name == "gpu" or asked.sample_size is not None)
    return Selection(
        whereabouts,
        num_train=asked.events,
        num_validation=asked.val_events,
        max_train=None if is_whole else profile.num_train,
        max_validation=None if whereabouts.validation_files else profile.num_validation,
    )


def _describe_data(
    request: Request, stored: SweepConfig | None, selection: Selection, split: Split
) -> DataConfig:
    """Describe the events; those of the stored sweep lie where it has them, unless moved.

    Raises:
        DataError: when the validation events hold no peak.
    """
    data = describe_split(selection, split)
    if stored is not None and data.is_same(stored.data):
        named = (request.data, request.val_data, request.x_key, request.y_key, request.variant)
        data = stored.data.move(data) if any(named) else stored.data
    if data.null_loss <= 0:
        raise DataError(
            "data: the validation events hold nothing to find, got a null loss of "
            f"{data.null_loss:.3g}, expected peaks in y; check the files"
        )
    return data


def read_variant(text: str | None) -> Variant | None:
    """Read which features of an HDF5 file are meant.

    Raises:
        ConfigError: when there are none of that name.
    """
    if text is None:
        return None
    if text == "kernel":
        return "kernel"
    if text == "poca":
        return "poca"
    raise ConfigError(f"variant: unknown, got {text!r}, expected kernel or poca; change --variant")

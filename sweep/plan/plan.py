"""From a request to a config that is ready to run: the defaults, and what may not be.

What is not asked keeps the stored value when a sweep goes on, and takes the profile's default when
it begins. Everything that can be wrong is found here, before anything trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from models import Architecture
from models.source import Source
from models.space import Choice, Dimension, Fixed, Value, to_json, write_value
from sweep.config import (
    Recipe,
    SampleSizeConfig,
    SearchConfig,
    SweepConfig,
    build_recipe,
    describe_fault,
    list_differences,
)
from sweep.data.hdf5 import Variant
from sweep.data.selection import (
    Selection,
    check_selection,
    describe_split,
    find_files,
    name_files,
    open_selection,
)
from sweep.data.splits import Split
from sweep.errors import ConfigError, ConflictError, DataError
from sweep.metrics.table import DEFAULT_OBJECTIVE, OBJECTIVES
from sweep.plan.curve import extend_space, finish_study, list_points, plan_sample_size
from sweep.plan.network import check_name, choose_network, is_own, load_model, resolve_model
from sweep.plan.request import Request
from sweep.plan.space import check_space, check_training, read_assignment, read_space, write_space
from sweep.search.pruners import choose_pruner
from sweep.search.samplers import choose_sampler
from sweep.search.suggestion import find_nearest

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Profile:
    """Default sizes for a kind of device."""

    name: Literal["cpu", "gpu"]
    num_train: int
    num_validation: int
    epochs: int
    batch_size: int


CPU = Profile("cpu", num_train=700, num_validation=400, epochs=8, batch_size=16)
GPU = Profile("gpu", num_train=20_000, num_validation=5000, epochs=30, batch_size=64)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in (CPU, GPU)}
REPORT_BATCH_SIZE = 128
HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
"""Files in which arrays have no names of a person's choice."""


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
    study = plan_sample_size(request.sample_size, stored)
    if stored is not None:
        refuse_changes(stored, stored.model_copy(update={"sample_size": study}))
    profile = _choose_profile(request, profile, stored)
    model, network, stored = choose_network(request.model, stored, files or {})
    architecture = network.architecture
    recipe = _plan_recipe(request, profile, stored)
    space = _plan_space(request, profile, stored, architecture, recipe)
    if study is not None:
        space = extend_space(study, space, architecture.network_hyperparameters)
    selection = _plan_data(request, profile, stored)
    check_space(architecture, space)
    split = open_selection(selection, progress)
    if study is not None:
        study = finish_study(study, request.sample_size, split)
    data = describe_split(selection, split)
    if stored is not None and data.is_same(stored.data):
        asked = (request.data, request.val_data, request.x_key, request.y_key, request.variant)
        data = stored.data.move(data) if any(asked) else stored.data
    if data.null_loss <= 0:
        raise DataError(
            "data: the validation events hold nothing to find, got a null loss of "
            f"{data.null_loss:.3g}, expected peaks in y; check the files"
        )
    start = _plan_start(request, stored, architecture, space, study)
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
            search=_plan_search(request, stored),
            sample_size=study,
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
    study = plan_sample_size(request.sample_size, stored)
    if stored is not None:
        refuse_changes(stored, stored.model_copy(update={"sample_size": study}))
    profile = _choose_profile(request, CPU, stored)
    recipe = _plan_recipe(request, profile, stored)
    try:
        _plan_search(request, stored)
    except ValidationError as exc:
        raise ConfigError(f"config: {describe_fault(exc)}; mend the option") from exc
    check_selection(_plan_data(request, profile, stored))
    if not is_own(model):
        space = _plan_space(request, profile, stored, load_model(model).architecture, recipe)
        check_training(space)


def _name_model(request: Request, stored: SweepConfig | None) -> str:
    model = request.model or (stored.model if stored else None)
    if model is None:
        raise ConfigError("model: not given, got nothing, expected a name; add --model cnn")
    return resolve_model(model)


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


def _choose_profile(request: Request, profile: Profile, stored: SweepConfig | None) -> Profile:
    name = request.profile or (stored.profile if stored else profile.name)
    if name not in PROFILES:
        raise ConfigError(f"profile: unknown, got {name!r}, expected cpu or gpu; change --profile")
    return PROFILES[name]


def _plan_recipe(request: Request, profile: Profile, stored: SweepConfig | None) -> Recipe:
    if stored is None:
        return build_recipe(request.recipe or "fast", request.epochs, profile.epochs)
    if request.recipe is None and request.epochs is None:
        return stored.recipe
    return build_recipe(request.recipe or stored.recipe.name, request.epochs, stored.recipe.epochs)


def _plan_search(request: Request, stored: SweepConfig | None) -> SearchConfig:
    old = stored.search if stored else None
    objective = request.objective or (old.objective if old else DEFAULT_OBJECTIVE)
    if objective not in OBJECTIVES:
        raise ConfigError(
            f"objective: unknown, got {objective!r}, expected {' or '.join(OBJECTIVES)}; "
            "change --objective"
        )
    return SearchConfig(
        objective=objective,
        sampler=(
            old.sampler if old and not request.sampler else choose_sampler(request.sampler or "tpe")
        ),
        pruner=(
            old.pruner if old and not request.pruner else choose_pruner(request.pruner or "median")
        ),
        seed=request.seed if request.seed is not None else (old.seed if old else 1),
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
    space = choose_space(architecture, profile, recipe)
    for option, texts in (("--set", request.dimensions), ("--fix", request.fixed)):
        for text in texts:
            name, dimension = read_assignment(option, text, space)
            space[name] = dimension
    return space


def choose_space(
    architecture: Architecture, profile: Profile, recipe: Recipe
) -> dict[str, Dimension]:
    """Choose what is searched where nothing else is asked for."""
    space = architecture.select_space(on_cpu=profile.name == "cpu")
    space.setdefault("batch_size", Fixed(profile.batch_size))
    if recipe.name == "report":
        space["batch_size"] = Fixed(REPORT_BATCH_SIZE)
    return space


@dataclass(frozen=True)
class _Start:
    """What is tried before the sampler chooses, and what should be said about it."""

    points: tuple[dict[str, Value], ...]
    num_hand_tuned: int
    notes: tuple[str, ...]


def _plan_start(
    request: Request,
    stored: SweepConfig | None,
    architecture: Architecture,
    space: Mapping[str, Dimension],
    study: SampleSizeConfig | None,
) -> _Start:
    if study is not None:
        return _Start(list_points(study), 0, ())
    if stored is not None and not request.dimensions and not request.fixed:
        return _Start(stored.starting_points, stored.num_hand_tuned, ())
    changed = {text.partition("=")[0].strip() for text in (*request.dimensions, *request.fixed)}
    points, notes = _plan_points(architecture, space, changed)
    return _Start(points, min(len(points), len(architecture.starting_points)), notes)


def _plan_points(
    architecture: Architecture, space: Mapping[str, Dimension], changed: set[str]
) -> tuple[tuple[dict[str, Value], ...], tuple[str, ...]]:
    """Complete the points that are tried first: the hand-tuned ones, then the recommended one.

    They are tried as they are, also where they lie outside the profile's space; only within the
    dimensions that a person changed does a value move to the nearest.

    Returns:
        The points, and what should be said about them.
    """
    points: list[dict[str, Value]] = []
    notes: list[str] = []
    for point in (*architecture.starting_points, architecture.recommended):
        if not point:
            continue
        complete: dict[str, Value] = {}
        for name, dimension in space.items():
            if name not in point and name not in architecture.defaults:
                continue
            asked = point[name] if name in point else architecture.defaults[name]
            is_kept = name in point and name not in changed and not isinstance(dimension, Choice)
            complete[name] = asked if is_kept else find_nearest(dimension, asked)
        if complete in points:
            continue
        points.append(complete)
        moved = [
            f"{name} {write_value(point[name])} to {write_value(complete[name])}"
            for name in point
            if name in complete and complete[name] != point[name]
        ]
        if moved:
            notes.append(
                f"starting point {len(points) - 1}: moved {', '.join(moved)}, the nearest in "
                "the space"
            )
    return tuple(points), tuple(notes)


def _plan_data(request: Request, profile: Profile, stored: SweepConfig | None) -> Selection:
    old = None if stored is None else stored.data
    files = name_files(request.data) or (find_files(old.files) if old else ())
    validation_files = name_files(request.val_data) or (
        find_files(old.validation_files) if old else ()
    )
    named = old if not any(Path(name).suffix in HDF5_SUFFIXES for name in request.data) else None
    # The sizes of a study of sample size are drawn out of all there is.
    whole = bool(files) and (profile.name == "gpu" or request.sample_size is not None)
    return Selection(
        files=files,
        validation_files=validation_files,
        x_key=request.x_key or (named.x_key if named else None),
        y_key=request.y_key or (named.y_key if named else None),
        variant=read_variant(request.variant) or (old.variant if old else None),
        num_train=_choose(request.events, old.num_train if old else None),
        num_validation=_choose(request.val_events, old.num_validation if old else None),
        max_train=None if whole else profile.num_train,
        max_validation=None if validation_files else profile.num_validation,
    )


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


def _choose(asked: int | None, stored: int | None) -> int | None:
    return stored if asked is None else asked

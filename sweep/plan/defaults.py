"""What holds where a person does not say: what the stored sweep has, else the defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sweep.config import SweepConfig
from sweep.data.paths import find_files
from sweep.metrics.table import DEFAULT_OBJECTIVE
from sweep.plan.profile import Profile
from sweep.plan.recipes import DEFAULT_RECIPE
from sweep.plan.request import Request, merge_requests
from sweep.search.pruners import DEFAULT_PRUNER
from sweep.search.samplers import DEFAULT_SAMPLER

DEFAULTS = Request(
    recipe=DEFAULT_RECIPE,
    sampler=DEFAULT_SAMPLER,
    pruner=DEFAULT_PRUNER,
    objective=DEFAULT_OBJECTIVE,
    cost="events",
    seed=1,
)
HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
"""Files in which arrays have no names of a person's choice."""


def fill_request(request: Request, stored: SweepConfig | None, profile: Profile) -> Request:
    """Fill what was not asked: model, dimensions and the sizes of a curve stay as they are.

    Args:
        stored: The config of the sweep that goes on, or None.
        profile: Of the devices that are here.

    Raises:
        DataError: when no events are named and those of the stored sweep are not there.
    """
    if stored is None:
        return merge_requests(request, replace(DEFAULTS, profile=profile.name))
    data = stored.data
    under = replace(
        describe_request(stored),
        data=() if request.data else find_files(data.files),
        val_data=() if request.val_data else find_files(data.validation_files),
        test_data=() if request.test_data else find_files(data.test_files),
    )
    if any(Path(name).suffix in HDF5_SUFFIXES for name in request.data):
        under = replace(under, x_key=None, y_key=None)
    return merge_requests(request, under)


def describe_request(config: SweepConfig) -> Request:
    """Give what would have to be asked for a config, but for its model and space."""
    data, search = config.data, config.search
    return Request(
        data=data.files,
        val_data=data.validation_files,
        test_data=data.test_files,
        x_key=data.x_key,
        y_key=data.y_key,
        variant=data.variant,
        events=data.num_train,
        val_events=data.num_validation,
        test_events=data.num_test,
        epochs=config.recipe.epochs,
        recipe=config.recipe.name,
        sampler=search.sampler.name,
        pruner=search.pruner.name,
        objective=search.objective,
        cost=config.cost,
        **search.limits.model_dump(),
        seed=search.seed,
        profile=config.profile,
    )

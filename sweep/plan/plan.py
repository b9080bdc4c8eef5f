"""From a request to a config that is ready to run: the defaults, and what may not be.

What is not asked keeps the stored value when a sweep goes on, and takes the profile's default when
it begins. Everything that can be wrong is found here, before anything trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from sweep.config import CurveConfig, DataConfig, OriginConfig, SweepConfig, describe_fault
from sweep.data.asked import Selection
from sweep.data.progress import Progress
from sweep.data.selection import describe_split, open_selection, reopen_split
from sweep.data.splits import Split, count_shared
from sweep.errors import ConfigError, DataError
from sweep.models.space import to_json
from sweep.plan.curve import extend_space, plan_curve
from sweep.plan.defaults import fill_request
from sweep.plan.network import Chosen, Network, choose_network, refuse_several
from sweep.plan.pace import fit_epochs
from sweep.plan.parts import (
    finish_recipe,
    plan_data,
    plan_recipe,
    plan_search,
    plan_space,
    refuse_changes,
)
from sweep.plan.profile import Profile, choose_profile
from sweep.plan.request import CurveRequest, Request
from sweep.plan.several import (
    check_cost,
    combine_configs,
    drop_tuned,
    keep_measured,
    list_epochs,
    merge_files,
    move_networks,
    pair_models,
    set_epochs,
    share_request,
)
from sweep.plan.space import check_space
from sweep.plan.starting_points import plan_starting_points
from sweep.plan.steps import list_fits


@dataclass(frozen=True)
class Plan:
    """A config that is ready to run, with its events opened and what should be said about it.

    Attributes:
        networks: Of its architectures, by their labels.
        files: Of the networks that are a person's own.
    """

    config: SweepConfig
    split: Split
    networks: Mapping[str, Network]
    files: Mapping[str, bytes]
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
        profile: Defaults of the device, used when a sweep begins that does not ask for others.
        stored: The config of the sweep that goes on, or None.
        files: That the sweep that goes on keeps of a person's own network.

    Raises:
        ConfigError, DataError, ModelError: when something asked for cannot be.
        ConflictError: when the sweep exists and was asked to go on differently.
    """
    curve = plan_curve(request.curve, stored)
    if stored is not None:
        refuse_changes(stored, stored.model_copy(update={"curve": curve}))
    asked = fill_request(request, stored, profile)
    wanted = pair_models(request.model, stored)
    chosen = [choose_network(model, view, files or {}) for model, view in wanted]
    check_cost(asked.cost, len(chosen))
    if len(chosen) == 1:
        plan, stored = _plan_one(request, asked, curve, chosen[0], progress), chosen[0].stored
        if stored is not None:
            refuse_changes(stored, plan.config)
        return plan
    if curve is not None:
        refuse_several(request.model, "a sample-size curve")
    return _plan_several(request, asked, chosen, stored, progress)


def _plan_several(
    request: Request,
    asked: Request,
    chosen: Sequence[Chosen],
    stored: SweepConfig | None,
    progress: Progress | None,
) -> Plan:
    """Plan each architecture as if alone, on the events of the first, and put them together."""
    networks = {one.label: one.network for one in chosen}
    spaces = {label: network.architecture.space for label, network in networks.items()}
    shares = share_request(request, spaces)
    plans: list[Plan] = []
    for one in chosen:
        first = plans[0] if plans else None
        plans.append(_plan_one(shares[one.label], asked, None, drop_tuned(one), progress, first))
    configs = [plan.config for plan in plans]
    config = combine_configs(configs, list(networks.values()))
    if stored is not None:
        config = keep_measured(config, stored, asked)
        refuse_changes(move_networks(stored, config), config)
    elif asked.cost == "seconds":
        known = {label: network.architecture for label, network in networks.items()}
        config = set_epochs(config, fit_epochs(configs, known, plans[0].split))
    notes = tuple(
        f"{label}: {note}"
        for label, plan in zip(networks, plans, strict=True)
        for note in plan.notes
    ) + list_epochs(config)
    files = merge_files(list(networks.values()))
    return Plan(config, plans[0].split, networks, files, notes)


def _plan_one(
    request: Request,
    asked: Request,
    curve: CurveConfig | None,
    chosen: Chosen,
    progress: Progress | None,
    first: Plan | None = None,
) -> Plan:
    """Plan a sweep of one architecture.

    Args:
        asked: That with everything filled in.
        curve: Of sample size, or None.
        chosen: The network.
        first: A plan of the same events, or None.
    """
    network, stored = chosen.network, chosen.stored
    architecture = network.architecture
    profile = choose_profile(str(asked.profile))
    recipe = plan_recipe(asked, profile, stored)
    space = plan_space(request, profile, stored, architecture, recipe, None)
    if curve is not None:
        space = extend_space(curve, space, architecture.network_hyperparameters)
    selection = plan_data(asked, profile, stored)
    check_space(architecture, space, network.digest)
    split = first.split if first is not None else open_selection(selection, progress)
    fits: list[str] = []
    if curve is None:
        usual, num_train = space, len(split.train)
        space = plan_space(request, profile, stored, architecture, recipe, num_train)
        fits = list_fits(usual, space)
    if curve is not None:
        curve = _finish_curve(curve, request.curve, split)
    data = first.config.data if first else _describe_data(request, stored, selection, split)
    start = plan_starting_points(request, stored, architecture, space, curve, profile, recipe)
    try:
        config = SweepConfig(
            model=chosen.model,
            model_digest=network.digest,
            profile=profile.name,
            space={name: to_json(dimension) for name, dimension in space.items()},
            starting_points=start.points,
            num_hand_tuned=start.num_hand_tuned,
            data=data,
            recipe=finish_recipe(recipe, space, stored),
            search=plan_search(asked, stored),
            curve=curve,
        )
    except ValidationError as exc:
        raise ConfigError(f"config: {describe_fault(exc)}; mend the option") from exc
    notes = (*fits, *start.notes, *network.list_cautions())
    return Plan(config, split, {config.label: network}, network.files, notes)


def _finish_curve(curve: CurveConfig, asked: CurveRequest | None, split: Split) -> CurveConfig:
    """Check a curve's sizes against the events, and note whose hyperparameters it trains with.

    Raises:
        DataError: when there are too few events, or those of the other sweep are not there to be
            compared.
    """
    if curve.sizes[-1] > len(split.train):
        raise DataError(
            f"events: fewer than the largest size, got {len(split.train)} training events, "
            f"expected at least {curve.sizes[-1]}; ask for fewer with --events or give more files"
        )
    if asked is None or asked.origin is None:
        return curve
    lender = asked.origin
    tuned_on = reopen_split(lender.config.data).validation
    origin = OriginConfig(
        sweep=lender.sweep,
        trial=lender.trial,
        num_train=lender.config.data.num_train,
        num_shared_validation=count_shared(split.validation, tuned_on),
    )
    return curve.model_copy(update={"origin": origin})


def _describe_data(
    request: Request, stored: SweepConfig | None, selection: Selection, split: Split
) -> DataConfig:
    """Describe the events; those of the stored sweep lie where it has them, unless moved.

    Raises:
        DataError: when the validation events hold no peak.
    """
    data = describe_split(selection, split)
    if stored is not None and data.is_same(stored.data):
        places = (request.data, request.val_data, request.test_data)
        named = (*places, request.x_key, request.y_key, request.variant)
        data = stored.data.move(data) if any(named) else stored.data
    if data.null_loss <= 0:
        raise DataError(
            "data: the validation events hold nothing to find, got a null loss of "
            f"{data.null_loss:.3g}, expected peaks in y; check the files"
        )
    return data

"""What is wrong with a request beside a stored sweep, told before torch and events are loaded."""

from __future__ import annotations

from pydantic import ValidationError

from sweep.config import SweepConfig, describe_fault
from sweep.data.asked import check_selection
from sweep.errors import ConfigError
from sweep.models.space import to_json
from sweep.plan.curve import plan_curve
from sweep.plan.defaults import fill_request
from sweep.plan.names import choose_name
from sweep.plan.network import (
    check_name,
    is_own,
    list_models,
    load_model,
    require_model,
    resolve_model,
)
from sweep.plan.parts import (
    finish_recipe,
    plan_data,
    plan_recipe,
    plan_search,
    plan_space,
    refuse_changes,
)
from sweep.plan.profile import CPU, choose_profile
from sweep.plan.request import Request
from sweep.plan.several import pair_models
from sweep.plan.space import check_training
from sweep.storage.engine import close_after, create_engine, parse_url
from sweep.storage.sweeps import find_stored


def check_request(request: Request, storage: str, name: str | None) -> None:
    """Refuse at once what needs neither torch nor events to be known as wrong.

    Raises:
        SweepError, StorageError: as `prepare_sweep`, which finds all that can be wrong.
    """
    name = choose_name(request, name)
    with close_after(create_engine(parse_url(storage))) as engine:
        stored = find_stored(engine, name)
    refuse_early(request, SweepConfig.from_json(stored.config) if stored else None)


def refuse_early(request: Request, stored: SweepConfig | None) -> None:
    """Refuse what is wrong whatever the network and the events are, before either is loaded.

    Raises:
        ConfigError, ModelError, DataError, ConflictError: as `plan_sweep`.
    """
    models = _name_models(request, stored)
    if stored is None:  # one that is stored brings its networks' files
        for one in models:
            check_name(one)
    curve = plan_curve(request.curve, stored)
    if stored is not None:
        refuse_changes(stored, stored.model_copy(update={"curve": curve}))
    asked = fill_request(request, stored, CPU)
    profile = choose_profile(str(asked.profile))
    recipe = plan_recipe(asked, profile, stored)
    try:
        search = plan_search(asked, stored)
    except ValidationError as exc:
        raise ConfigError(f"config: {describe_fault(exc)}; mend the option") from exc
    check_selection(plan_data(asked, profile, stored))
    pair_models(request.model, stored)
    model = models[0]
    if len(models) > 1 or is_own(model):  # what differs is told in one line, once files were read
        return
    num_train = stored.data.num_train if stored is not None and curve is None else None
    architecture = load_model(model).architecture
    space = plan_space(request, profile, stored, architecture, recipe, num_train)
    check_training(space)
    if stored is None:
        return
    counts = {"num_train": asked.events, "num_validation": asked.val_events}
    changes = {
        "data": stored.data.model_copy(update=counts),
        "model": model,
        "profile": profile.name,
        "recipe": finish_recipe(recipe, space, stored),
        "search": search,
    }
    if curve is None:
        changes["space"] = {name: to_json(dimension) for name, dimension in space.items()}
    refuse_changes(stored, stored.model_copy(update=changes))


def _name_models(request: Request, stored: SweepConfig | None) -> list[str]:
    if request.model is None and stored is not None:
        return [view.model for view in stored.narrow_all()]
    return [resolve_model(model) for model in list_models(require_model(request.model))]

"""Where a sample-size curve has its settings from: the best trial of a sweep, or its model.

A sweep lends the curve everything that is not asked for: hyperparameters, data, recipe, seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from sweep.config import SweepConfig
from sweep.errors import ConfigError
from sweep.models.space import Fixed
from sweep.models.value import Value
from sweep.plan.curve import REPEAT_NAME, SIZE_NAME
from sweep.plan.defaults import describe_request
from sweep.plan.names import name_search
from sweep.plan.network import (
    is_same_network,
    load_model,
    refuse_several,
    require_model,
    resolve_model,
)
from sweep.plan.request import CurveRequest, Origin, Request, merge_requests
from sweep.plan.space import read_space
from sweep.results.best import find_best_trial, get_number
from sweep.results.status import Status, read_status
from sweep.storage.sweeps import find_stored, find_sweep
from sweep.storage.tables import check_tables


def name_curve(engine: sa.Engine, model: str | None, lender: str | None) -> str:
    """Name the sample-size curve of a model, or of the model of the sweep that lends.

    Raises:
        ConfigError: when neither is given.
        UnknownSweepError: when there is no sweep of that name.
    """
    if model is None and lender is not None:
        check_tables(engine)
        config = SweepConfig.from_json(find_sweep(engine, lender).config)
        if config.architectures:
            return f"{lender} sample size"
        model = config.model
    refuse_several(model, "a sample-size curve")
    return f"{name_search(require_model(model))} sample size"


def complete_request(
    engine: sa.Engine, name: str, request: Request, asked: CurveRequest, lender: str | None
) -> Request:
    """Complete what was asked of a sample-size curve.

    Args:
        engine: The database, which need not hold any sweep.
        name: Of the curve. Where it is stored, it keeps everything that is not asked for.
        request: What was asked of it as of any sweep.
        asked: What was asked of the sizes.
        lender: Name of the sweep to take the settings from; None for the one named as the model,
            if it is there and has a best trial, else the architecture's own settings.

    Raises:
        ConfigError, ModelError: when the sweep or the model cannot lend its settings.
        UnknownSweepError: when there is no sweep of that name.
        SweepError: when it has no best trial.
    """
    found = find_stored(engine, name)
    stored = SweepConfig.from_json(found.config) if found else None
    model = request.model or (stored.model if stored else None)
    origin = find_origin(engine, model, lender) if lender or not stored else None
    request = replace(request, sampler="random", pruner="none", curve=replace(asked, origin=origin))
    if stored is not None:
        if origin is None and not request.fixed:
            return request
        return _fix(request, origin.params if origin else _read_settings(stored))
    if origin is not None:
        request = merge_requests(request, _lend(origin.config, request))
    if not request.data and asked.sizes:
        request = replace(request, events=max(asked.sizes))
    return _fix(request, origin.params if origin else _recommend_settings(request.model))


def find_origin(engine: sa.Engine, model: str | None, lender: str | None) -> Origin | None:
    """Find the trial whose hyperparameters a curve takes.

    Returns:
        The best of the sweep; None where no sweep was named and the model's own has none.

    Raises:
        ConfigError, UnknownSweepError, SweepError: when the sweep that was named has none.
    """
    if lender is None:
        sweep = find_stored(engine, name_search(model)) if model else None
    else:
        check_tables(engine)
        sweep = find_sweep(engine, lender)
    if sweep is None:
        return None
    status = read_status(engine, sweep)
    if lender is None and (not status.ranked or not _is_of(status, model)):
        return None
    if not _is_of(status, model):
        kind = "a sample-size curve" if status.config.curve else status.config.model
        raise ConfigError(
            f"from: no settings for this curve, got sweep {sweep.name} of {kind}, expected a "
            f"search of {model or 'a model'}; change --from"
        )
    from sweep.results.confirmation import (  # late: it loads what computes
        find_winner_or_best,
        say_winner_age,
    )

    part = _find_part(status, model)
    if part is not None:
        best = find_best_trial(part)
        return Origin(sweep.name, get_number(best), part.config, best.params)
    chosen, best = find_winner_or_best(engine, status)
    note, config = say_winner_age(engine, status), status.config.narrow_to(best.params)
    params = chosen.narrow_to(best)[1].params
    return Origin(chosen.sweep.name, get_number(best), config, params, note)


def _find_part(status: Status, model: str | None) -> Status | None:
    """Find what a sweep of several architectures has of the model; None where none is given."""
    if model is None or not status.config.architectures:
        return None
    files = status.load_files()
    found = (part for part in status.narrow_all() if is_same_network(model, part.config, files))
    return next(found, None)


def _recommend_settings(model: str | None) -> dict[str, Value]:
    """Give the settings that an architecture recommends, its defaults where it has none."""
    architecture = load_model(resolve_model(require_model(model))).architecture
    return {n: architecture.recommended.get(n, v) for n, v in architecture.defaults.items()}


def _read_settings(stored: SweepConfig) -> dict[str, Value]:
    space = read_space(stored)
    return {name: d.value for name, d in space.items() if isinstance(d, Fixed)}


def _fix(request: Request, settings: Mapping[str, Value]) -> Request:
    """Fix hyperparameters, but for those that were fixed otherwise."""
    names = settings.keys() - {SIZE_NAME, REPEAT_NAME}
    fixed = [f"{name}={Fixed(value)}" for name, value in settings.items() if name in names]
    return replace(request, fixed=(*fixed, *request.fixed))


def _is_of(status: Status, model: str | None) -> bool:
    """Say whether a sweep is a search of the model, or of any where none is given."""
    if status.config.curve is not None or model is None:
        return status.config.curve is None
    files = status.load_files()
    return any(is_same_network(model, part, files) for part in status.config.narrow_all())


def _lend(config: SweepConfig, asked: Request) -> Request:
    """Give what a sweep lends: its model, recipe and seed, and its data where none are asked."""
    lent = replace(
        describe_request(config),
        model=config.model,
        cost=None,
        test_data=(),
        events=None,
        test_events=None,
        sampler=None,
        pruner=None,
    )
    if asked.data or asked.val_data:
        return replace(
            lent, data=(), val_data=(), x_key=None, y_key=None, variant=None, val_events=None
        )
    return lent

"""Prepares the database for a sweep: schema, study, sweep row.

Exactly one process does this before any worker starts; several at once fail on a fresh database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from sweep.config import SweepConfig
from sweep.errors import ConfigError, ConflictError
from sweep.machine.provenance import describe_versions
from sweep.metrics.table import MIRRORED, OBJECTIVES
from sweep.plan.names import choose_name
from sweep.plan.plan import Plan, plan_sweep
from sweep.plan.profile import Profile
from sweep.plan.request import Request
from sweep.plan.several import move_networks
from sweep.plan.versions import list_outdated
from sweep.storage.database_file import name_user
from sweep.storage.edits import Entry
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.sources import read_files
from sweep.storage.sweeps import (
    Sweep,
    change_budget,
    change_config,
    count_trials,
    create_sweep,
    find_stored,
    find_sweep,
    request_stop,
)
from sweep.storage.tables import check_writable

DEFAULT_TRIALS = 50


def prepare_sweep(
    request: Request,
    storage: str,
    name: str | None,
    trials: int | None,
    profile: Profile,
    progress: Callable[[int, int], None] | None = None,
    make_room: Callable[[], None] | None = None,
    *,
    stops_when_flat: bool | None = None,
) -> tuple[sa.Engine, Sweep, list[str]]:
    """Create a sweep, or find it again and take back a request to stop it.

    Args:
        name: Of the sweep, or None for that of the model.
        trials: Its budget from now on, or None for what it has, DEFAULT_TRIALS at first.
        profile: Defaults of the devices that are here.
        make_room: Called before events are read where something is to be trained, which takes the
            right to write; a sweep that is trained already is only shown. What it raises passes
            through.
        stops_when_flat: As it was asked with it; where it was found flat, its budget of before then
            begins no trials anew.

    Returns:
        The database, the sweep, and what should be said about it.

    Raises:
        SweepError, StorageError: when something asked for cannot be; the database is then as it
            was.
        ConflictError: when the sweep exists and was asked to go on differently.
    """
    name = choose_name(request, name)
    engine = create_engine(parse_url(storage))
    stored = find_stored(engine, name)
    config = SweepConfig.from_json(stored.config) if stored else None
    flat = stored.flat if stored and stops_when_flat else None
    if stored and flat and trials and stored.budget <= trials <= flat.budget:
        trials = None
    if stored is None or not _is_trained(engine, stored, trials):
        if make_room is not None:
            make_room()
        check_writable(engine)
    kept = read_files(engine, stored.id) if stored else {}
    plan = plan_sweep(request, profile, config, progress, kept)
    notes = list(plan.notes)
    trials = _choose_budget(plan.config, trials)
    if stored is None:
        budget = trials or DEFAULT_TRIALS
        return engine, create_stored(engine, name, plan.config, budget, plan.files), notes
    if config is not None:
        notes += _go_on(engine, stored, config, plan, kept)
    if stored.stop_requested:
        request_stop(engine, stored.id, stop=False, entry=Entry(name_user(), "resumed it"))
    if trials is not None and trials != stored.budget:
        budget = change_budget(engine, stored.id, trials, name_user())
        if budget != trials:
            notes.append(f"{budget} trials have begun already; the budget stays {budget}")
    return engine, find_sweep(engine, name), notes


def _go_on(
    engine: sa.Engine,
    stored: Sweep,
    config: SweepConfig,
    plan: Plan,
    kept: Mapping[str, bytes],
) -> list[str]:
    """Store where the events and networks of a sweep lie now; say what of it is another."""
    moved = move_networks(config, plan.config).model_copy(update={"data": plan.config.data})
    if moved != config or plan.files != kept:
        _store_moves(engine, stored, moved, plan.files)
    return [
        *_describe_moves(config, moved),
        *(
            f"goes on with version {stored.version}, as it was changed to; {line}"
            for line in list_outdated(config, plan.config)
        ),
    ]


def _store_moves(
    engine: sa.Engine, stored: Sweep, moved: SweepConfig, files: Mapping[str, bytes]
) -> None:
    """Store where a sweep's events and its network lie now.

    Raises:
        ConflictError: when somebody else has just changed the sweep.
    """
    if not change_config(engine, stored, moved.to_json(), files):
        raise ConflictError(
            f"sweep {stored.name}: somebody else has just changed it, got two at once, expected "
            "one; run again to go on with it"
        )


def create_stored(
    engine: sa.Engine,
    name: str,
    config: SweepConfig,
    budget: int,
    files: Mapping[str, bytes],
    priority: int = 0,
) -> Sweep:
    """Create a sweep: the tables where they are missing, its studies, then its row.

    Raises:
        ConflictError: when somebody else has just created one of that name.
    """
    from sweep.storage import studies  # late: what is refused needs no study
    from sweep.storage.migrations import create_tables

    create_tables(engine)
    study_storage = studies.open_study_storage(engine.url)
    # The companion first: the dashboard lists the newest study first.
    studies.open_companion(study_storage, name, {label: m.goal for label, m in MIRRORED.items()})
    objective = OBJECTIVES[config.search.objective]
    studies.create_study(study_storage, name, direction=objective.goal, metric_name=objective.label)
    try:
        return create_sweep(
            engine, name, config.to_json(), describe_versions(), budget, files, priority
        )
    except sa.exc.IntegrityError as exc:
        raise ConflictError(
            f"sweep {name}: somebody else has just created it, got two at once, expected one; "
            "run again to go on with it"
        ) from exc


def _describe_moves(before: SweepConfig, now: SweepConfig) -> list[str]:
    """Say what of a sweep lies elsewhere from now on."""
    notes = []
    if before.data != now.data:
        old, new = (
            ", ".join((*data.files, *data.validation_files)) or "toy events"
            for data in (before.data, now.data)
        )
        notes.append(
            f"data: the same events as before, read from {new} from now on (they were in {old})"
        )
    if (before.model, before.model_digest) != (now.model, now.model_digest):
        notes.append(
            f"model: the same network as before, kept as it stands in {now.model} from now on"
        )
    return notes


def _is_trained(engine: sa.Engine, sweep: Sweep, trials: int | None) -> bool:
    """Say whether nothing is left of a sweep but to be shown."""
    is_spent = count_trials(engine, sweep.id).finished >= sweep.budget
    return is_spent and trials in (None, sweep.budget)


def _choose_budget(config: SweepConfig, asked: int | None) -> int | None:
    """Give the budget asked for; that of a sample-size curve follows from it."""
    if config.curve is None:
        return asked
    fixed = len(config.starting_points)
    if asked not in (None, fixed):
        raise ConfigError(
            f"trials: a sample-size curve has one for each size in each repeat, got {asked}, "
            f"expected {fixed}; leave --trials out"
        )
    return fixed

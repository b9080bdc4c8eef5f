"""A sweep that is changed while it runs: what may be changed, and how.

What cannot change the meaning of a trial's numbers may be another from a trial on: where the search
looks, and which trials it stops. Data, recipe and objective may not: trials of one sweep are
compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sweep.config import ChangeConfig, SweepConfig
from sweep.errors import ConfigError
from sweep.models.space import Dimension, to_json
from sweep.plan.network import open_kept
from sweep.plan.parts import check_front
from sweep.plan.priority import check_priority
from sweep.plan.request import Request
from sweep.plan.several import share_request
from sweep.plan.space import (
    check_space,
    check_training,
    read_assignments,
    read_space,
)
from sweep.search.strategy import choose_pruner, choose_sampler
from sweep.storage.changes import change_version, count_begun
from sweep.storage.edits import Entry
from sweep.storage.sources import read_files
from sweep.storage.sweeps import Sweep, find_sweep
from sweep.storage.transactions import read_time_s


@dataclass(frozen=True)
class AskedChange:
    """What a person wants changed; None or empty where they did not say.

    `dimensions` and `fixed` are texts as of a `Request`; `why` are the person's own words.
    """

    dimensions: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    trials: int | None = None
    priority: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    why: str | None = None


def change_sweep(
    engine: sa.Engine,
    sweep: Sweep,
    asked: AskedChange,
    author: str,
    others: Sequence[int] = (),
) -> Sweep:
    """Begin the next version of a sweep; trials get it that nobody has begun.

    Args:
        author: Who wants it.
        others: The ids of sweeps that have its priority.

    Returns:
        The sweep as it is now.

    Raises:
        ConfigError: when something asked for cannot be, or is so already.
        ModelError: when the network is somebody else's that is not trusted.
        StorageError: when the database fails; it is then as it was.
    """
    while True:
        config = SweepConfig.from_json(sweep.config)
        changed = plan_change(config, asked, _list_counts(engine, sweep, asked))
        _check_networks(engine, sweep, config, changed)
        by = {"author": author, "made_s": read_time_s(engine)}
        change = changed.changes[-1].model_copy(update=by)
        stored = changed.model_copy(update={"changes": (*config.changes, change)})
        is_stored = change_version(
            engine,
            sweep,
            stored.to_json(),
            first_slot=len(config.starting_points),
            entry=Entry(author, f"began version {sweep.version + 1}: {'; '.join(change.said)}"),
            budget=asked.trials,
            priority=asked.priority,
            others=others,
        )
        sweep = find_sweep(engine, sweep.name)
        if is_stored:
            return sweep


def _list_counts(engine: sa.Engine, sweep: Sweep, asked: AskedChange) -> list[str]:
    """List what is changed beside the config.

    Raises:
        ConfigError: when a number is out of range, or fewer trials are asked for than have begun.
    """
    check_priority(asked.priority)
    num_begun = count_begun(engine, sweep.id)
    if asked.trials is not None and asked.trials < max(1, num_begun):
        why = f", since {num_begun} have begun" if num_begun else ""
        raise ConfigError(
            f"trials: got {asked.trials}, expected at least {max(1, num_begun)}{why}; raise "
            "--trials"
        )
    pairs = (("trials", sweep.budget, asked.trials), ("priority", sweep.priority, asked.priority))
    return [f"{what} from {old} to {new}" for what, old, new in pairs if new not in (None, old)]


def plan_change(config: SweepConfig, asked: AskedChange, said: list[str]) -> SweepConfig:
    """Give the next version of a config.

    Args:
        said: What is changed beside the config.

    Raises:
        ConfigError: when something asked for cannot be, or nothing is changed.
    """
    words = (asked.dimensions, asked.fixed, asked.sampler, asked.pruner, asked.trials)
    if config.kind != "search" and any(words):
        raise ConfigError(
            f"sweep: its trials are all given, got a {config.kind}, expected a search; only its "
            "--priority can change"
        )
    parts, moves = _plan_spaces(config, asked)
    search = config.search
    if asked.sampler not in (None, search.sampler.name):
        search = search.model_copy(update={"sampler": choose_sampler(str(asked.sampler))})
    if asked.pruner not in (None, search.pruner.name):
        search = search.model_copy(update={"pruner": choose_pruner(str(asked.pruner))})
        check_front(search.objective, asked.pruner)
    rules = [
        f"{what} from {getattr(config.search, what).name} to {getattr(search, what).name}"
        for what in ("sampler", "pruner")
        if getattr(search, what) != getattr(config.search, what)
    ]
    said = [*moves, *rules, *said]
    if not said:
        raise ConfigError(
            "change: nothing would be another, got what holds already, expected a new --set, "
            "--fix, --trials, --priority, --sampler or --pruner; `sweep status` shows the versions"
        )
    now = config.model_copy(update={**parts, "search": search})
    then = config.to_json()
    before = {key: then[key] for key, value in now.to_json().items() if value != then[key]}
    why = " ".join(asked.why.split()) if asked.why else None
    change = ChangeConfig(made_s=0.0, author="", why=why or None, said=tuple(said), before=before)
    return now.model_copy(update={"changes": (*config.changes, change)})


def _plan_spaces(config: SweepConfig, asked: AskedChange) -> tuple[dict[str, Any], list[str]]:
    """Give the spaces of a config as they shall be, and what is another in them.

    In a sweep of several architectures `cnn.lr=...` is of one, `lr=...` of all that have it.
    """
    request = Request(dimensions=asked.dimensions, fixed=asked.fixed)
    views = config.narrow_all()
    old = {view.label: read_space(view) for view in views}
    shares = share_request(request, old) if config.architectures else {views[0].label: request}
    said, written = [], {}
    for label, then in old.items():
        now = read_assignments(shares[label], then)
        check_training(now)
        head = f"{label}." if config.architectures else ""
        said += [f"{head}{line}" for line in _list_moves(then, now)]
        written[label] = {name: to_json(dimension) for name, dimension in now.items()}
    if not said:
        return {}, []
    if not config.architectures:
        return {"space": written[views[0].label]}, said
    parts = [one.model_copy(update={"space": written[one.label]}) for one in config.architectures]
    return {"architectures": tuple(parts)}, said


def _list_moves(old: Mapping[str, Dimension], new: Mapping[str, Dimension]) -> list[str]:
    """List what of a space is another."""
    return [
        f"{name} from {old[name]} to {dimension}" if name in old else f"{name} to {dimension}"
        for name, dimension in new.items()
        if old.get(name) != dimension
    ]


def _check_networks(
    engine: sa.Engine, sweep: Sweep, config: SweepConfig, changed: SweepConfig
) -> None:
    """Make sure that networks can be built at the ends of a space, where that is another for them.

    Raises:
        ConfigError: when one cannot.
        ModelError: when the network is somebody else's that is not trusted.
    """
    files = read_files(engine, sweep.id)
    for view, now in zip(config.narrow_all(), changed.narrow_all(), strict=True):
        if view.space == now.space:
            continue
        architecture = open_kept(view, files).architecture
        space, old = read_space(now), read_space(view)
        names = architecture.network_hyperparameters
        if any(space[name] != old[name] for name in space if name in names):
            check_space(architecture, space)

"""What a person may change of a sweep that is there: stop, resume, priority, a point of their own,
and where it looks by which rules.

The command line, Python and the dashboard's pages all come here, so that each of them checks and
does the same, and stores who did it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from sweep.config import SweepConfig
from sweep.errors import ConfigError
from sweep.metrics.wording import describe_point
from sweep.models.space import Fixed
from sweep.models.value import Value
from sweep.plan.changes import AskedChange, change_sweep
from sweep.plan.points import read_point, read_points
from sweep.plan.priority import check_priority
from sweep.plan.space import list_dimensions, read_space
from sweep.results.confirmation import add_confirmations
from sweep.storage.edits import Entry
from sweep.storage.points import add_points, count_free
from sweep.storage.sweeps import Sweep, count_trials, request_stop, set_priority

Points = Sequence[Mapping[str, Value]]


@dataclass(frozen=True)
class Resumed:
    """A sweep that was resumed, and how many of its trials wait for workers."""

    sweep: Sweep
    num_idle: int


def stop_sweep(engine: sa.Engine, sweep: Sweep, author: str) -> list[Sweep]:
    """Ask all workers of a sweep, its confirmation and its audit to stop after their epoch.

    Returns:
        Those of the three that are not finished, and so stop; none where there is nothing to stop.
    """
    found = [
        one
        for one in add_confirmations(engine, [sweep])
        if count_trials(engine, one.id).finished < one.budget
    ]
    for one in found:
        request_stop(engine, one.id, entry=Entry(author, "stopped it"))
    return found


def resume_sweep(engine: sa.Engine, sweep: Sweep, author: str) -> list[Resumed]:
    """Take `stop_sweep` back: workers that stay, and those that come, go on."""
    found = []
    for one in add_confirmations(engine, [sweep]):
        entry = Entry(author, "resumed it") if one.stop_requested else None
        request_stop(engine, one.id, stop=False, entry=entry)
        found.append(Resumed(one, count_trials(engine, one.id).idle))
    return found


def change_priority(engine: sa.Engine, sweep: Sweep, priority: int, author: str) -> None:
    """Set whose turn a sweep is: workers take the open sweep of the highest priority first.

    Raises:
        ConfigError: when it is out of range.
    """
    check_priority(priority)
    others = [one.id for one in add_confirmations(engine, [sweep])[1:]]
    entry = Entry(author, f"changed the priority from {sweep.priority} to {priority}")
    set_priority(engine, sweep.id, priority, entry, others)


def begin_version(engine: sa.Engine, sweep: Sweep, asked: AskedChange, author: str) -> Sweep:
    """Change where a sweep looks, by which rules, how far or how soon: a new version of it.

    Its confirmation and its audit have its priority.

    Returns:
        The sweep as it is now.

    Raises:
        ConfigError, ModelError, StorageError: as `change_sweep`.
    """
    others = [one.id for one in add_confirmations(engine, [sweep])[1:]]
    return change_sweep(engine, sweep, asked, author, others)


def try_points(
    engine: sa.Engine, sweep: Sweep, said: Sequence[str] | Path, author: str
) -> tuple[Points, list[int]]:
    """Have a person's own points tried next, in trials that nobody has begun.

    Args:
        said: The values of one point, as `read_point` takes them, or a CSV file of several.

    Returns:
        The points, and their slots.

    Raises:
        ConfigError: when the sweep is no search, or a point cannot be read or is not in its space.
        StorageError: when fewer trials are left than there are points.
    """
    config = SweepConfig.from_json(sweep.config)
    if config.kind != "search":
        raise ConfigError(
            f"sweep {sweep.name}: its trials are all given, got a {config.kind}, expected a "
            "search; name another"
        )
    spaces = read_space(config), {one.label: read_space(one) for one in config.architectures}
    points = read_points(said, *spaces) if isinstance(said, Path) else [read_point(said, *spaces)]
    entries = [Entry(author, f"added a point: {describe_point(point)}") for point in points]
    return points, add_points(engine, sweep, points, len(config.starting_points), entries)


@dataclass(frozen=True)
class Openings:
    """What a person's own points may be for a sweep.

    Attributes:
        num_trials: That such points may take; 0 where none can be added.
        space: The hyperparameters that have more than one value, and what they may be.
    """

    num_trials: int
    space: Mapping[str, str]


def find_openings(engine: sa.Engine, sweep: Sweep) -> Openings:
    """Find what `try_points` would take of a sweep now."""
    config = SweepConfig.from_json(sweep.config)
    if config.kind != "search":
        return Openings(0, {})
    space = {
        name: " or ".join(dict.fromkeys(map(str, dimensions)))
        for name, dimensions in list_dimensions(config).items()
        if not all(isinstance(dimension, Fixed) for dimension in dimensions)
    }
    return Openings(count_free(engine, sweep, len(config.starting_points)), space)

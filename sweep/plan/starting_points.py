"""What a sweep tries first: the settings tuned by hand, then the recommended one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models import TRAINING_HYPERPARAMETERS, Architecture
from models.space import Choice, Dimension, Value, write_value
from sweep.config import CurveConfig, Recipe, SweepConfig
from sweep.plan.curve import list_points
from sweep.plan.profile import CPU, Profile
from sweep.plan.request import Request
from sweep.search.suggestion import find_nearest


@dataclass(frozen=True)
class StartingPoints:
    """What is tried before the sampler chooses, and what should be said about it."""

    points: tuple[dict[str, Value], ...]
    num_hand_tuned: int
    notes: tuple[str, ...]


def plan_starting_points(
    request: Request,
    stored: SweepConfig | None,
    architecture: Architecture,
    space: Mapping[str, Dimension],
    curve: CurveConfig | None,
    profile: Profile,
    recipe: Recipe,
) -> StartingPoints:
    """Choose what is tried first.

    Args:
        request: What was asked; where it changes the space, the points are moved into that.
        stored: The config of the sweep that goes on, or None.
        architecture: Whose points they are.
        space: The sweep's.
        curve: Of sample size, whose trials are all given; None for a search.
        profile: Of the device: in that of a CPU, where the report's networks take minutes an epoch,
            sizes move into the space.
        recipe: How a trial is trained; the report's keeps all of its points as they are.
    """
    if curve is not None:
        return StartingPoints(list_points(curve), 0, ())
    if stored is not None and not request.dimensions and not request.fixed:
        return StartingPoints(stored.starting_points, stored.num_hand_tuned, ())
    changed = {text.partition("=")[0].strip() for text in (*request.dimensions, *request.fixed)}
    if profile == CPU and recipe.name != "report":
        changed |= architecture.cpu_space.keys() - set(TRAINING_HYPERPARAMETERS)
    points, notes = _plan_points(architecture, space, changed)
    return StartingPoints(points, min(len(points), len(architecture.starting_points)), notes)


def _plan_points(
    architecture: Architecture, space: Mapping[str, Dimension], changed: set[str]
) -> tuple[tuple[dict[str, Value], ...], tuple[str, ...]]:
    """Complete the points that are tried first: the hand-tuned ones, then the recommended one.

    They are tried as they are, also where they lie outside the profile's space; only within
    `changed` dimensions does a value move to the nearest.

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

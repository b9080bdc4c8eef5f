"""What a sweep tries first: the settings tuned by hand, then the recommended one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sweep.config import CurveConfig, Recipe, SweepConfig
from sweep.models import TRAINING_HYPERPARAMETERS, Architecture
from sweep.models.space import Choice, Dimension
from sweep.models.value import Value, write_value
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
    is_small = profile == CPU and recipe.name != "report"
    if is_small:
        changed |= architecture.cpu_space.keys() - set(TRAINING_HYPERPARAMETERS)
    recommended = architecture.select_recommended(on_cpu=is_small)
    return _plan_points(architecture, recommended, space, changed)


def _plan_points(
    architecture: Architecture,
    recommended: Mapping[str, Value],
    space: Mapping[str, Dimension],
    changed: set[str],
) -> StartingPoints:
    """Complete the points that are tried first: the hand-tuned ones, then the recommended one.

    They are tried as they are, also where they lie outside the profile's space; only within
    `changed` dimensions does a value move to the nearest. Of equal ones the last counts, so that a
    hand-tuned point which the recommended one equals is that.
    """
    asked = [point for point in (*architecture.starting_points, recommended) if point]
    points = [_complete(architecture, space, changed, point) for point in asked]
    kept = [index for index, point in enumerate(points) if point not in points[index + 1 :]]
    num_hand_tuned = sum(index < len(architecture.starting_points) for index in kept)
    moves = [_describe_moves(asked[index], points[index]) for index in kept]
    notes = tuple(
        f"starting point {slot}: moved {moved}, the nearest in the space"
        for slot, moved in enumerate(moves)
        if moved
    )
    return StartingPoints(tuple(points[index] for index in kept), num_hand_tuned, notes)


def _complete(
    architecture: Architecture,
    space: Mapping[str, Dimension],
    changed: set[str],
    point: Mapping[str, Value],
) -> dict[str, Value]:
    """Complete a point by the architecture's defaults, moved where it may be."""
    complete: dict[str, Value] = {}
    for name, dimension in space.items():
        if name not in point and name not in architecture.defaults:
            continue
        asked = point[name] if name in point else architecture.defaults[name]
        is_kept = name in point and name not in changed and not isinstance(dimension, Choice)
        complete[name] = asked if is_kept else find_nearest(dimension, asked)
    return complete


def _describe_moves(asked: Mapping[str, Value], point: Mapping[str, Value]) -> str:
    """Say which values of a point were moved; empty where none was."""
    return ", ".join(
        f"{name} {write_value(value)} to {write_value(point[name])}"
        for name, value in asked.items()
        if name in point and point[name] != value
    )

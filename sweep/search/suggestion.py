"""From a search space to suggestions: hyperparameters in the study's terms and in our own."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.value import Value, get_number, is_number, is_same, write_value

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def name_in_study(
    space: Mapping[str, Dimension], prefixed: Collection[str] = (), label: str = ""
) -> dict[str, str]:
    """Name the searched hyperparameters in the study, by their own names.

    Optuna has no scale that is logarithmic in 1 - value, so the study holds `1 - beta1`.

    Args:
        prefixed: Hyperparameters that have the architecture's label before their names.
    """
    names = {}
    for name, dimension in space.items():
        if not isinstance(dimension, Fixed):
            owned = f"{label}.{name}" if name in prefixed else name
            names[name] = f"1 - {owned}" if _is_mirrored(dimension) else owned
    return names


def _is_mirrored(dimension: Dimension) -> bool:
    """Say whether the study holds 1 - value."""
    return isinstance(dimension, Float) and dimension.scale == "one_minus_log"


def suggest(
    trial: BaseTrial,
    space: Mapping[str, Dimension],
    point: Mapping[str, Value],
    names: Mapping[str, str] | None = None,
) -> dict[str, Value]:
    """Ask a trial for a value of every hyperparameter.

    Args:
        trial: Of a study with the sampler to ask; begun with the point's values fixed.
        space: The sweep's; fixed dimensions do not reach the study.
        point: The starting point that the trial tries, or nothing. It may lie outside the space.
        names: As `name_in_study` gives them; None where nothing is prefixed.

    Returns:
        Every hyperparameter's value, by its own name.
    """
    names = name_in_study(space) if names is None else names
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Fixed parameter .* is out of range", UserWarning)
        values = {
            name: dimension.value
            if isinstance(dimension, Fixed)
            else _suggest_one(trial, names[name], dimension)
            for name, dimension in space.items()
        }
    return {
        name: point.get(name, value) if isinstance(space[name], Fixed) else value
        for name, value in values.items()
    }


def _suggest_one(trial: BaseTrial, name: str, dimension: Choice | Int | Float) -> Value:
    if isinstance(dimension, Choice):
        choices: list[Any] = [_name_choice(value) for value in dimension.values]
        chosen: Any = trial.suggest_categorical(name, choices)
        return next(v for v, c in zip(dimension.values, choices, strict=True) if is_same(c, chosen))
    if isinstance(dimension, Int):
        return trial.suggest_int(
            name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    if dimension.scale == "one_minus_log":
        low, high = _subtract(dimension.high), _subtract(dimension.low)
        return _subtract(trial.suggest_float(name, low, high, log=True))
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.scale == "log")


def fix_point(
    point: Mapping[str, Value],
    space: Mapping[str, Dimension],
    names: Mapping[str, str] | None = None,
) -> dict[str, Value]:
    """Give a starting point in the study's terms.

    Args:
        point: Values by the hyperparameters' own names.
        names: As `name_in_study` gives them; None where nothing is prefixed.

    Returns:
        Values by the study's parameter names, for each searched hyperparameter of the point.
    """
    names = name_in_study(space) if names is None else names
    return {
        names[name]: _subtract(get_number(value))
        if _is_mirrored(space[name])
        else _name_choice(value)
        for name, value in point.items()
        if name in names
    }


def find_misfits(point: Mapping[str, Value], space: Mapping[str, Dimension]) -> dict[str, str]:
    """Find the values of a starting point that no trial of a space can have, and say why.

    Outside of a range a value may lie, but of a choice it must be one, and what has a range must be
    a number.
    """
    misfits = {}
    for name, value in point.items():
        dimension = space.get(name)
        if dimension is None:
            rule = f"one of {', '.join(space)}"
        elif isinstance(dimension, Choice) and not dimension.contains(value):
            rule = " or ".join(write_value(one) for one in dimension.values)
        elif isinstance(dimension, Int | Float) and not is_number(value):
            rule = "a number"
        else:
            continue
        misfits[name] = f"{name}: outside the space, got {write_value(value)}, expected {rule}"
    return misfits


def _name_choice(value: Value) -> Value:
    """Give a choice in the study's terms: Optuna takes no lists, so they are text there."""
    return write_value(value) if isinstance(value, list) else value


def list_ends(dimension: Dimension) -> list[Value]:
    """List the extreme values of a dimension: both ends of a range, or all choices."""
    if isinstance(dimension, Fixed):
        return [dimension.value]
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return [dimension.low, dimension.high]


def find_nearest(dimension: Dimension, value: Value) -> Value:
    """Find the value of a dimension that is nearest to another: the first where none is near."""
    if dimension.contains(value):
        return value
    if isinstance(dimension, Fixed):
        return dimension.value
    if isinstance(dimension, Choice):
        if not all(map(is_number, (value, *dimension.values))):
            return dimension.values[0]
        asked = get_number(value)
        return min(dimension.values, key=lambda choice: abs(get_number(choice) - asked))
    low, high = dimension.low, dimension.high
    clipped = min(max(float(get_number(value)), low), high) if is_number(value) else low
    if isinstance(dimension, Int):
        return low + round((clipped - low) / dimension.step) * dimension.step
    return clipped


def _subtract(value: float) -> float:
    """Compute 1 - value without the tail of binary digits, so that 0.999 becomes 0.001."""
    return round(1.0 - value, 12)

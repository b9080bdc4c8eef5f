"""Search spaces: what a hyperparameter may be, as plain data and as the text a person types.

Nothing here knows a sampler. Whoever runs a sweep turns each dimension into its sampler's terms,
so that a network and the space it is searched in can live in one file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Value: TypeAlias = float | int | str
Scale: TypeAlias = Literal["linear", "log", "one_minus_log"]
SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True)
class Float:
    """A real number between two bounds, both allowed.

    Attributes:
        low: Smallest value.
        high: Largest value.
        scale: Scale the values are spread on: `linear`, `log`, or `one_minus_log` when one minus
            the value is spread on a log scale, as suits Adam's betas.
    """

    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        """Check the bounds against each other and against the scale.

        Raises:
            ValueError: When a bound is not a finite number, low is not below high, the scale is
                unknown, or the scale cannot hold the bounds.
        """
        for name in ("low", "high"):
            bound = getattr(self, name)
            if not _is_real(bound):
                raise ValueError(
                    f"Float.{name}: not a number, got {bound!r}, expected a finite one"
                )
            object.__setattr__(self, name, float(bound))
        if not self.low < self.high:
            raise ValueError(
                f"Float: low must be below high, got low={self.low} high={self.high}; "
                "swap them, or fix the value"
            )
        if self.scale not in SCALES:
            raise ValueError(f"Float.scale: unknown, got {self.scale!r}, expected one of {SCALES}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(
                f"Float: a log scale needs positive bounds, got low={self.low}; raise low"
            )
        if self.scale == "one_minus_log" and self.high >= 1:
            raise ValueError(
                f"Float: scale one_minus_log needs bounds below 1, got high={self.high}; lower high"
            )

    def contains(self, value: Value) -> bool:
        """Tell whether a value lies in the range (NaN, text and booleans never do)."""
        return _is_real(value) and self.low <= float(value) <= self.high

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        suffix = "" if self.scale == "linear" else f":{self.scale}"
        return f"{self.low!r}:{self.high!r}{suffix}"


@dataclass(frozen=True)
class Int:
    """A whole number between two bounds, both allowed.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether values are spread on a log scale; needs step 1 and positive bounds.
        step: Distance of neighbouring values; must divide high - low.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        """Check the bounds against each other, the scale and the step.

        Raises:
            ValueError: When a bound or the step is not a whole number, low is not below high, a
                log scale has a bound under 1 or a step other than 1, or the step does not fit.
        """
        for name in ("low", "high", "step"):
            number = getattr(self, name)
            if not _is_whole(number):
                raise ValueError(f"Int.{name}: not whole, got {number!r}, expected an integer")
        if not self.low < self.high:
            raise ValueError(
                f"Int: low must be below high, got low={self.low} high={self.high}; "
                "swap them, or fix the value"
            )
        if self.log and (self.low < 1 or self.step != 1):
            raise ValueError(
                f"Int: a log scale needs low >= 1 and step 1, got low={self.low} step={self.step}; "
                "raise low, or leave the step out"
            )
        if self.step < 1 or (self.high - self.low) % self.step:
            raise ValueError(
                f"Int.step: must be positive and divide high - low, got step={self.step} for "
                f"{self.low}:{self.high}; change high"
            )

    def contains(self, value: Value) -> bool:
        """Tell whether a value is one of the whole numbers of the range (2.0 counts as 2)."""
        if not _is_real(value) or float(value) != int(value):
            return False
        return self.low <= int(value) <= self.high and (int(value) - self.low) % self.step == 0

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        suffix = ":log" if self.log else f":step={self.step}" if self.step != 1 else ""
        return f"{self.low}:{self.high}{suffix}"


@dataclass(frozen=True)
class Choice:
    """One of several values that have no order.

    Attributes:
        values: At least two different values, all numbers or all text.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: When there are fewer than two, two are equal, one is not finite, or
                numbers and text are mixed.
        """
        object.__setattr__(self, "values", tuple(self.values))
        if len(self.values) < 2:
            raise ValueError(
                f"Choice: too few values, got {self.values!r}, expected two or more; "
                "fix a single value instead"
            )
        if len(set(self.values)) != len(self.values):
            raise ValueError(f"Choice: the same value twice, got {self}; leave one out")
        for value in self.values:
            _check_value("Choice", value)
        if len({isinstance(value, str) for value in self.values}) > 1:
            raise ValueError(f"Choice: numbers and text are mixed, got {self}; use one kind")

    def contains(self, value: Value) -> bool:
        """Tell whether a value is one of the choices (16.0 counts as 16)."""
        return not isinstance(value, bool) and value in self.values

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        return ",".join(_write_value(value) for value in self.values)


@dataclass(frozen=True)
class Fixed:
    """One value, not searched.

    Attributes:
        value: The value, a finite number or text.
    """

    value: Value

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ValueError: When it is neither a finite number nor text.
        """
        _check_value("Fixed", self.value)

    def contains(self, value: Value) -> bool:
        """Tell whether a value is the fixed one (16.0 counts as 16)."""
        return not isinstance(value, bool) and value == self.value

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        return _write_value(self.value)


Dimension: TypeAlias = Float | Int | Choice | Fixed
_KINDS: dict[str, type[Dimension]] = {
    "float": Float,
    "int": Int,
    "choice": Choice,
    "fixed": Fixed,
}


def to_json(dimension: Dimension) -> dict[str, object]:
    """Turn a dimension into a plain dict that JSON can hold.

    Args:
        dimension: Any dimension.

    Returns:
        Its `kind` (float, int, choice or fixed) and its fields by name.
    """
    kind = next(name for name, cls in _KINDS.items() if isinstance(dimension, cls))
    fields = {
        name: list(field) if isinstance(field, tuple) else field
        for name, field in vars(dimension).items()
    }
    return {"kind": kind, **fields}


def from_json(stored: Mapping[str, object]) -> Dimension:
    """Turn a dict written by `to_json` back into its dimension.

    Args:
        stored: `kind` and fields.

    Returns:
        The dimension, checked again.

    Raises:
        ValueError: When the kind is unknown, a field is missing or unknown, or the dimension
            itself is refused.
    """
    fields = dict(stored)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"dimension: unknown kind, got {kind!r}, expected one of {list(_KINDS)}")
    try:
        return _KINDS[kind](**fields)  # type: ignore[arg-type]  # each class checks its own fields
    except TypeError as exc:
        raise ValueError(f"dimension: fields do not fit {kind}, got {sorted(fields)}") from exc


def _is_real(value: object) -> bool:
    """Tell whether a value is a finite number and no boolean."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]  # a number by now


def _is_whole(value: object) -> bool:
    """Tell whether a value is an integer and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_value(where: str, value: object) -> None:
    """Refuse what is neither a finite number nor text that can be typed back."""
    is_text = isinstance(value, str) and value == value.strip() and bool(value)
    if is_text and not any(mark in str(value) for mark in ":,"):
        return
    if not _is_real(value):
        raise ValueError(
            f"{where}: not a value, got {value!r}, expected a finite number or text without "
            "colon, comma or outer spaces"
        )


def _write_value(value: Value) -> str:
    """Write one value so that reading it gives the same type again."""
    return value if isinstance(value, str) else repr(value)

"""Search spaces: what a hyperparameter may be, as plain data; as text in `sweep.models.space_text`.

Nothing here knows a sampler. Whoever runs a sweep turns each dimension into its sampler's terms,
so that a network and the space it is searched in can live in one file. A dimension that makes no
sense is refused where it is made, by a `ValueError`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sweep.models.value import (
    NONE_WORDS,
    NOTHING,
    Value,
    clean_value,
    get_kind,
    get_number,
    is_number,
    is_same,
    quote,
    write_value,
)

Scale: TypeAlias = Literal["linear", "log", "one_minus_log"]
SCALES: tuple[Scale, ...] = get_args(Scale)
MAX_WHOLE = 2**53
"""Samplers compute in double precision, which holds whole numbers up to this one."""


@dataclass(frozen=True)
class Float:
    """A real number between two bounds, both allowed.

    Attributes:
        scale: Scale the values are spread on: `linear`, `log`, or `one_minus_log` when one minus
            the value is spread on a log scale, as suits Adam's betas.
    """

    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        """Refuse bounds that are not finite or not in order, and a scale that cannot hold them."""
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
        return _is_real(value) and self.low <= get_number(value) <= self.high

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        suffix = "" if self.scale == "linear" else f":{self.scale}"
        return f"{self.low!r}:{self.high!r}{suffix}"


@dataclass(frozen=True)
class Int:
    """A whole number between two bounds, both allowed.

    Attributes:
        log: Whether values are spread on a log scale; needs step 1 and positive bounds.
        step: Distance of neighbouring values; must divide high - low.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        """Refuse bounds and a step that are not whole, not in order, or do not fit each other."""
        for name in ("low", "high", "step"):
            number = getattr(self, name)
            if not _is_whole(number):
                raise ValueError(f"Int.{name}: not whole, got {number!r}, expected an integer")
            if abs(number) > MAX_WHOLE:
                raise ValueError(
                    f"Int.{name}: too far from 0, got {number}, expected at most 2**53; list the "
                    "values as choices"
                )
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
        if not _is_real(value) or get_number(value) != int(get_number(value)):
            return False
        number = int(get_number(value))
        return self.low <= number <= self.high and (number - self.low) % self.step == 0

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        suffix = ":log" if self.log else f":step={self.step}" if self.step != 1 else ""
        return f"{self.low}:{self.high}{suffix}"


@dataclass(frozen=True)
class Choice:
    """One of several values that have no order.

    Attributes:
        values: At least two different values of one kind: numbers, text, truth values or lists;
            one of them may be None.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Refuse fewer than two values, equal ones and mixed kinds; NumPy's become Python's."""
        if not isinstance(self.values, list | tuple):
            raise ValueError(f"Choice: no list of values, got {self.values!r}, expected several")
        values = tuple(clean_value("Choice", value) for value in self.values)
        object.__setattr__(self, "values", values)
        if len(values) < 2:
            raise ValueError(
                f"Choice: too few values, got {values!r}, expected two or more; "
                "fix a single value instead"
            )
        kinds = list(dict.fromkeys(map(get_kind, values)))
        mixed = [kind for kind in kinds if kind != NOTHING]
        if len(mixed) > 1:
            raise ValueError(f"Choice: {' and '.join(mixed)} are mixed, got {self}; use one kind")
        if any(is_same(a, b) for n, a in enumerate(values) for b in values[:n]):
            raise ValueError(f"Choice: the same value twice, got {self}; leave one out")

    def contains(self, value: Value) -> bool:
        """Tell whether a value is one of the choices (16.0 counts as 16, True not as 1)."""
        return any(is_same(value, choice) for choice in self.values)

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        is_optional = None in self.values
        return ",".join(
            quote(str(value)) if is_optional and value in NONE_WORDS else write_value(value)
            for value in self.values
        )


@dataclass(frozen=True)
class Fixed:
    """One value, not searched."""

    value: Value

    def __post_init__(self) -> None:
        """Refuse what is no value (`clean_value`); a scalar of NumPy becomes one of Python."""
        object.__setattr__(self, "value", clean_value("Fixed", self.value))

    def contains(self, value: Value) -> bool:
        """Tell whether a value is the fixed one (16.0 counts as 16, True not as 1)."""
        return is_same(value, self.value)

    def __str__(self) -> str:
        """Write the text form that `parse_dimension` reads back."""
        return write_value(self.value)


Dimension: TypeAlias = Float | Int | Choice | Fixed
_KINDS: dict[str, type[Dimension]] = {
    "float": Float,
    "int": Int,
    "choice": Choice,
    "fixed": Fixed,
}


def to_json(dimension: Dimension) -> dict[str, object]:
    """Turn a dimension into a plain dict that JSON can hold: its `kind`, and its fields by name."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(dimension, cls))
    fields = {
        name: list(field) if isinstance(field, tuple) else field
        for name, field in vars(dimension).items()
    }
    return {"kind": kind, **fields}


def from_json(stored: Mapping[str, object]) -> Dimension:
    """Turn a dict written by `to_json` back into its dimension.

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
    return is_number(value) and abs(value) <= sys.float_info.max


def _is_whole(value: object) -> bool:
    """Tell whether a value is an integer and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)

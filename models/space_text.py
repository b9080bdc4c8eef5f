"""Dimensions as a person writes them: text after `--set`, Python in a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sweep.models.space import SCALES, Choice, Dimension, Fixed, Float, Int
from sweep.models.value import (
    NONE_WORDS,
    NOTHING,
    NUMBERS,
    TEXT,
    WORDS,
    Value,
    clean_value,
    get_kind,
    get_number,
    read_value,
    split_outside,
)


def build_dimension(written: object, current: Dimension | None = None) -> Dimension:
    """Build a dimension from what a person's Python file says it is.

    Forms: a dimension; text as `parse_dimension` takes it; a list, tuple or NumPy array of
    choices; a `range` of whole numbers; any other value, which is then fixed. A list that holds a
    single value fixes it, so `[[8, 16]]` fixes a list.

    Args:
        current: As in `parse_dimension`.

    Raises:
        ValueError: When it is none of these, is empty, or the dimension itself is refused.
    """
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(written, numpy.generic | numpy.ndarray):
        written = written.tolist()
    if isinstance(written, Float | Int | Choice | Fixed):
        return written
    if type(written) is str:
        return parse_dimension(written, current)
    if isinstance(written, range) and len(written) > 1:
        low, high = sorted((written[0], written[-1]))
        return Int(low, high, step=abs(written.step))
    if not isinstance(written, list | tuple | range):
        return Fixed(_fit(clean_value("dimension", written), current, written))
    values = [_fit(clean_value("dimension", value), current, written) for value in written]
    if not values:
        raise ValueError(f"dimension: no values, got {written!r}, expected at least one")
    return Fixed(values[0]) if len(values) == 1 else Choice(tuple(values))


def read_earlier(text: str) -> Dimension:
    """Read a dimension as earlier versions stored it: text without quotes, lists or truth values.

    Raises:
        ValueError: When it is not readable.
    """
    if ":" in text:
        return parse_dimension(text)
    values = tuple(
        part if part in WORDS or part[:1] in ('"', "[") else read_value(part)
        for part in text.split(",")
    )
    return Fixed(values[0]) if len(values) == 1 else Choice(values)


def parse_dimension(text: str, current: Dimension | None = None) -> Dimension:
    """Read a dimension from its text form.

    Forms: `1e-4:1e-2:log` or `8:64:log` (range with a scale), `0.8:0.99` or `1:4` (range that
    keeps the scale of the dimension it replaces), `16:64:step=16` (whole numbers), `32,64,96`,
    `relu,none` or `true,false` (choices), `64` (one fixed value). A value is a number, `true`,
    `false`, `null` (None), a JSON list as `[8,16]`, or else text, which double quotes hold
    together: `"8"`, `"a,b"`. Where the dimension that is replaced has such a text, it is meant;
    where it holds None or no text, `none` means None.

    Args:
        current: Dimension that is replaced, if known. It decides the scale of a range without
            one, whether a range of integers means whole numbers (yes also when there is none),
            and which kind of value is right.

    Raises:
        ValueError: When the text is empty, a part is missing or of the wrong kind, the scale is
            unknown, or the dimension itself is refused.
    """
    parts = split_outside(text, ":")
    if not all(parts) or len(parts) > 3:
        raise ValueError(
            f"dimension: not readable, got {text!r}, expected low:high, low:high:log, a,b,c or "
            "one value"
        )
    if len(parts) == 1:
        return _parse_values(text, current)
    return _parse_range(text, parts, current)


def _parse_values(text: str, current: Dimension | None) -> Dimension:
    """Read `a,b,c` or a single value."""
    parts = split_outside(text, ",")
    if not all(parts):
        raise ValueError(f"dimension: an empty value, got {text!r}, expected a,b,c; remove a comma")
    values = tuple(_read_fitting(part, current, text) for part in parts)
    return Fixed(values[0]) if len(values) == 1 else Choice(values)


def _parse_range(text: str, parts: list[str], current: Dimension | None) -> Dimension:
    """Read `low:high`, with or without a scale or step."""
    low, high = (_read_fitting(part, current, text) for part in parts[:2])
    if get_kind(low) != NUMBERS or get_kind(high) != NUMBERS:
        raise ValueError(f"dimension: a range needs numbers, got {text!r}, expected low:high")
    option = parts[2] if len(parts) == 3 else None
    low, high = get_number(low), get_number(high)
    is_whole = isinstance(low, int) and isinstance(high, int) and option != "one_minus_log"
    if is_whole and (current is None or not _is_float(current)):
        return _parse_int(text, int(low), int(high), option, current)
    if option is None:
        return Float(low, high, current.scale if isinstance(current, Float) else "linear")
    for scale in SCALES:
        if option == scale:
            return Float(low, high, scale)
    raise ValueError(f"dimension: unknown scale, got {text!r}, expected one of {SCALES} at the end")


def _parse_int(
    text: str, low: int, high: int, option: str | None, current: Dimension | None
) -> Int:
    """Read the rest of a range of whole numbers."""
    if option is None:
        return Int(low, high, log=isinstance(current, Int) and current.log)
    if option in ("log", "linear"):
        return Int(low, high, log=option == "log")
    name, _, number = option.partition("=")
    if name == "step" and number.isdecimal():
        return Int(low, high, step=int(number))
    raise ValueError(f"dimension: unknown option, got {text!r}, expected log or step=N at the end")


def _read_fitting(part: str, current: Dimension | None, text: str) -> Value:
    """Read one value in the sense that the dimension which is replaced gives it."""
    held = _list_values(current)
    if part in held:
        return part
    is_optional = None in held or not any(isinstance(value, str) for value in held)
    if part in NONE_WORDS and current is not None and is_optional:
        return None
    return _fit(read_value(part), current, text)


def _fit(value: Value, current: Dimension | None, written: object) -> Value:
    """Bring a value to the kind of the dimension it goes to, or refuse it; None may be anywhere."""
    kinds = {get_kind(held) for held in _list_values(current)} - {NOTHING}
    if current is None or value is None or not kinds:
        return value
    if get_kind(value) not in kinds:
        (needed,) = kinds
        verb = "is" if needed == TEXT else "are"
        raise ValueError(f"dimension: {needed} {verb} needed here, got {written!r}, now {current}")
    if kinds != {NUMBERS}:
        return value
    number = get_number(value)
    if _is_float(current):
        return float(number)
    if number != number // 1:
        raise ValueError(
            f"dimension: whole numbers are needed here, got {written!r}, now {current}"
        )
    return int(number)


def _list_values(dimension: Dimension | None) -> Sequence[Value]:
    """List the values that a dimension names."""
    if dimension is None:
        return ()
    if isinstance(dimension, Choice):
        return dimension.values
    return (dimension.value,) if isinstance(dimension, Fixed) else (dimension.low, dimension.high)


def _is_float(dimension: Dimension) -> bool:
    """Tell whether a dimension holds real numbers."""
    return any(isinstance(value, float) for value in _list_values(dimension))

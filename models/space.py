"""Search spaces as text: what a person types after `--set` or in a TOML file, and the way back.

The dimensions themselves are in `models.dimension` and are handed on from here.
"""

from __future__ import annotations

from models.dimension import (
    SCALES,
    Choice,
    Dimension,
    Fixed,
    Float,
    Int,
    Scale,
    Value,
    from_json,
    to_json,
)

__all__ = [
    "SCALES",
    "Choice",
    "Dimension",
    "Fixed",
    "Float",
    "Int",
    "Scale",
    "Value",
    "from_json",
    "parse_dimension",
    "to_json",
]


def parse_dimension(text: str, current: Dimension | None = None) -> Dimension:
    """Read a dimension from its text form.

    Forms: `1e-4:1e-2:log` or `8:64:log` (range with a scale), `0.8:0.99` or `1:4` (range that
    keeps the scale of the dimension it replaces), `16:64:step=16` (whole numbers), `32,64,96` or
    `relu,none` (choices), `64` (one fixed value).

    Args:
        text: What was typed; spaces around the parts are ignored.
        current: Dimension that is replaced, if known. It decides the scale of a range without
            one, whether a range of integers means whole numbers (yes also when there is none),
            and which kind of value is right.

    Returns:
        The new dimension.

    Raises:
        ValueError: When the text is empty, a part is missing or of the wrong kind, the scale is
            unknown, or the dimension itself is refused.
    """
    parts = [part.strip() for part in text.split(":")]
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
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"dimension: an empty value, got {text!r}, expected a,b,c; remove a comma")
    values = tuple(_fit(_read_value(part), current, text) for part in parts)
    return Fixed(values[0]) if len(values) == 1 else Choice(values)


def _parse_range(text: str, parts: list[str], current: Dimension | None) -> Dimension:
    """Read `low:high`, with or without a scale or step."""
    low, high = (_fit(_read_value(part), current, text) for part in parts[:2])
    if isinstance(low, str) or isinstance(high, str):
        raise ValueError(f"dimension: a range needs numbers, got {text!r}, expected low:high")
    option = parts[2] if len(parts) == 3 else None
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


def _read_value(part: str) -> Value:
    """Read an integer, else a real number, else keep the text."""
    for read in (int, float):
        try:
            return read(part)
        except ValueError:
            continue
    return part


def _fit(value: Value, current: Dimension | None, text: str) -> Value:
    """Bring a value to the kind of the dimension it goes to, or refuse it."""
    if current is None:
        return value
    if _is_text(current):
        if isinstance(value, str):
            return value
        raise ValueError(f"dimension: text is needed here, got {text!r}, now {current}")
    if isinstance(value, str):
        raise ValueError(f"dimension: numbers are needed here, got {text!r}, now {current}")
    if _is_float(current):
        return float(value)
    if value != value // 1:
        raise ValueError(f"dimension: whole numbers are needed here, got {text!r}, now {current}")
    return int(value)


def _is_text(dimension: Dimension) -> bool:
    """Tell whether a dimension holds text."""
    return isinstance(_sample(dimension), str)


def _is_float(dimension: Dimension) -> bool:
    """Tell whether a dimension holds real numbers."""
    if isinstance(dimension, Choice):
        return any(isinstance(value, float) for value in dimension.values)
    return isinstance(_sample(dimension), float)


def _sample(dimension: Dimension) -> Value:
    """Give one value of a dimension, to see its type."""
    if isinstance(dimension, Fixed):
        return dimension.value
    return dimension.values[0] if isinstance(dimension, Choice) else dimension.low

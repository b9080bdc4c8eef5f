"""What a hyperparameter may be worth, typed from where it is written to a network's `__init__`.

A truth value, a number, text, nothing (None), or a list of these: what JSON holds without loss, so
that the database, an export and the command line give back exactly what was written.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TypeAlias, TypeGuard

Value: TypeAlias = bool | int | float | str | list[Any] | None
NOTHING, TRUTH, NUMBERS, TEXT, LISTS = "nothing", "truth values", "numbers", "text", "lists"
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None}
"""Words that are no text where they are typed without quotes."""
NONE_WORDS = ("none", "None")
"""Words that mean None where no text stands that could be meant, and text elsewhere."""
MARKS = ':,"[]'
MAX_DEPTH = 8
"""Of lists within lists."""


def clean_value(where: str, value: object, depth: int = 0) -> Value:
    """Check a value, and give it as what arrives at the network.

    Raises:
        ValueError: When it cannot be kept without loss: NaN, infinity, tuples, mappings, text that
            is no Unicode, subclasses of plain types such as enumerations, any other object.
    """
    plain: Any = _make_plain(value)
    if plain is None or type(plain) is bool:
        return plain
    if type(plain) in (int, float) and abs(plain) <= sys.float_info.max:
        return plain  # type: ignore[no-any-return]
    if type(plain) is str and not any("\ud800" <= letter <= "\udfff" for letter in plain):
        return plain
    if type(plain) is list and depth < MAX_DEPTH:
        return [clean_value(where, part, depth + 1) for part in plain]
    hint = "; write a tuple as a list" if isinstance(plain, tuple) else ""
    shown = " ".join(ascii(value)[:80].split()) if depth < MAX_DEPTH else "lists too deep"
    raise ValueError(
        f"{where}: not a value, got {shown}, expected a truth value, a finite number, text, None, "
        f"or a list of these{hint}"
    )


def _make_plain(value: Any) -> Any:
    """Give a scalar of NumPy as Python has it; where NumPy is not loaded there can be none."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy and isinstance(value, numpy.generic) else value


def get_kind(value: Value) -> str:
    """Give the kind of a value: one of NOTHING, TRUTH, NUMBERS, TEXT and LISTS."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, str):
        return TEXT
    return LISTS if isinstance(value, list) else NUMBERS


def is_same(first: Value, second: Value) -> bool:
    """Tell whether two values are equal; 16 and 16.0 are, True and 1 are not."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(is_same, first, second))
    return get_kind(first) == get_kind(second) and first == second


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def get_number(value: Value) -> int | float:
    """Give a value that must be a number.

    Raises:
        ValueError: When it is another kind of value.
    """
    if not is_number(value):
        raise ValueError(f"got {value!r}, expected a number")
    return value


def write_value(value: Value) -> str:
    """Write a value as it is typed: reading it gives the same value and type again."""
    if isinstance(value, str):
        return value if _is_plain(value) else quote(value)
    if value is None or isinstance(value, bool | list):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


def quote(text: str) -> str:
    """Write text so that it can mean nothing else."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def read_value(part: str) -> Value:
    """Read a value as it is typed: a number, `true`, `false`, `null`, a JSON list, or else text.

    Text in double quotes is text, whatever it says.

    Raises:
        ValueError: When a quoted text or a list is not JSON, or holds what is no value.
    """
    if part[0] in '"[':
        try:
            return clean_value("dimension", json.loads(part))
        except json.JSONDecodeError as exc:
            raise ValueError(
                f"dimension: not readable, got {part!r}, expected JSON such as "
                '"text" or [8, 16]; mend the quotes and brackets'
            ) from exc
    if part in WORDS:
        return WORDS[part]
    try:
        return clean_value("dimension", int(part))
    except ValueError:
        pass
    try:
        return float(part)
    except ValueError:
        return part


def split_outside(text: str, mark: str) -> list[str]:
    """Split text at a mark, but not within double quotes or brackets; outer spaces are dropped.

    Raises:
        ValueError: When a quote or bracket is not closed.
    """
    parts, start, depth, is_quoted, is_escaped = [], 0, 0, False, False
    for place, letter in enumerate(text):
        if is_quoted:
            is_quoted = letter != '"' or is_escaped
            is_escaped = letter == "\\" and not is_escaped
        elif letter == '"':
            is_quoted = True
        elif letter in "[]":
            depth += 1 if letter == "[" else -1
        elif letter == mark and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    if is_quoted or depth:
        raise ValueError(
            f"dimension: not readable, got {text!r}, expected every quote and bracket closed; "
            "close it"
        )
    return [*parts, text[start:].strip()]


def _is_plain(text: str) -> bool:
    """Tell whether text typed as it is would be read back as the same text."""
    if not text or text != text.strip() or not text.isprintable():
        return False
    return not any(mark in text for mark in MARKS) and isinstance(read_value(text), str)

"""Text that this program did not write, parsed: whatever is wrong with it is a `ValueError`.

Parsers answer what is nested too deep with a RecursionError, and Python's own with a MemoryError: a
few kilobytes of brackets in a file would otherwise end a command in a traceback.
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_TEXT_BYTES = 64 << 20
"""A config or a table of contents is far smaller; more is not read into memory."""


def read_text(path: Path) -> str:
    """Read a text file that should be small; the mark that office programs put first is left out.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is not UTF-8, or larger than 64 MiB.
    """
    with open(path, "rb") as handle:
        content = handle.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"more than {MAX_TEXT_BYTES >> 20} MiB")
    return content.decode("utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """Parse one JSON value.

    Raises:
        ValueError: when it is no JSON, or nested too deep.
    """
    return _parse(json.loads, text)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        ValueError: when it is no TOML, or nested too deep.
    """
    content: dict[str, Any] = _parse(tomllib.loads, text)
    return content


def parse_literal(text: str) -> Any:
    """Parse one Python literal: numbers, texts, tuples, lists, dicts.

    Raises:
        ValueError: when it is none, or nested too deep.
    """
    return _parse(ast.literal_eval, text)


def _parse(parser: Callable[[Any], Any], text: str | bytes) -> Any:
    try:
        return parser(text)
    except (RecursionError, MemoryError) as exc:
        raise ValueError("nested too deep") from exc
    except (
        SyntaxError,
        TypeError,
    ) as exc:  # of a literal: the others have ValueErrors of their own
        raise ValueError(str(exc)) from exc

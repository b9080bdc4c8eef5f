"""How the command line speaks: tables and notes for people, one JSON object for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_results: list[TextIO] = []


@contextlib.contextmanager
def keep_output_clean() -> Iterator[None]:
    """Leave standard output to `print_json`: what a person's network prints goes to the notes."""
    _results.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results.pop()


def print_json(content: Any) -> None:
    """Print one JSON value on standard output, and nothing else there."""
    output = _results[-1] if _results else sys.stdout
    output.write(json.dumps(content, indent=2) + "\n")


def print_note(text: str) -> None:
    """Print a line for people on standard error, so that it never mixes with results."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_error(text: str) -> None:
    """Print a fault as one line."""
    print_note("error: " + " ".join(text.split()))


def format_duration(seconds: float) -> str:
    """Write a time for people: 8s, 3m 20s, 2h 05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"

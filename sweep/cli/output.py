"""How the command line speaks: tables and notes for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(content: Any) -> None:
    """Print one JSON value on standard output, from which all else is kept by the option --json."""
    output = sys.__stdout__ or sys.stdout
    output.write(json.dumps(content, indent=2) + "\n")
    output.flush()


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

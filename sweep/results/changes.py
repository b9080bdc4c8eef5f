"""The changes of a sweep while it ran, for people: from which trial on, what, who, why and when."""

from __future__ import annotations

from typing import Any

from sweep.config import ChangeConfig
from sweep.metrics.wording import write_date
from sweep.results.status import Status


def find_first_trial(status: Status, version: int) -> int | None:
    """Find the number of the first trial that was begun with a version or a later one; None before.

    Points that a person added, and starting points, have the version that they were made for.
    """
    numbers = [row.number for row in status.begun if row.version >= version]
    return min((number for number in numbers if number is not None), default=None)


def describe_changes(status: Status) -> list[dict[str, Any]]:
    """Give what `--json` tells of a sweep's changes, one for each version after the first."""
    return [
        {
            "version": version,
            "from_trial": find_first_trial(status, version),
            "changed": list(change.said),
            "author": change.author,
            "why": change.why,
            "made": write_date(change.made_s),
        }
        for version, change in enumerate(status.config.changes, start=2)
    ]


def tell_changes(status: Status) -> list[str]:
    """Tell a sweep's changes, a line each."""
    return [
        f"version {version}, {tell_first_trial(status, version)}: {'; '.join(change.said)} "
        f"({tell_author(change)})"
        for version, change in enumerate(status.config.changes, start=2)
    ]


def tell_first_trial(status: Status, version: int) -> str:
    """Tell from which trial on a version holds."""
    first = find_first_trial(status, version)
    return "from the next trial on" if first is None else f"from trial {first} on"


def tell_author(change: ChangeConfig) -> str:
    """Tell who made a change, when, and why."""
    why = f": {change.why}" if change.why else ""
    return f"{change.author}, {write_date(change.made_s)}{why}"

"""Values in words for people: numbers with the digits that are looked at, settings in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

Interval = tuple[float, float]

SIGNIFICANT_DIGITS = 5
"""Of the numbers shown: more push the dashboard's columns off the screen."""


def round_shown(value: float) -> float:
    """Round a number to SIGNIFICANT_DIGITS."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def describe_point(params: Mapping[str, object]) -> str:
    """Put a configuration into one line: `lr=0.001 hidden_size=16`."""
    return " ".join(
        f"{name}={round_shown(value) if isinstance(value, float) else write_shown(value)}"
        for name, value in params.items()
    )


def write_number(value: float, digits: int = 4) -> str:
    """Write a number with some significant digits, without an exponent where that is short."""
    if value != 0 and 1e-4 <= abs(value) < 10**digits:
        return f"{value:.{digits}g}"
    return f"{value:.0f}" if value == 0 or 10**digits <= abs(value) < 1e7 else f"{value:.2e}"


def write_shown(value: object) -> str:
    """Write a hyperparameter's value: five digits are enough to tell two apart.

    Truth values, None and lists are written as `--set` takes them.
    """
    if value is None or isinstance(value, bool | list):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def write_setting(params: Mapping[str, object], name: str) -> str:
    """Write a trial's value of a hyperparameter; nothing where it has none."""
    return write_shown(params[name]) if name in params else ""


def write_rate(value: float, interval: Interval) -> str:
    """Write a rate with its interval, to two digits of the interval: 0.783 (0.769 to 0.796)."""
    places = count_places(interval)
    low, high = interval
    return f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def count_places(interval: Interval) -> int:
    """Count the decimal places that show two digits of half an interval, at most 5."""
    half = (interval[1] - interval[0]) / 2
    if not 0 < half < math.inf:
        return 3
    return max(0, min(5, 1 - math.floor(math.log10(half))))


def write_percent(share: float) -> str:
    """Write a share in percent, with a decimal below ten."""
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 else f"{100 * share:.1f} %"


def write_time(time_s: float) -> str:
    """Write a time with three digits, in the unit that suits it."""
    if time_s < 120:
        return f"{write_number(time_s, 3)} s"
    return f"{time_s / 60:.1f} min" if time_s < 7200 else f"{time_s / 3600:.1f} h"


def write_duration(seconds: float) -> str:
    """Write a time for people: 8s, 3m 20s, 2h 05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def write_date(seconds: float) -> str:
    """Write a time since 1970 for people: 2026-01-31 14:05 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def write_bytes(number: int) -> str:
    """Write an amount of memory: 412 MB, 1.2 GB."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def write_count(number: int, what: str) -> str:
    """Write a number of things: 1 trial, 2 trials."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def do_overlap(first: Interval, second: Interval) -> bool:
    """Say whether two intervals share a value."""
    return first[0] <= second[1] and second[0] <= first[1]


def round_digits(value: float, digits: int = 4) -> float:
    """Round to some significant digits, so that a figure's JSON stays short."""
    return float(f"{value:.{digits}g}")

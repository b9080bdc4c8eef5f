"""How vertices are read off a network's output: what counts as a peak of it.

Nothing heavy is loaded here, so that commands that only read the database answer at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sweep.errors import ConfigError


@dataclass(frozen=True)
class Decode:
    """Settings of the peak finder on predictions; what is a true peak never changes.

    Attributes:
        threshold: A bin of at least this height belongs to a region.
        integral: Smallest sum of heights of a region that is a peak.
        min_width: Smallest number of its bins.
    """

    threshold: float
    integral: float
    min_width: int

    def __str__(self) -> str:
        """Write the settings for people, naming the reference's as such."""
        written = f"threshold {self.threshold:g}, integral {self.integral:g}, width"
        whose = " (the reference's)" if self == REFERENCE else ""
        return f"{written} {self.min_width} bins{whose}"

    def to_json(self) -> dict[str, float | int]:
        """Give the settings as a JSON object."""
        return asdict(self)


REFERENCE = Decode(threshold=1e-2, integral=0.2, min_width=3)
"""PV-Finder's own (uc-lhcb/pv-finder, model/training.py, PARAM_EFF)."""


@dataclass(frozen=True)
class OperatingPoint:
    """Settings that a score was counted with, where they are not just the reference's.

    Attributes:
        decode: The settings.
        low, high: Ends of the efficiency's 68 % interval, from events drawn again.
    """

    decode: Decode
    low: float
    high: float

    def to_row(self) -> dict[str, float | int]:
        """Give what an epoch keeps of it."""
        return {**asdict(self.decode), "bootstrap_low": self.low, "bootstrap_high": self.high}


OPERATING_FIELDS = ("threshold", "integral", "min_width", "bootstrap_low", "bootstrap_high")
"""What an epoch keeps of an operating point; None of all where there is none."""


def make_operating(row: Mapping[str, Any]) -> OperatingPoint | None:
    """Make the operating point that a row holds; None where it holds none."""
    if any(row.get(name) is None for name in OPERATING_FIELDS):
        return None
    threshold, integral, min_width, low, high = (row[name] for name in OPERATING_FIELDS)
    return OperatingPoint(Decode(threshold, integral, min_width), low, high)


REFERENCE_WORD = "reference"


def parse_decode(text: str, base: Decode = REFERENCE) -> Decode:
    """Read settings as `--decode` takes them: `reference`, or `threshold=0.02,width=4`.

    Args:
        base: What holds for a setting that is not named.

    Raises:
        ConfigError: when a name or a value is none.
    """
    if text.strip() == REFERENCE_WORD:
        return REFERENCE
    found = base
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            if name == "width":
                found = replace(found, min_width=int(value))
            elif name == "threshold":
                found = replace(found, threshold=float(value))
            elif name == "integral":
                found = replace(found, integral=float(value))
            else:
                raise ValueError
        except ValueError as exc:
            raise ConfigError(
                f"decode: not understood, got {part.strip()!r}, expected {REFERENCE_WORD}, or some "
                "of threshold=0.02,integral=0.3,width=3; change --decode"
            ) from exc
    check_decode(found)
    return found


def check_decode(decode: Decode) -> None:
    """Refuse settings by which no peak finder can work.

    Raises:
        ConfigError: when a value is out of its range.
    """
    is_usable = (
        0 < decode.threshold < math.inf and 0 <= decode.integral < math.inf
    ) and decode.min_width >= 1
    if not is_usable:
        raise ConfigError(
            f"decode: out of range, got {decode}, expected a threshold above 0, an integral of at "
            "least 0 and a width of at least 1; change --decode"
        )

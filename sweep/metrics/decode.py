"""How vertices are read off a network's output: what counts as a peak of it.

Nothing heavy is loaded here, so that commands that only read the database answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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

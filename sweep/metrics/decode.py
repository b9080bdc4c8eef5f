"""How vertices are read off a network's output: what counts as a peak of it.

Nothing heavy is loaded here, so that commands that only read the database answer at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


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

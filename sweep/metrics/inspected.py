"""Single events looked at: what a network made of each, for who draws them or lists their peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PeakClasses:
    """Positions of one event's peaks in bins, float32, by what became of them.

    Attributes:
        found_P: True peaks with a predicted one near.
        missed_P: True peaks without.
        false_P: Predicted peaks without a true one near, but at masked bins.
    """

    found_P: NDArray[np.float32]
    missed_P: NDArray[np.float32]
    false_P: NDArray[np.float32]


@dataclass(frozen=True)
class InspectedEvent:
    """One event and a network's output for it.

    Attributes:
        event: Its index among the events that were inspected.
        target_L: Target, shape (4000,), NaN where masked.
        peaks: Positions of the peaks in bins, by what became of them.
    """

    event: int
    target_L: NDArray[np.float32]
    prediction_L: NDArray[np.float32]
    peaks: PeakClasses

    @property
    def num_found(self) -> int:
        """True peaks that were found."""
        return len(self.peaks.found_P)

    @property
    def num_missed(self) -> int:
        """True peaks that were missed."""
        return len(self.peaks.missed_P)

    @property
    def num_false(self) -> int:
        """Predicted peaks where no true one is."""
        return len(self.peaks.false_P)


def find_worst(inspected: Sequence[InspectedEvent], num_events: int) -> list[InspectedEvent]:
    """Find the events with the most missed and false peaks, worst first, of equals the earliest."""
    order = sorted(inspected, key=lambda e: (-(e.num_missed + e.num_false), e.event))
    return order[:num_events]

"""What a network is worth on a set of events: counts of peaks, the three metrics, their intervals.

How the counts come about: `sweep.training.matching`. Nothing heavy is loaded here, so that commands
that only read the database answer at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from storage.epochs import Epoch
from sweep.metrics.intervals import compute_efficiency_interval, compute_rate_interval


@dataclass(frozen=True)
class MatchCounts:
    """Counts of matched and unmatched peaks; counts of different events add up.

    Attributes:
        events: Number of events, exact.
        found: True peaks with a predicted one near (S).
        predicted_found: Predicted peaks with a true one near (Sp), not at masked bins.
        missed: True peaks without (MT).
        false_positives: Predicted peaks without (FP), not at masked bins.
    """

    events: int = 0
    found: int = 0
    predicted_found: int = 0
    missed: int = 0
    false_positives: int = 0

    @property
    def true_peaks(self) -> int:
        """Number of true peaks."""
        return self.found + self.missed

    @property
    def efficiency(self) -> float:
        """Found share of the true peaks, 0 to 1; 0.0 when there are none, as in the reference."""
        return self.found / self.true_peaks if self.true_peaks else 0.0

    @property
    def fp_rate(self) -> float:
        """False positives per event; 0.0 when there are no events."""
        return self.false_positives / self.events if self.events else 0.0

    def __add__(self, other: MatchCounts) -> MatchCounts:
        """Add the counts of other events."""
        return MatchCounts(
            events=self.events + other.events,
            found=self.found + other.found,
            predicted_found=self.predicted_found + other.predicted_found,
            missed=self.missed + other.missed,
            false_positives=self.false_positives + other.false_positives,
        )


@dataclass(frozen=True)
class Score:
    """What a model is worth on a set of events.

    Attributes:
        counts: Matched and unmatched peaks, and the number of events.
        validation_loss: Mean over events of the ratio loss with asymmetry 0 and epsilon 1e-5; None
            when there are no events or a prediction at a valid bin is not finite.
    """

    counts: MatchCounts
    validation_loss: float | None

    @property
    def efficiency(self) -> float:
        """Found share of the true peaks, 0 to 1; 0.0 when there are none."""
        return self.counts.efficiency

    @property
    def fp_rate(self) -> float:
        """False positives per event; 0.0 when there are no events."""
        return self.counts.fp_rate

    @property
    def efficiency_interval(self) -> tuple[float, float]:
        """Clopper-Pearson interval of the efficiency at 68.27 %; (0.0, 1.0) without true peaks."""
        return compute_efficiency_interval(self.counts.found, self.counts.true_peaks)

    @property
    def fp_rate_interval(self) -> tuple[float, float]:
        """Garwood interval of the FP rate at 68.27 %; (0.0, inf) without events."""
        return compute_rate_interval(self.counts.false_positives, self.counts.events)

    def to_json(self) -> dict[str, int | float | list[float | None]]:
        """Turn the score into what a JSON file or a database row holds.

        Returns:
            Counts, rates, intervals as [low, high] with None for an upper end at infinity, and
            `validation_loss` where there is one.
        """
        result: dict[str, int | float | list[float | None]] = {
            "events": self.counts.events,
            "true_peaks": self.counts.true_peaks,
            "found": self.counts.found,
            "missed": self.counts.missed,
            "predicted_found": self.counts.predicted_found,
            "false_positives": self.counts.false_positives,
            "efficiency": self.efficiency,
            "fp_rate": self.fp_rate,
        }
        if self.validation_loss is not None:
            result["validation_loss"] = self.validation_loss
        low, high = self.fp_rate_interval
        result["efficiency_interval"] = list(self.efficiency_interval)
        result["fp_rate_interval"] = [low, high if math.isfinite(high) else None]
        return result


def get_score(epoch: Epoch) -> Score:
    """Give the score that a stored epoch holds."""
    counts = MatchCounts(
        events=epoch.events,
        found=epoch.found,
        predicted_found=epoch.predicted_found,
        missed=epoch.missed,
        false_positives=epoch.false_positives,
    )
    return Score(counts=counts, validation_loss=epoch.validation_loss)

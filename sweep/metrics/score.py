"""What a network is worth on a set of events, before it is a metric: sums that add up, and a loss.

How the counts come about: `sweep.training.matching`. What is made of them: `sweep.metrics.table`.
Nothing heavy is loaded here, so that commands that only read the database answer at once.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sweep.metrics.decode import OPERATING_FIELDS, OperatingPoint, make_operating

if TYPE_CHECKING:
    from sweep.storage.tables import Epoch

LOSS = "validation_loss"
"""The one raw value of a score that is a mean over events, not a sum."""


@dataclass(frozen=True)
class MatchCounts:
    """Counts of matched and unmatched peaks; counts of different events add up.

    The fields are whole numbers, named as the columns of a stored epoch.

    Attributes:
        events: Number of events, exact.
        found: True peaks with a predicted one near (S).
        predicted_found: Predicted peaks with a true one near (Sp), not at masked bins.
        missed: True peaks without (MT).
        false_positives: Predicted peaks without (FP), not at masked bins.
        pairs: Found true peaks whose position residual is in the sums that follow: all of them, but
            none where an older version counted.
        residual_um: Sum over the pairs of the predicted minus the true position, in micrometres.
        residual_um2, residual_um3, residual_um4: Sums of its powers.
    """

    events: int = 0
    found: int = 0
    predicted_found: int = 0
    missed: int = 0
    false_positives: int = 0
    pairs: int = 0
    residual_um: int = 0
    residual_um2: int = 0
    residual_um3: int = 0
    residual_um4: int = 0

    @property
    def true_peaks(self) -> int:
        """Number of true peaks."""
        return self.found + self.missed

    def __add__(self, other: MatchCounts) -> MatchCounts:
        """Add the counts of other events."""
        return MatchCounts(*(getattr(self, n) + getattr(other, n) for n in COUNT_FIELDS))


COUNT_FIELDS = tuple(field.name for field in fields(MatchCounts))
"""Everything that adds up, in order: the number of events, and the names in `EVENT_COUNTS`."""
EVENT_COUNTS = COUNT_FIELDS[1:]
"""What each single event has."""
PEAK_COUNTS = ("events", "found", "predicted_found", "missed", "false_positives")
"""Numbers of events and of peaks, the reference's S, Sp, MT and FP."""


@dataclass(frozen=True)
class Score:
    """What a model is worth on a set of events.

    Attributes:
        counts: Matched and unmatched peaks, and the number of events.
        validation_loss: Mean over events of the ratio loss with asymmetry 0 and epsilon 1e-5; None
            when there are no events or a prediction at a valid bin is not finite.
        operating: With which settings peaks were counted; None with the reference's, unchosen.
    """

    counts: MatchCounts
    validation_loss: float | None
    operating: OperatingPoint | None = None

    def read(self, name: str) -> float | None:
        """Read a raw value by its name: of `COUNT_FIELDS`, `OPERATING_FIELDS`, or the loss."""
        if name in OPERATING_FIELDS:
            return self.operating.to_row()[name] if self.operating else None
        value: float | None = self.validation_loss if name == LOSS else getattr(self.counts, name)
        return value

    def to_row(self) -> dict[str, Any]:
        """Give all raw values by the names of the columns that an epoch has for them."""
        operating = self.operating.to_row() if self.operating else dict.fromkeys(OPERATING_FIELDS)
        return {**asdict(self.counts), LOSS: self.validation_loss, **operating}


def get_score(epoch: Epoch) -> Score:
    """Give the score that a stored epoch holds."""
    return make_score(vars(epoch))


def make_score(row: Mapping[str, Any]) -> Score:
    """Make a score of raw values by name, as a row or a JSON file holds them; others are ignored.

    A count that is missing, or None as in rows of an older version, is 0.
    """
    counts = {name: row[name] for name in COUNT_FIELDS if row.get(name) is not None}
    return Score(MatchCounts(**counts), row.get(LOSS), make_operating(row))


def average_scores(scores: Sequence[Score]) -> Score:
    """Make the score of one network that has the mean counts, rounded, and the mean loss of some.

    Args:
        scores: On the same events, each with a loss; at least one.
    """
    counts = MatchCounts(*(round(_mean(score.read(n) for score in scores)) for n in COUNT_FIELDS))
    return Score(counts, _mean(score.validation_loss for score in scores))


def _mean(values: Iterable[float | None]) -> float:
    return statistics.fmean(value for value in values if value is not None)

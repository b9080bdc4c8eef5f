"""A stored epoch's metrics as a score, with its intervals."""

from __future__ import annotations

from storage.epochs import Epoch
from sweep.training.matching import MatchCounts
from sweep.training.scoring import Score


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

"""Scores of a network event by event; their sum is the score, whatever the batches were.

Validation, evaluation and comparison all score so: a number in the database and one computed
afterwards are the same number.

Shapes: B event of a batch, N event of a set, K count in the order of `EVENT_COUNTS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.metrics.decode import REFERENCE, Decode, OperatingPoint
from sweep.metrics.peaks import Regions
from sweep.metrics.score import EVENT_COUNTS, MatchCounts, Score
from sweep.training.loss import compute_ratio_loss_B
from sweep.training.matching import count_matches, find_true_regions
from sweep.training.peaks import check_faults

_NUM_HELD = 2_000_000
"""Random numbers held at a time."""


@dataclass(frozen=True)
class EventScores:
    """What a network is worth on each event of a set.

    Attributes:
        counts_NK: Matched and unmatched peaks, shape (N, K), columns as in `EVENT_COUNTS`.
        loss_N: Symmetric ratio loss, shape (N,); NaN where a prediction at a valid bin is.
        operating: As `Score` has it.
    """

    counts_NK: NDArray[np.int64]
    loss_N: NDArray[np.float64]
    operating: OperatingPoint | None = None

    def __len__(self) -> int:
        return len(self.loss_N)

    def get_counts(self, name: str) -> NDArray[np.int64]:
        """Give one of the counts by its name in `EVENT_COUNTS`, shape (N,)."""
        return self.counts_NK[:, EVENT_COUNTS.index(name)]

    @property
    def num_true_N(self) -> NDArray[np.int64]:
        """True peaks of each event, shape (N,): the same for every network."""
        return self.get_counts("found") + self.get_counts("missed")

    @property
    def score(self) -> Score:
        """The score of the whole set."""
        counts = MatchCounts(len(self), *self.counts_NK.sum(axis=0).tolist())
        loss = float(self.loss_N.mean()) if len(self) else math.nan
        known = loss if math.isfinite(loss) else None
        return Score(counts=counts, validation_loss=known, operating=self.operating)


def score_each(
    batches: Iterable[tuple[Tensor, Tensor]],
    true_regions: list[Regions | None] | None = None,
    *,
    decode: Decode = REFERENCE,
) -> EventScores:
    """Score predictions event by event, on their device, and read the results once at the end.

    Args:
        batches: Predictions and targets, each (B, L), as `predict_batches` gives them; NaN in a
            target masks a bin. At least one batch.
        true_regions: What an earlier call found in the same targets; empty for the first one, which
            fills it.
        decode: What counts as a peak of a prediction.

    Raises:
        ValueError: When shapes differ.
        NotFiniteError: When a value is infinite.
    """
    counts, losses, faults = [], [], []
    known = [] if true_regions is None else true_regions
    for number, (prediction_BL, y_BL) in enumerate(batches):
        if number < len(known) and not _fits(known[number], y_BL):
            del known[number:]  # the batches are cut otherwise from here on
        if number == len(known):
            known.append(find_true_regions(y_BL))
        with torch.no_grad():  # not around the loop: the batches may come from inference mode
            counts_BK, faults_2 = count_matches(y_BL, prediction_BL, known[number], decode)
            losses.append(compute_ratio_loss_B(prediction_BL, y_BL))
        counts.append(counts_BK)
        faults.append(faults_2)
    check_faults(torch.stack(faults).sum(0))
    return EventScores(
        counts_NK=torch.cat(counts).cpu().numpy(),
        loss_N=torch.cat(losses).cpu().to(torch.float64).numpy(),
    )


def _fits(regions: Regions | None, y_BL: Tensor) -> bool:
    return regions is None or len(regions.count_B) == len(y_BL)


def draw_events(num_events: int, num_draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw events with replacement: how often each, shape (D, N), some draws at a time."""
    rng = np.random.default_rng(seed)
    size = max(1, _NUM_HELD // num_events)
    for start in range(0, num_draws, size):
        num_rows = min(size, num_draws - start)
        drawn_DN = rng.integers(num_events, size=(num_rows, num_events))
        places_DN = drawn_DN + num_events * np.arange(num_rows)[:, None]
        times_DN = np.bincount(places_DN.ravel(), minlength=num_rows * num_events)
        yield times_DN.reshape(num_rows, num_events)

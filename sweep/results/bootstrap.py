"""The paired bootstrap: how much the difference of two models may owe to the events at hand.

Events are drawn again with replacement, the same ones for both models, so that what makes an event
hard for both cancels (Efron, Ann. Statist. 7, 1, 1979; percentile intervals). It knows nothing of
what another training of the same models would have given.

Shapes: N event, R resample, K column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.progress import Progress
from sweep.metrics.decode import OperatingPoint
from sweep.metrics.score import MatchCounts, Score
from sweep.metrics.table import METRICS, Metric
from sweep.training.event_scores import EventScores, draw_events

CONFIDENCES = (0.6827, 0.95)


@dataclass(frozen=True)
class Difference:
    """A metric of two models on the same events.

    Attributes:
        a, b: The metric of each.
        interval_68, interval_95: Where the difference b - a lies when events are drawn again.
    """

    a: float
    b: float
    interval_68: tuple[float, float]
    interval_95: tuple[float, float]

    @property
    def value(self) -> float:
        """How much more b has than a."""
        return self.b - self.a

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the interval of 95 % leaves out zero."""
        low, high = self.interval_95
        return low > 0.0 or high < 0.0


def compare_scores(
    a: EventScores,
    b: EventScores,
    *,
    num_resamples: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Difference]:
    """Compare two models on the same events.

    Args:
        a, b: Scores of the same N events in the same order, with finite losses.
        num_resamples: How often events are drawn again, at least 1.

    Returns:
        The differences by the keys of the metrics, of those that both models have.
    """
    columns_NK = np.concatenate([_tabulate(scores) for scores in (a, b)], axis=1)
    sums_RK = np.concatenate(list(_resample(columns_NK, num_resamples, seed, progress)))
    drawn_a, drawn_b = (
        [_sum_up(row, scores.operating) for row in half]
        for scores, half in zip((a, b), _split(sums_RK), strict=True)
    )
    whole_a, whole_b = a.score, b.score
    differences = {}
    for metric in METRICS:
        value_a, value_b = metric.compute(whole_a), metric.compute(whole_b)
        if value_a is None or value_b is None:
            continue
        first_R, second_R = (_measure(metric, drawn) for drawn in (drawn_a, drawn_b))
        low, high = (_find_interval(second_R - first_R, c) for c in CONFIDENCES)
        differences[metric.key] = Difference(value_a, value_b, low, high)
    return differences


def _tabulate(scores: EventScores) -> NDArray[np.float64]:
    """Put what adds up into columns: one for the number of events, the counts, the loss."""
    events_N1, loss_N1 = np.ones((len(scores), 1)), scores.loss_N[:, None]
    return np.concatenate([events_N1, scores.counts_NK, loss_N1], axis=1, dtype=np.float64)


def _split(sums_RK: NDArray[np.float64]) -> Iterator[list[list[float]]]:
    return (half.tolist() for half in np.split(sums_RK, 2, axis=1))


def _sum_up(row: Sequence[float], operating: OperatingPoint | None) -> Score:
    """Make the score of columns summed over events, counted with the settings of all."""
    *counts, loss = row
    return Score(MatchCounts(*map(round, counts)), loss / counts[0], operating)


def _measure(metric: Metric, scores: Sequence[Score]) -> NDArray[np.float64]:
    return np.array([metric.measure(score) for score in scores])


def _resample(
    columns_NK: NDArray[np.float64], num_resamples: int, seed: int, progress: Progress | None
) -> Iterator[NDArray[np.float64]]:
    """Sum the columns over N events drawn with replacement, for some resamples at a time."""
    num_done = 0
    for times_RN in draw_events(len(columns_NK), num_resamples, seed):
        yield times_RN @ columns_NK
        num_done += len(times_RN)
        if progress is not None:
            progress(num_done, num_resamples)


def _find_interval(values_R: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Find where the values lie; a resample without a value, which is a rare one, has no part."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(values_R, [tail, 1.0 - tail])
    return float(low), float(high)

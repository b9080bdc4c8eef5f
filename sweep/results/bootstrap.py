"""The paired bootstrap: how much the difference of two models may owe to the events at hand.

Events are drawn again with replacement, the same ones for both models, so that what makes an event
hard for both cancels (Efron, Ann. Statist. 7, 1, 1979; percentile intervals). It knows nothing of
what another training of the same models would have given.

Shapes: N event, R resample, K column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.store import Progress
from sweep.training.event_scores import EventScores

CONFIDENCES = (0.6827, 0.95)
_CHUNK_NUMBERS = 2_000_000
"""Random numbers held at a time."""


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
        seed: Of the draws.
        progress: Told how many of how many times events are drawn again.

    Returns:
        `efficiency`, `fp_rate` and `validation_loss`.
    """
    tables = [_tabulate(scores) for scores in (a, b)]
    columns_NK = np.concatenate(tables, axis=1)
    num_columns = tables[0].shape[1]
    sums_RK = np.concatenate(list(_resample(columns_NK, num_resamples, seed, progress)))
    drawn_a, drawn_b = (_compute_metrics(half, len(a)) for half in np.split(sums_RK, 2, axis=1))
    whole = columns_NK.sum(axis=0)[None]
    whole_a = _compute_metrics(whole[:, :num_columns], len(a))
    whole_b = _compute_metrics(whole[:, num_columns:], len(a))
    differences = {}
    for name, first_R in drawn_a.items():
        low, high = (_find_interval(drawn_b[name] - first_R, c) for c in CONFIDENCES)
        differences[name] = Difference(float(whole_a[name][0]), float(whole_b[name][0]), low, high)
    return differences


def _tabulate(scores: EventScores) -> NDArray[np.float64]:
    """Put what the metrics are made of into columns: found, true peaks, false positives, loss."""
    columns = (
        scores.get_counts("found"),
        scores.num_true_N,
        scores.get_counts("false_positives"),
        scores.loss_N,
    )
    return np.stack(columns, axis=1).astype(np.float64)


def _compute_metrics(
    sums_RK: NDArray[np.float64], num_events: int
) -> dict[str, NDArray[np.float64]]:
    """Compute the metrics of sums over events; efficiency is 0 where there are no true peaks."""
    found, true_peaks, false_positives, loss = sums_RK.T
    return {
        "efficiency": np.divide(found, true_peaks, out=np.zeros_like(found), where=true_peaks > 0),
        "fp_rate": false_positives / num_events,
        "validation_loss": loss / num_events,
    }


def _resample(
    columns_NK: NDArray[np.float64], num_resamples: int, seed: int, progress: Progress | None
) -> Iterator[NDArray[np.float64]]:
    """Sum the columns over N events drawn with replacement, for some resamples at a time."""
    rng = np.random.default_rng(seed)
    num_events = len(columns_NK)
    size = max(1, _CHUNK_NUMBERS // num_events)
    for start in range(0, num_resamples, size):
        num_rows = min(size, num_resamples - start)
        drawn_RN = rng.integers(num_events, size=(num_rows, num_events))
        places_RN = drawn_RN + num_events * np.arange(num_rows)[:, None]
        times_RN = np.bincount(places_RN.ravel(), minlength=num_rows * num_events)
        yield times_RN.reshape(num_rows, num_events) @ columns_NK
        if progress is not None:
            progress(start + num_rows, num_resamples)


def _find_interval(values_R: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values_R, [tail, 1.0 - tail])
    return float(low), float(high)

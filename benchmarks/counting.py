"""Counts of found and false peaks as PV-Finder's users write them: a loop over events in numba.

It is what the counting of this program is compared with, and what the peers of a sweep use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray


class ValueSet(NamedTuple):
    """Counts that add up, as the loop has them."""

    found: int = 0
    predicted_found: int = 0
    missed: int = 0
    false_positives: int = 0

    def __add__(self, other: Any) -> ValueSet:
        return ValueSet(*(own + more for own, more in zip(self, other, strict=True)))


@numba.njit
def find_locations(heights, threshold, least_integral, min_width):  # type: ignore[no-untyped-def]
    width, integral, weighted = 0, np.float32(0), np.float32(0)
    found, items = 0, np.empty(1001, np.float32)
    for index in range(len(heights)):
        if heights[index] >= threshold:
            width += 1
            integral += heights[index]
            weighted = np.float32(weighted + index * np.float64(heights[index]))
        if (heights[index] < threshold or index == len(heights) - 1) and width > 0:
            if width >= min_width and integral >= least_integral:
                items[found] = weighted / integral
                found += 1
            width, integral, weighted = 0, np.float32(0), np.float32(0)
    return items[:found]


@numba.njit
def compare_event(truth, prediction, distance, threshold, least_integral, min_width):  # type: ignore[no-untyped-def]
    true = find_locations(truth, threshold, least_integral, min_width)
    predicted = find_locations(prediction, threshold, least_integral, min_width)
    counts = np.zeros(4, np.int64)
    for position in true:
        near = len(predicted) > 0 and np.min(np.abs(predicted - position)) <= distance
        counts[0 if near else 2] += 1
    for position in predicted:
        if not np.isnan(truth[round(position)]):
            near = len(true) > 0 and np.min(np.abs(true - position)) <= distance
            counts[1 if near else 3] += 1
    return counts[0], counts[1], counts[2], counts[3]


def count_events(truth_NL: NDArray[np.float32], prediction_NL: NDArray[np.float32]) -> list[int]:
    """Count as a training script does."""
    settings = np.float32(5.0), np.float32(0.01), np.float32(0.2), 3
    total = ValueSet()
    for truth_L, prediction_L in zip(truth_NL, prediction_NL, strict=True):
        total += ValueSet(*compare_event(truth_L, prediction_L, *settings))
    return list(total)

"""What a search has seen so far: for each trial, what its end is expected to be, and how surely.

Trials that were stopped, are paused or still run count too: their last epoch is carried to the end
by what the others gained between the same epochs. So a model learns from all of them, the dead ones
included, and each value says how far it may be trusted.

Shapes: N trial, E epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

MIN_DOUBT = 0.05
"""Of a gain between two epochs that hardly a trial has shown."""
CAP = 2.0
"""What is worse than the median by more than CAP times its distance to the best is as bad as that:
a model of the whole space would bend to the dead otherwise."""


@dataclass(frozen=True)
class Expectation:
    """The expected ends of trials, in the order they were given in; lower is better.

    Attributes:
        value_N: Value at the last epoch, expected or seen, shape (N,).
        doubt_N: Standard deviation of the expectation, shape (N,); 0 where it was seen.
    """

    value_N: NDArray[np.float64]
    doubt_N: NDArray[np.float64]


def expect_ends(curves: Sequence[Sequence[float]], num_epochs: int, worst: float) -> Expectation:
    """Expect the value of each trial at its last epoch.

    Args:
        curves: Value of each trial after each of its epochs so far, lower is better; none for a
            trial that came to nothing.
        num_epochs: Of a whole trial.
        worst: Value of a network that has found nothing; what is above it, or no number, is it.
    """
    return carry_to_end(tabulate_curves(curves, num_epochs, worst))


def tabulate_curves(
    curves: Sequence[Sequence[float]], num_epochs: int, worst: float
) -> NDArray[np.float64]:
    """Give curves as rows, shape (N, E), NaN after the last epoch of each; as `expect_ends`."""
    whole = [worst] * num_epochs
    seen = [curve[:num_epochs] or whole for curve in curves]
    last_N = np.array([len(values) for values in seen], dtype=np.int64)
    flat = np.fromiter(chain.from_iterable(seen), np.float64, last_N.sum())
    value_NE = np.full((len(curves), num_epochs), np.nan)
    value_NE[np.arange(num_epochs) < last_N[:, None]] = np.where(flat < worst, flat, worst)
    return value_NE


def carry_to_end(value_NE: NDArray[np.float64]) -> Expectation:
    """Expect the value of each trial at its last epoch.

    Args:
        value_NE: As `tabulate_curves` gives it, N at least 1.
    """
    last_N = (~np.isnan(value_NE)).sum(axis=1)
    gain_E, doubt_E = _measure_gains(value_NE)
    seen_N = value_NE[np.arange(len(value_NE)), last_N - 1]
    rest = range(value_NE.shape[1])  # from each epoch on
    value_N = seen_N + np.array([gain_E[last:].sum() for last in rest])[last_N - 1]
    doubt_N = np.array([np.sqrt((doubt_E[last:] ** 2).sum()) for last in rest])[last_N - 1]
    median, best = float(np.median(value_N)), float(value_N.min())
    return Expectation(np.minimum(value_N, median + CAP * (median - best) + 1e-9), doubt_N)


def _measure_gains(
    value_NE: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure what trials gain from each epoch to the next: median and spread, shape (E - 1,)."""
    step_NE = np.diff(value_NE, axis=1)
    gain_E, doubt_E = np.zeros(step_NE.shape[1]), np.full(step_NE.shape[1], MIN_DOUBT)
    for epoch, column_N in enumerate(step_NE.T):
        seen = column_N[np.isfinite(column_N)]
        if len(seen):
            gain_E[epoch] = np.median(seen)
        if len(seen) > 2:
            doubt_E[epoch] = 1.4826 * np.median(np.abs(seen - gain_E[epoch]))
    return gain_E, doubt_E

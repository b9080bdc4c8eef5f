"""What is known of the trials that have begun, and a model of it.

Shapes: N trial, D dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweep.search.surrogate import find_floor, fit_surrogate

Arm = Literal["random", "prior", "mutation", "model"]
NUM_FIRST = 8
"""Trials before a model of them counts."""
NUM_OBSERVED = 80
"""Trials that the model is told of, half of them the best, half of them the last: its cost grows
with their third power."""


@dataclass(frozen=True)
class Seen:
    """What is known of the trials that have begun.

    Attributes:
        u_ND: Their places, shape (N, D).
        value_N: Expected end of each, lower is better, shape (N,); NaN where nothing is known yet.
        doubt_N: Its standard deviation, shape (N,).
        arm_N: Which arm proposed each, shape (N,); empty for a starting point.
    """

    u_ND: NDArray[np.float64]
    value_N: NDArray[np.float64]
    doubt_N: NDArray[np.float64]
    arm_N: NDArray[np.str_]


def expect_levels(seen: Seen) -> NDArray[np.float64]:
    """Expect what further trainings of each trial's configuration give, shape (N,).

    The best of several trainings was the luckiest, too; what others near it gave says how much. Of
    few trials it is what each gave itself. The model is of the logarithm of how far a value is
    above a floor: of the values themselves the far worst would make most of the spread, and hide
    which good one is better (docs/SEARCH.md, "What the model is told").
    """
    if np.isfinite(seen.value_N).sum() < NUM_FIRST or not seen.u_ND.shape[1]:
        return seen.value_N
    chosen_N = choose_observed(seen.value_N)
    u_ND, value_N, doubt_N = (part[chosen_N] for part in (seen.u_ND, seen.value_N, seen.doubt_N))
    floor = find_floor(value_N)
    height_N = value_N - floor
    model = fit_surrogate(u_ND, np.log(height_N), doubt_N / height_N)
    return floor + np.exp(model.expect(seen.u_ND))


def choose_observed(value_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose of which trials the model is told; where nothing is known yet, of none."""
    known_N = np.flatnonzero(np.isfinite(value_N))
    if len(known_N) <= NUM_OBSERVED:
        return known_N
    best_N = known_N[np.argsort(value_N[known_N])[: NUM_OBSERVED // 2]]
    last_N = np.setdiff1d(known_N, best_N)[-NUM_OBSERVED // 2 :]
    return np.sort(np.concatenate([best_N, last_N]))

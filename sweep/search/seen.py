"""What is known of the trials that have begun, and a model of it.

Shapes: N trial, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweep.search.surrogate import Surrogate, find_floor, fit_surrogate

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
        arms: Which arm proposed each; None for a starting point.
    """

    u_ND: NDArray[np.float64]
    value_N: NDArray[np.float64]
    doubt_N: NDArray[np.float64]
    arms: Sequence[Arm | None]

    @property
    def known_N(self) -> NDArray[np.bool_]:
        """Of which trials something is known."""
        return np.isfinite(self.value_N)


@dataclass(frozen=True)
class Told:
    """A model of what was seen, in the logarithm of how far it is above a floor.

    Of the values themselves the far worst would make most of the spread. So the good ones are told
    apart better (docs/SEARCH.md, "What the model is told").
    """

    floor: float
    model: Surrogate
    u_ND: NDArray[np.float64]
    height_N: NDArray[np.float64]
    doubt_N: NDArray[np.float64]

    def add(self, u_XD: NDArray[np.float64]) -> Surrogate:
        """Give the model as if each of these places had given what is expected there."""
        return self.model.observe(
            np.concatenate([self.u_ND, u_XD]),
            np.concatenate([self.height_N, self.model.expect(u_XD)]),
            np.concatenate([self.doubt_N, np.zeros(len(u_XD))]),
        )


def fit_seen(seen: Seen) -> Told:
    """Fit a model to the trials of which something is known, one at least."""
    chosen_N = _choose_observed(seen.value_N)
    u_ND, value_N, doubt_N = (part[chosen_N] for part in (seen.u_ND, seen.value_N, seen.doubt_N))
    floor = find_floor(value_N)
    height_N, doubt_N = np.log(value_N - floor), doubt_N / (value_N - floor)
    return Told(floor, fit_surrogate(u_ND, height_N, doubt_N), u_ND, height_N, doubt_N)


def expect_levels(seen: Seen) -> NDArray[np.float64]:
    """Expect what further trainings of each trial's configuration give, shape (N,).

    The best of several trainings was the luckiest, too; what others near it gave says how much. Of
    few trials it is what each gave itself.
    """
    if seen.known_N.sum() < NUM_FIRST or not seen.u_ND.shape[1]:
        return seen.value_N
    told = fit_seen(seen)
    return told.floor + np.exp(told.model.expect(seen.u_ND))


def _choose_observed(value_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose of which trials the model is told; where nothing is known yet, of none."""
    known_N = np.flatnonzero(np.isfinite(value_N))
    if len(known_N) <= NUM_OBSERVED:
        return known_N
    best_N = known_N[np.argsort(value_N[known_N])[: NUM_OBSERVED // 2]]
    last_N = np.setdiff1d(known_N, best_N)[-NUM_OBSERVED // 2 :]
    return np.sort(np.concatenate([best_N, last_N]))

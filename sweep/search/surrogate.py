"""A Gaussian process over the unit cube: what a search has seen, and what it may expect elsewhere.

Small on purpose: a sweep has tens to hundreds of trials in a handful of dimensions. The kernel is
Matern 5/2 with a length for each dimension; lengths and amplitude are those of highest posterior
density under weak priors, found by coordinate search, so that no optimiser has to be loaded. Each
observation has a noise of its own, since a trial that was stopped early says less.

Shapes: N observation, P pair of them, M place, D dimension, S setting, T settings that are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

LENGTHS = np.geomspace(0.15, 4.0, 9)
AMPLITUDES = np.geomspace(0.25, 4.0, 7)
NOISES = np.geomspace(0.02, 1.0, 7)
"""Candidates, in shares of the unit cube's edge and of the values' spread."""
FLOOR_SHARE, LEAST_ABOVE = 0.5, 1e-6
NUM_ROUNDS = 3
JITTER = 1e-8
SQRT_5 = 5.0**0.5


@dataclass(frozen=True)
class _Settings:
    """Of a Gaussian process.

    Attributes:
        mean, spread: By which values are standardised.
        lengths_D: Of the kernel.
        amplitude: Standard deviation of the function, in spreads.
        noise: Standard deviation of an observation without doubt, in spreads.
    """

    mean: float
    spread: float
    lengths_D: NDArray[np.float64]
    amplitude: float
    noise: float


@dataclass(frozen=True)
class Surrogate:
    """A fitted Gaussian process; `u_ND` are the places of its observations in the unit cube."""

    settings: _Settings
    u_ND: NDArray[np.float64]
    _root_NN: NDArray[np.float64]
    _weights_N: NDArray[np.float64]

    @property
    def noise(self) -> float:
        """Standard deviation of an observation without doubt, in the values' own unit."""
        return self.settings.noise * self.settings.spread

    def observe(
        self, u_ND: NDArray[np.float64], value_N: NDArray[np.float64], doubt_N: NDArray[np.float64]
    ) -> Surrogate:
        """Give the process with other observations and the same settings; as `fit_surrogate`."""
        return _condition(self.settings, u_ND, value_N, doubt_N)

    def predict(self, u_MD: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict the function, without noise of observation.

        Args:
            u_MD: Places, shape (M, D).

        Returns:
            Mean and standard deviation at each, shape (M,), in the values' own unit.
        """
        by, k_MN = self.settings, self._covary(u_MD)
        half_MN = k_MN @ self._root_NN.T
        variance_M = by.amplitude**2 - np.einsum("mn,mn->m", half_MN, half_MN)
        return self._read(k_MN), by.spread * np.sqrt(np.maximum(variance_M, JITTER))

    def expect(self, u_MD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict the mean alone, shape (M,), in a fraction of the time."""
        return self._read(self._covary(u_MD))

    def _covary(self, u_MD: NDArray[np.float64]) -> NDArray[np.float64]:
        by = self.settings
        return by.amplitude**2 * _correlate(u_MD, self.u_ND, by.lengths_D)

    def _read(self, k_MN: NDArray[np.float64]) -> NDArray[np.float64]:
        mean_M: NDArray[np.float64] = k_MN @ self._weights_N
        return self.settings.mean + self.settings.spread * mean_M


def find_floor(value_N: NDArray[np.float64]) -> float:
    """Find a floor below values: as far below the best as FLOOR_SHARE of the way to the median."""
    best = float(value_N.min())
    return best - max(FLOOR_SHARE * (float(np.median(value_N)) - best), LEAST_ABOVE)


def fit_surrogate(
    u_ND: NDArray[np.float64], value_N: NDArray[np.float64], doubt_N: NDArray[np.float64]
) -> Surrogate:
    """Fit a Gaussian process to observations.

    Args:
        u_ND: Places in the unit cube, shape (N, D), N at least 2.
        value_N: What was seen there, shape (N,), finite.
        doubt_N: Further noise of each observation, as a standard deviation in the values' unit,
            shape (N,), at least 0.
    """
    mean, spread = float(np.median(value_N)), max(float(value_N.std()), 1e-12)
    z_N, extra_N = (value_N - mean) / spread, (doubt_N / spread) ** 2
    rating, pairs = _Rating(z_N, extra_N), np.tril_indices(len(u_ND))
    square_DP = np.ascontiguousarray(((u_ND[pairs[0]] - u_ND[pairs[1]]) ** 2).T)
    num_lengths = len(square_DP)
    candidates = [*[LENGTHS] * num_lengths, AMPLITUDES, NOISES]
    setting_S = np.array([*[1.0] * num_lengths, 1.0, 0.3])
    num_kept = 0
    for place in islice(cycle(range(len(setting_S))), NUM_ROUNDS * len(setting_S)):
        tried_TS = np.repeat(setting_S[None], len(candidates[place]), axis=0)
        tried_TS[:, place] = candidates[place]
        power_D = setting_S[:num_lengths] ** -2
        square_P = power_D @ square_DP
        if place < num_lengths:
            own_T = LENGTHS**-2 - power_D[place]
            k_TP = [_decay(square_P + own * square_DP[place]) for own in own_T]
        else:
            k_TP = [_decay(square_P)] * len(tried_TS)
        best_S = tried_TS[int(np.argmax(rating.rate(k_TP, tried_TS)))]
        num_kept = num_kept + 1 if np.array_equal(best_S, setting_S) else 0
        setting_S = best_S
        if num_kept == len(setting_S):  # each was rated beside the others as they are
            break
    *_lengths, amplitude, noise = map(float, setting_S)
    settings = _Settings(mean, spread, setting_S[:num_lengths], amplitude, noise)
    return _condition(settings, u_ND, value_N, doubt_N)


def _condition(
    settings: _Settings,
    u_ND: NDArray[np.float64],
    value_N: NDArray[np.float64],
    doubt_N: NDArray[np.float64],
) -> Surrogate:
    k_NN = settings.amplitude**2 * _correlate(u_ND, u_ND, settings.lengths_D)
    variance_N = settings.noise**2 + (doubt_N / settings.spread) ** 2 + JITTER
    root_NN = np.linalg.inv(np.linalg.cholesky(k_NN + np.diag(variance_N))).astype(np.float64)
    z_N = (value_N - settings.mean) / settings.spread
    return Surrogate(settings, u_ND, root_NN, root_NN.T @ (root_NN @ z_N))


class _Rating:
    """Rates settings by how well they explain observations.

    The values stand as a further row below each covariance: the last row of its root is then what
    the root makes of them, and nothing is solved. All covariances are written into one array: new
    memory would take longer than the root.

    Args:
        z_N: The values, standardised.
        extra_N: Variance of each beside the noise of all.
    """

    def __init__(self, z_N: NDArray[np.float64], extra_N: NDArray[np.float64]) -> None:
        self._z_N, self._extra_N = z_N, extra_N
        self._diagonal = np.arange(len(z_N))
        row_P, column_P = np.tril_indices(len(z_N))
        self._at_P = row_P * (len(z_N) + 1) + column_P  # within a covariance as one row
        most = max(map(len, (LENGTHS, AMPLITUDES, NOISES)))
        self._whole_TNN = np.zeros((most, len(z_N) + 1, len(z_N) + 1))

    def rate(
        self, k_TP: Sequence[NDArray[np.float64]], tried_TS: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute the log posterior density of tried settings, up to a constant, shape (T,).

        Priors: log-normal; long lengths are likely, since most hyperparameters hardly matter.

        Args:
            k_TP: Correlations of the pairs on and below the diagonal, for each setting.
            tried_TS: Lengths, amplitude and noise of each setting.
        """
        amplitude_T, noise_T = tried_TS[:, -2], tried_TS[:, -1]
        z_N, count, at = self._z_N, len(self._z_N), self._diagonal
        whole_TNN = self._whole_TNN[: len(tried_TS)]
        for whole_NN, amplitude, k_P in zip(whole_TNN, amplitude_T, k_TP, strict=True):
            whole_NN.ravel()[self._at_P] = amplitude**2 * k_P
        whole_TNN[:, at, at] += noise_T[:, None] ** 2 + self._extra_N + JITTER
        whole_TNN[:, count, :count] = z_N
        whole_TNN[:, count, count] = (
            2.0 * (z_N @ z_N) / noise_T**2 + 1.0
        )  # more than the root makes
        factor_TNN = np.linalg.cholesky(whole_TNN)
        half_TN, diagonal_TN = factor_TNN[:, count, :count], factor_TNN[:, at, at]
        likelihood_T = -0.5 * (half_TN**2).sum(axis=1) - np.log(diagonal_TN).sum(axis=1)
        prior_T = -0.5 * (
            ((np.log(tried_TS[:, :-2]) - np.log(1.2)) ** 2).sum(axis=1) / 0.8**2
            + np.log(amplitude_T) ** 2 / 0.7**2
            + (np.log(noise_T) - np.log(0.25)) ** 2 / 1.0**2
        )
        rated_T: NDArray[np.float64] = likelihood_T + prior_T
        return rated_T


def _correlate(
    a_MD: NDArray[np.float64], b_ND: NDArray[np.float64], lengths_D: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the correlation between places, shape (M, N)."""
    a_MD, b_ND = a_MD / lengths_D, b_ND / lengths_D
    square_MN = (a_MD**2).sum(axis=1)[:, None] + (b_ND**2).sum(axis=1) - 2.0 * (a_MD @ b_ND.T)
    return _decay(np.maximum(square_MN, 0.0))  # of equal places it may be a rounding below


def _decay(square_MN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Matern 5/2 correlation (Rasmussen and Williams 2006, eq. 4.17).

    Args:
        square_MN: Squares of the distances, in lengths of the kernel.
    """
    r_MN = np.sqrt(square_MN)
    r_MN *= SQRT_5
    k_MN, more_MN = 1.0 + r_MN, r_MN * r_MN  # in place from here on: large arrays are dear to make
    more_MN /= 3.0
    k_MN += more_MN
    k_MN *= np.exp(np.negative(r_MN, out=r_MN), out=r_MN)
    return k_MN

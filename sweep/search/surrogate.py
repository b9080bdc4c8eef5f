"""A Gaussian process over the unit cube: what a search has seen, and what it may expect elsewhere.

Small on purpose: a sweep has tens to hundreds of trials in a handful of dimensions. The kernel is
Matern 5/2 with a length for each dimension; lengths and amplitude are those of highest posterior
density under weak priors, found by coordinate search, so that no optimiser has to be loaded. Each
observation has a noise of its own, since a trial that was stopped early says less.

Shapes: N observation, M place, D dimension, S sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LENGTHS = np.geomspace(0.15, 4.0, 9)
AMPLITUDES = np.geomspace(0.25, 4.0, 7)
NOISES = np.geomspace(0.02, 1.0, 7)
"""Candidates, in shares of the unit cube's edge and of the values' spread."""
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
    _factor_NN: NDArray[np.float64]
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
        by = self.settings
        k_MN = by.amplitude**2 * _correlate(u_MD, self.u_ND, by.lengths_D)
        mean_M = by.mean + by.spread * (k_MN @ self._weights_N)
        half_NM = np.linalg.solve(self._factor_NN, k_MN.T)
        variance_M = by.amplitude**2 - (half_NM**2).sum(axis=0)
        return mean_M, by.spread * np.sqrt(np.maximum(variance_M, JITTER))


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
    lengths_D = np.full(u_ND.shape[1], 1.0)
    amplitude, noise = 1.0, 0.3

    square_NND = (u_ND[:, None, :] - u_ND[None, :, :]) ** 2

    def rate(lengths_D: NDArray[np.float64], amplitude: float, noise: float) -> float:
        return _rate(square_NND, z_N, extra_N, lengths_D, amplitude, noise)

    for _round in range(NUM_ROUNDS):
        for place in range(len(lengths_D)):
            tried = [np.where(np.arange(len(lengths_D)) == place, t, lengths_D) for t in LENGTHS]
            lengths_D = max(tried, key=lambda lengths: rate(lengths, amplitude, noise))
        amplitude = max(AMPLITUDES, key=lambda a: rate(lengths_D, float(a), noise))
        noise = max(NOISES, key=lambda n: rate(lengths_D, amplitude, float(n)))
    settings = _Settings(mean, spread, lengths_D, float(amplitude), float(noise))
    return _condition(settings, u_ND, value_N, doubt_N)


def _condition(
    settings: _Settings,
    u_ND: NDArray[np.float64],
    value_N: NDArray[np.float64],
    doubt_N: NDArray[np.float64],
) -> Surrogate:
    k_NN = settings.amplitude**2 * _correlate(u_ND, u_ND, settings.lengths_D)
    variance_N = settings.noise**2 + (doubt_N / settings.spread) ** 2 + JITTER
    factor_NN = np.linalg.cholesky(k_NN + np.diag(variance_N)).astype(np.float64)
    z_N = (value_N - settings.mean) / settings.spread
    weights_N = np.linalg.solve(factor_NN.T, np.linalg.solve(factor_NN, z_N))
    return Surrogate(settings, u_ND, factor_NN, weights_N)


def _rate(
    square_NND: NDArray[np.float64],
    z_N: NDArray[np.float64],
    extra_N: NDArray[np.float64],
    lengths_D: NDArray[np.float64],
    amplitude: float,
    noise: float,
) -> float:
    """Compute the log posterior density of the kernel's settings, up to a constant.

    Priors: log-normal; long lengths are likely, since most hyperparameters hardly matter.
    """
    k_NN = amplitude**2 * _decay(square_NND @ lengths_D**-2)
    try:
        factor_NN = np.linalg.cholesky(k_NN + np.diag(noise**2 + extra_N + JITTER))
    except np.linalg.LinAlgError:
        return -np.inf
    half_N = np.linalg.solve(factor_NN, z_N)
    likelihood = -0.5 * half_N @ half_N - np.log(np.diag(factor_NN)).sum()
    prior = -0.5 * (
        ((np.log(lengths_D) - np.log(1.2)) ** 2).sum() / 0.8**2
        + np.log(amplitude) ** 2 / 0.7**2
        + (np.log(noise) - np.log(0.25)) ** 2 / 1.0**2
    )
    return float(likelihood + prior)


def _correlate(
    a_MD: NDArray[np.float64], b_ND: NDArray[np.float64], lengths_D: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the correlation between places, shape (M, N)."""
    return _decay(((a_MD[:, None, :] - b_ND[None, :, :]) ** 2) @ lengths_D**-2)


def _decay(square_MN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Matern 5/2 correlation (Rasmussen and Williams 2006, eq. 4.17).

    Args:
        square_MN: Squares of the distances, in lengths of the kernel.
    """
    r_MN = SQRT_5 * np.sqrt(square_MN)
    return (1.0 + r_MN + r_MN**2 / 3.0) * np.exp(-r_MN)

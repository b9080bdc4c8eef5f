"""Confidence intervals of the two rates that scores quote, so that small samples show as such."""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.6827
"""One standard deviation of a Gaussian, the field's error bar: the least probability with which an
interval holds the true value."""
TAIL = (1.0 - CONFIDENCE) / 2.0
EPSILON = 1e-15
MOST_STEPS = 100


def compute_efficiency_interval(found: int, true_peaks: int) -> tuple[float, float]:
    """Compute the exact interval of an efficiency (Clopper and Pearson, Biometrika 26, 404, 1934).

    Args:
        found: Number of true peaks found, 0 to true_peaks.
        true_peaks: Number of true peaks, at least 0.

    Returns:
        Lower and upper end, each 0 to 1; (0.0, 1.0) for 0 of 0, which says nothing.

    Raises:
        ValueError: When a count is out of its range.
    """
    if not 0 <= found <= true_peaks:
        raise ValueError(
            f"efficiency interval: counts do not fit, got {found} of {true_peaks}, expected "
            "0 <= found <= true_peaks; check the counts"
        )
    missed = true_peaks - found
    return _find_least_share(found, true_peaks), 1.0 - _find_least_share(missed, true_peaks)


def compute_rate_interval(count: int, events: int) -> tuple[float, float]:
    """Compute the exact interval of a Poisson rate per event (Garwood, Biometrika 28, 437, 1936).

    Args:
        count: Number counted over all events, at least 0.
        events: Number of events, at least 0.

    Returns:
        Lower and upper end per event, at least 0; (0.0, inf) for 0 events, which says nothing.

    Raises:
        ValueError: When a count is out of its range.
    """
    if count < 0 or events < 0 or (events == 0 and count > 0):
        raise ValueError(
            f"rate interval: counts do not fit, got {count} in {events} events, expected numbers "
            "of at least 0 and no count without events; check the counts"
        )
    if events == 0:
        return 0.0, float("inf")
    low = _find_mean(count, TAIL) if count else 0.0
    return low / events, _find_mean(count + 1, 1.0 - TAIL) / events


def _find_least_share(count: int, total: int) -> float:
    """Find the share of which at least so many of a total come with the probability of a tail."""
    if not count:
        return 0.0

    def compute(share: float) -> tuple[float, float]:
        """Compute the binomial probability of at least `count`, and its slope."""
        odds, rest = share / (1.0 - share), total - count
        first = math.exp(
            math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(rest + 1)
            + count * math.log(share) + rest * math.log1p(-share)
        )  # fmt: skip
        tail = _sum_tail(first, count, lambda k: (total - k) / (k + 1) * odds)
        return tail, first * count / share

    return _find_root(compute, TAIL, count / (total + 1), 1.0)


def _find_mean(count: int, probability: float) -> float:
    """Find the mean of the Poisson distribution that gives at least so many with a probability."""

    def compute(mean: float) -> tuple[float, float]:
        """Compute the probability of at least `count`, and its slope."""
        first = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
        return _sum_tail(first, count, lambda k: mean / (k + 1)), first * count / mean

    return _find_root(compute, probability, float(count), math.inf)


def _sum_tail(first: float, count: int, step: Callable[[int], float]) -> float:
    """Sum the probabilities of a count and of all above it; each a step's times the one before."""
    total = term = first
    while term > EPSILON * total:
        term *= step(count)
        count += 1
        total += term
    return total


def _find_root(
    compute: Callable[[float], tuple[float, float]], goal: float, start: float, high: float
) -> float:
    """Find where a function that rises comes to a goal, by Newton's steps within what is known.

    Args:
        compute: Gives the function and its slope.
        start: From where to look, above 0 and below `high`.
    """
    low, at = 0.0, start
    for _step in range(MOST_STEPS):
        value, slope = compute(at)
        low, high = (at, high) if value < goal else (low, at)
        before, at = at, at + (goal - value) / slope if slope else low
        if not low < at < high:
            at = (low + high) / 2.0 if math.isfinite(high) else 2.0 * before
        if abs(at - before) <= EPSILON * at:
            break
    return at

"""Confidence intervals of the two rates that scores quote, so that small samples show as such."""

from __future__ import annotations

CONFIDENCE = 0.6827
"""One standard deviation of a Gaussian, the field's error bar: the least probability with which an
interval holds the true value."""
TAIL = (1.0 - CONFIDENCE) / 2.0


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
    # Inverse of the regularised incomplete beta function: the quantile of a beta distribution.
    from scipy.special import betaincinv

    missed = true_peaks - found
    low = float(betaincinv(found, missed + 1, TAIL)) if found else 0.0
    high = float(betaincinv(found + 1, missed, 1.0 - TAIL)) if missed else 1.0
    return low, high


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
    # Inverse of the regularised incomplete gamma function: half the quantile of a chi-squared.
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, TAIL)) if count else 0.0
    high = float(gammaincinv(count + 1, 1.0 - TAIL))
    return low / events, high / events

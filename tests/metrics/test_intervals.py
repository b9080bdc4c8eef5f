"""The intervals against their definitions and published values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scipy import special

from sweep.metrics.intervals import compute_efficiency_interval, compute_rate_interval

TAIL = (1.0 - 0.6827) / 2.0


@pytest.mark.parametrize(("found", "true_peaks"), [(1, 10), (5, 10), (9, 10), (21700, 27126)])
def test_efficiency_ends_are_where_the_tails_are(found: int, true_peaks: int) -> None:
    """At each end a count at least as extreme has the probability of one tail."""
    low, high = compute_efficiency_interval(found, true_peaks)
    assert low < found / true_peaks < high
    assert special.bdtrc(found - 1, true_peaks, low) == pytest.approx(TAIL, rel=1e-6)
    assert special.bdtr(found, true_peaks, high) == pytest.approx(TAIL, rel=1e-6)


def test_efficiency_at_the_limits() -> None:
    """None found starts at 0, all found ends at 1, and 0 of 0 is everything."""
    assert compute_efficiency_interval(0, 10) == pytest.approx((0.0, 1.0 - TAIL**0.1))
    assert compute_efficiency_interval(10, 10) == pytest.approx((TAIL**0.1, 1.0))
    assert compute_efficiency_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, (0.0, 1.841)), (1, (0.173, 3.300)), (10, (6.891, 14.267))]
)
def test_rate_equals_published_values(count: int, expected: tuple[float, float]) -> None:
    """For one event the ends are the tabulated ones (Gehrels, ApJ 303, 336, 1986, 1 sigma)."""
    assert compute_rate_interval(count, 1) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("count", [1, 7, 800])
def test_rate_ends_are_where_the_tails_are(count: int) -> None:
    """At each end a count at least as extreme has the probability of one tail."""
    low, high = compute_rate_interval(count, 5000)
    assert low < count / 5000 < high
    assert special.pdtrc(count - 1, low * 5000) == pytest.approx(TAIL, rel=1e-6)
    assert special.pdtr(count, high * 5000) == pytest.approx(TAIL, rel=1e-6)


def test_rate_without_events_is_anything() -> None:
    """No events say nothing about a rate."""
    assert compute_rate_interval(0, 0) == (0.0, float("inf"))


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: compute_efficiency_interval(3, 2), "got 3 of 2"),
        (lambda: compute_efficiency_interval(-1, 2), "got -1 of 2"),
        (lambda: compute_rate_interval(-1, 2), "got -1 in 2 events"),
        (lambda: compute_rate_interval(1, 0), "got 1 in 0 events"),
    ],
)
def test_bad_arguments_are_refused(
    compute: Callable[[], tuple[float, float]], message: str
) -> None:
    """Counts that cannot be are errors."""
    with pytest.raises(ValueError, match=message):
        compute()

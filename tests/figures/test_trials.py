"""The report's figures are small and still show what is there."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.data.geometry import compute_bin_centers_mm
from sweep.figures.data import measure_mean_peak
from sweep.figures.event import draw_event, thin
from sweep.figures.style import list_ticks
from sweep.metrics.wording import write_number, write_rate, write_time
from sweep.report.page import as_data
from tests.data.conftest import make_arrays


def test_thinned_curve_is_the_same_curve() -> None:
    """Drawn through the points that stay, every bin has its height again; gaps stay gaps."""
    z_mm = compute_bin_centers_mm()
    heights = np.zeros(4000)
    heights[1000:1010] = np.linspace(0.1, 1.0, 10)
    heights[2000:2500] = np.nan
    x, y = thin(z_mm, heights)
    assert len(x) < 25
    points = dict(zip(x, y, strict=True))
    gap = [z for z, height in points.items() if height is None]
    assert gap == pytest.approx(z_mm[[2000, 2499]])
    solid = [(z, height) for z, height in points.items() if height is not None]
    again = np.interp(z_mm, *zip(*solid, strict=True))
    is_gap = np.isnan(heights)
    np.testing.assert_allclose(again[~is_gap], heights[~is_gap], atol=1e-4)


def test_an_event_of_the_report_is_small() -> None:
    """100 bins that differ and long runs that do not: a few hundred points a curve."""
    x, y = make_arrays(1)
    figure = draw_event(x[0], y[0])
    lengths = {trace.name: len(trace.x) for trace in figure.data if trace.mode == "lines"}
    assert set(lengths) == {"density", "target", "x", "y"}
    assert max(lengths.values()) < 300
    assert len(figure.to_json()) < 20_000


def test_mean_peak_leaves_masked_bins_out() -> None:
    """Two peaks, of which one is half masked: the mean is that of what is there."""
    density = np.ones((2, 4000), dtype=np.float32)
    target = np.zeros((2, 4000), dtype=np.float32)
    target[0, 500], target[1, 700] = 1.0, 3.0
    target[1, 701:] = np.nan
    offset_mm, mean_density, mean_target = measure_mean_peak(density, target, [(0, 500), (1, 700)])
    middle = len(offset_mm) // 2
    assert offset_mm[middle] == pytest.approx(0.0)
    assert mean_target[middle] == pytest.approx(2.0)
    assert mean_target[middle + 1] == pytest.approx(0.0)
    assert mean_density == pytest.approx(np.ones(len(offset_mm)))


def test_peaks_at_the_ends_are_left_out() -> None:
    """Where the window leaves the histogram, and none is left, the mean is zero, not NaN."""
    y_BL = np.ones((1, 4000), dtype=np.float32)
    _offset_mm, density, target = measure_mean_peak(y_BL, y_BL, [(0, 3), (0, 3998)])
    assert not density.any() and not target.any()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1.6, -0.9, [0.05, 0.1]),
        (-2.0, 0.0, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]),
        (-2.5, 1.2, [0.01, 0.1, 1.0, 10.0]),
    ],
)
def test_ticks_of_losses_are_round(low: float, high: float, expected: list[float]) -> None:
    """1, 2, 5 where they are few, else decades."""
    assert list_ticks(low, high) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.039567, "0.03957"), (8.0021, "8.002"), (272.895, "272.9"),
     (12345.6, "12346"), (3.2e-6, "3.20e-06"), (-0.5, "-0.5")],
)  # fmt: skip
def test_numbers_have_the_digits_that_mean_something(value: float, text: str) -> None:
    """Four, without an exponent where that is short."""
    assert write_number(value) == text


def test_rates_have_two_digits_of_their_interval() -> None:
    """More would be noise, fewer would hide it."""
    assert write_rate(0.78291, (0.76955, 0.79579)) == "0.783 (0.770 to 0.796)"
    assert write_rate(272.895, (271.72, 274.07)) == "272.9 (271.7 to 274.1)"
    assert write_rate(0.0, (0.0, float("inf"))) == "0.000 (0.000 to inf)"


def test_times_are_in_the_unit_that_suits() -> None:
    """Seconds, minutes, hours."""
    assert [write_time(t) for t in (0.8141, 119.0, 180.0, 9000.0)] == [
        "0.814 s",
        "119 s",
        "3.0 min",
        "2.5 h",
    ]


def test_data_in_a_script_cannot_end_it() -> None:
    """A name like </script> stays data."""
    assert "<" not in as_data('{"name": "</script><script>alert(1)"}')

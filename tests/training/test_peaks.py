"""The peak finder against golden positions, a slow finder and itself."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.metrics.decode import REFERENCE
from sweep.metrics.peaks import count_peaks
from sweep.training.peaks import check_table, list_regions, tabulate_regions

NAN = float("nan")
THRESHOLD = float(np.float32(0.01))


def find_peaks(histogram_BL: Tensor) -> SimpleNamespace:
    """Find the peaks of each histogram, as flat lists."""
    table = tabulate_regions(histogram_BL)
    check_table(table)
    event_P, column_P = torch.nonzero(table.position_BR < math.inf, as_tuple=True)
    return SimpleNamespace(position_P=table.position_BR[event_P, column_P], event_P=event_P)


def find_slowly(histogram_L: NDArray[np.float32]) -> list[np.float32]:
    """Walk bin by bin in float32, as docs/PHYSICS.md, "Peak finder" describes it."""
    threshold, least = np.float32(THRESHOLD), np.float32(REFERENCE.integral)
    last = len(histogram_L) - 1
    positions = []
    width, integral, weighted = 0, np.float32(0), np.float32(0)
    for index, value in enumerate(histogram_L):
        if value >= threshold:
            width += 1
            integral = np.float32(integral + value)
            weighted = np.float32(np.float64(weighted) + index * np.float64(value))
        if (value < threshold or index == last) and width > 0:
            if width >= REFERENCE.min_width and integral >= least:
                positions.append(np.float32(weighted / integral))
            width, integral, weighted = 0, np.float32(0), np.float32(0)
    return positions


def find_slowly_in_batch(
    histogram_BL: NDArray[np.float32],
) -> tuple[list[float], list[int]]:
    """Positions and events of all peaks of a batch, by the slow finder."""
    found = [find_slowly(histogram_L) for histogram_L in histogram_BL]
    positions = [float(position) for event in found for position in event]
    return positions, [index for index, event in enumerate(found) for _ in event]


def make_histogram(rng: np.random.Generator, num_bins: int) -> NDArray[np.float32]:
    """Draw a histogram that is hard on a finder: exact thresholds, NaN, edges, noise, scales."""
    kind = rng.integers(6)
    if kind == 0:
        histogram = rng.choice([0.0, 0.0099, THRESHOLD, 0.0101, 0.05, -0.5], num_bins)
    elif kind == 1:
        histogram = rng.normal(0.0, 0.15, num_bins)
    elif kind == 2:
        histogram = np.cumsum(rng.normal(0.0, 0.02, num_bins))
    elif kind == 3:
        histogram = np.full(num_bins, rng.choice([THRESHOLD, 0.5, 0.00999, 1e30]))
    else:
        centers = rng.choice([0, 1, num_bins - 1, *rng.integers(0, num_bins, 6)], 5)
        distance = np.arange(num_bins) - centers[:, None]
        histogram = (rng.uniform(0.02, 1.0) * np.exp(-(distance**2) / 4.0)).sum(axis=0)
    histogram = histogram.astype(np.float32)
    for start in rng.integers(0, num_bins, rng.integers(0, 5)):
        histogram[start : start + rng.integers(1, 30)] = NAN
    if rng.random() < 0.3:
        histogram[rng.random(num_bins) < 0.1] = NAN
    if rng.random() < 0.3:
        histogram[rng.integers(num_bins) :] = rng.choice([NAN, 0.3, 0.0])
    return histogram


def place(*runs: tuple[int, int, float], background: float = 0.0) -> Tensor:
    """One event of 4000 bins with runs of (first bin, number of bins, height)."""
    histogram_BL = torch.full((1, 4000), background)
    for first, num_bins, height in runs:
        histogram_BL[0, first : first + num_bins] = height
    return histogram_BL


GOLDEN = [
    pytest.param(place((100, 3, 0.2), (103, 7, NAN), (110, 3, 0.2)), [106.0], id="bridge"),
    pytest.param(place((100, 3, 0.2), (103, 7, NAN)), [101.0], id="then NaN then zero"),
    pytest.param(place((100, 5, 0.2), (102, 1, NAN)), [102.0], id="NaN inside"),
    pytest.param(place((101, 3, 0.2), (104, 3896, NAN)), [102.0], id="NaN to the end"),
    pytest.param(place((3997, 3, 0.2)), [3998.0], id="last three bins"),
    pytest.param(place((0, 3, 0.2)), [1.0], id="first three bins"),
    pytest.param(place((3998, 2, 0.2)), [], id="last two bins"),
    pytest.param(place((0, 2, 0.2)), [], id="first two bins"),
    pytest.param(place(background=NAN), [], id="all NaN"),
    pytest.param(place(background=0.5), [1999.5], id="constant"),
    pytest.param(place(background=0.0099), [], id="constant below threshold"),
    pytest.param(place(background=-0.5), [], id="negative"),
    pytest.param(place((10, 20, 0.01)), [19.499998092651367], id="integral just reached"),
    pytest.param(place((10, 19, 0.01)), [], id="integral not reached"),
    pytest.param(place((10, 4, 0.05)), [11.5], id="integral exactly reached"),
    pytest.param(place((10, 2, 0.1)), [], id="too narrow"),
    pytest.param(place((10, 3, 0.25), (14, 3, 0.25)), [11.0, 15.0], id="one bin between"),
]
"""Cases and positions of docs/PHYSICS.md, "Peak finder"."""


@pytest.mark.parametrize(("histogram_BL", "expected"), GOLDEN)
def test_golden_positions(histogram_BL: Tensor, expected: list[float]) -> None:
    """Positions are those that the reference returned (docs/PHYSICS.md, "Peak finder")."""
    assert find_peaks(histogram_BL).position_P.tolist() == expected


def draw_at_threshold(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw an event whose runs add up to about 0.2 or hold bins of about 0.01, some masked."""
    histogram_L = np.zeros(300, dtype=np.float32)
    for start in range(0, 300, 30):
        num_bins = int(rng.integers(3, 21))
        shares = rng.dirichlet(np.full(num_bins, 3.0)) if num_bins < 12 else 1.0 / num_bins
        run = np.full(num_bins, 0.2 * shares, dtype=np.float32)
        ends = rng.choice(np.array([-np.inf, np.inf, 0.0], dtype=np.float32), num_bins)
        histogram_L[start : start + num_bins] = np.where(ends, np.nextafter(run, ends), run)
        if rng.random() < 0.5:
            histogram_L[start + 1 : start + 29] = np.insert(
                histogram_L[start + 1 : start + 28], int(rng.integers(27)), np.float32(NAN)
            )
    return histogram_L


@pytest.mark.parametrize(("histogram_BL", "expected"), GOLDEN)
def test_golden_peaks_are_counted(histogram_BL: Tensor, expected: list[float]) -> None:
    """What `sweep data describe` counts, without PyTorch, are the peaks of the reference."""
    assert count_peaks(histogram_BL.numpy()).tolist() == [len(expected)]


@pytest.mark.parametrize("seed", range(4))
def test_peaks_beside_the_thresholds_are_counted(seed: int) -> None:
    """Random histograms, with NaN, with sums and heights a last bit beside the thresholds."""
    rng = np.random.default_rng(seed)
    makers = [draw_at_threshold] * 100 + [lambda rng: make_histogram(rng, 300)] * 100
    histogram_BL = np.stack([make(rng) for make in makers])
    _, events = find_slowly_in_batch(histogram_BL)
    expected = np.bincount(events, minlength=200)
    assert 100 < expected[:100].sum() < 900
    np.testing.assert_array_equal(count_peaks(histogram_BL), expected)


def test_more_peaks_than_the_reference_can_hold() -> None:
    """There is no limit of 150 peaks, where the reference writes past its array."""
    histogram_BL = torch.zeros(2, 4000)
    for offset in range(3):
        histogram_BL[:, offset::4] = 0.5
    peaks = find_peaks(histogram_BL)
    expected = torch.arange(1000) * 4.0 + 1.0
    assert torch.equal(peaks.position_P, expected.repeat(2))
    assert torch.equal(peaks.event_P, torch.arange(2).repeat_interleave(1000))


@pytest.mark.parametrize("seed", range(8))
def test_random_histograms_equal_the_slow_finder(seed: int) -> None:
    """Random hard histograms give the slow finder's peaks, bit for bit."""
    rng = np.random.default_rng(seed)
    histogram_BL = np.stack([make_histogram(rng, 300) for _ in range(50)])
    peaks = find_peaks(torch.from_numpy(histogram_BL))
    positions, events = find_slowly_in_batch(histogram_BL)
    assert len(positions) > 50
    assert peaks.position_P.tolist() == positions
    assert peaks.event_P.tolist() == events


def test_long_histograms_equal_the_slow_finder() -> None:
    """Regions of thousands of bins, where rounding adds up, keep the reference's rounding."""
    rng = np.random.default_rng(11)
    histogram_BL = rng.uniform(0.2, 1.0, (6, 4000)).astype(np.float32)
    histogram_BL[3:] += np.float32(1e6) * (rng.random((3, 4000)) < 0.01).astype(np.float32)
    peaks = find_peaks(torch.from_numpy(histogram_BL))
    positions, events = find_slowly_in_batch(histogram_BL)
    assert peaks.position_P.tolist() == positions
    assert peaks.event_P.tolist() == events


def test_real_targets_equal_the_slow_finder(shared_data: Path) -> None:
    """Real targets with their masks give the slow finder's peaks."""
    with np.load(shared_data / "pvfinder_toy_val.npz") as archive:
        target_BL = archive["y"].astype(np.float32)
    peaks = find_peaks(torch.from_numpy(target_BL))
    assert len(peaks.position_P) == 5413
    positions, events = find_slowly_in_batch(target_BL[:60])
    assert peaks.position_P.tolist()[: len(positions)] == positions
    assert peaks.event_P.tolist()[: len(events)] == events


def test_batches_and_single_events_agree() -> None:
    """An event's peaks do not depend on the events around it."""
    rng = np.random.default_rng(5)
    histogram_BL = torch.from_numpy(np.stack([make_histogram(rng, 300) for _ in range(80)]))
    peaks = find_peaks(histogram_BL)
    for event, histogram_L in enumerate(histogram_BL):
        alone = find_peaks(histogram_L[None])
        assert torch.equal(alone.position_P, peaks.position_P[peaks.event_P == event])


def test_regions_end_with_their_event() -> None:
    """A region at the end of one event does not go on at the start of the next."""
    histogram_BL = torch.cat([place((3997, 3, 0.2)), place((0, 3, 0.2))])
    peaks = find_peaks(histogram_BL)
    assert peaks.position_P.tolist() == [3998.0, 1.0]
    assert peaks.event_P.tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_are_compared_as_float32(dtype: torch.dtype) -> None:
    """A histogram of another dtype gives the peaks of its float32 values."""
    histogram_BL = place((10, 20, 0.0123), (50, 4, 0.3)).to(dtype)
    actual = find_peaks(histogram_BL)
    assert actual.position_P.dtype == torch.float32
    assert torch.equal(actual.position_P, find_peaks(histogram_BL.float()).position_P)


def test_views_and_gradients_are_no_obstacle() -> None:
    """A transposed view that requires a gradient gives plain positions and stays as it was."""
    histogram_LB = place((10, 4, 0.25)).repeat(3, 1).t().contiguous().requires_grad_()
    peaks = find_peaks(histogram_LB.t())
    assert peaks.position_P.tolist() == [11.5, 11.5, 11.5]
    assert not peaks.position_P.requires_grad


@pytest.mark.parametrize("shape", [(0, 4000), (3, 0)])
def test_nothing_in_nothing_out(shape: tuple[int, int]) -> None:
    """No events, or events without bins, give empty lists."""
    peaks = find_peaks(torch.zeros(shape))
    assert peaks.position_P.shape == (0,)
    assert peaks.event_P.shape == (0,)
    assert peaks.event_P.dtype == torch.int64


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinite_bins_are_refused(value: float) -> None:
    """An infinite bin is an error that says so, even beside NaN."""
    histogram_BL = place((100, 3, NAN), (200, 2, value))
    with pytest.raises(ValueError, match="got 2 infinite bins"):
        find_peaks(histogram_BL)


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
@pytest.mark.parametrize("background", [0.0, -1.0])
def test_no_infinite_bin_is_passed_over(value: float, background: float) -> None:
    """Low bins are passed many at a time; an infinite one among them is seen wherever it is."""
    histogram_BL = torch.full((150, 150), background).fill_diagonal_(value)
    assert list_regions(histogram_BL).num_infinite == 150


def test_overflowing_sums_are_refused() -> None:
    """Bins near 3e38, where the reference's position is NaN, are an error."""
    with pytest.raises(ValueError, match="a histogram overflows"):
        find_peaks(place((0, 3, 3e38)))


def test_a_single_histogram_is_refused() -> None:
    """A histogram without the batch dimension is an error that says what to do."""
    with pytest.raises(ValueError, match=r"got \(4000,\), expected \(events, bins\)"):
        find_peaks(torch.zeros(4000))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_bits() -> None:
    """Positions on a GPU equal those on the CPU, bit for bit."""
    rng = np.random.default_rng(3)
    histogram_BL = torch.from_numpy(np.stack([make_histogram(rng, 4000) for _ in range(100)]))
    actual = find_peaks(histogram_BL.cuda())
    expected = find_peaks(histogram_BL)
    assert actual.position_P.is_cuda
    assert torch.equal(actual.position_P.cpu(), expected.position_P)
    assert torch.equal(actual.event_P.cpu(), expected.event_P)

"""The GPU's walk, taken by a C compiler, and matching on tables as wide as a GPU's."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import sweep.training.peaks
import sweep.training.walk
from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.peaks import gather_regions
from sweep.training.matching import Match, match_peaks
from sweep.training.peaks import RegionTable, tabulate_regions
from tests.training.test_matching import count_matches_per_event, make_pairs, peak_at
from tests.training.test_peaks import (
    GOLDEN,
    draw_at_threshold,
    find_peaks,
    make_histogram,
    place,
)

NAN = float("nan")
SETTINGS = [REFERENCE, Decode(0.01, 0.0, 1), Decode(0.05, 0.3, 2), Decode(0.003, 0.1, 7)]
FRAME = """
static struct {{ int x; }} blockIdx, blockDim = {{1}}, threadIdx;
{}
void walk_all(const float *a, int num_events, int c, float d, float e, int f, int g,
              float *h, float *i, float *j, int *k, int *l)
{{
    for (blockIdx.x = 0; blockIdx.x < num_events; ++blockIdx.x)
        walk(a, num_events, c, d, e, f, g, h, i, j, k, l);
}}
"""


class CompiledWalk:
    """The program of a GPU, one event after the other on the CPU."""

    def __init__(self, library: Path) -> None:
        self._walk = ctypes.CDLL(str(library)).walk_all

    def __call__(self, histogram_BL: Tensor, decode: Decode, tables: Sequence[Tensor]) -> None:
        """Do what `GpuWalk` does."""
        assert histogram_BL.is_contiguous() and all(table.is_contiguous() for table in tables)
        self._walk(
            ctypes.c_void_p(histogram_BL.data_ptr()),
            *map(ctypes.c_int, histogram_BL.shape),
            ctypes.c_float(decode.threshold),
            ctypes.c_float(decode.integral),
            ctypes.c_int(decode.min_width),
            ctypes.c_int(tables[0].shape[1]),
            *(ctypes.c_void_p(table.data_ptr()) for table in tables),
        )


@pytest.fixture(scope="module")
def gpu_walk(tmp_path_factory: pytest.TempPathFactory) -> CompiledWalk:
    """The program that a GPU runs, compiled for the CPU."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = Path(sweep.training.walk.__file__).with_suffix(".cu").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("walk")
    program = FRAME.format(source.replace('extern "C" __global__', "static"))
    (folder / "walk.c").write_text(program, encoding="utf-8")
    library = folder / "walk.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(folder / "walk.c")]
    subprocess.run(command, check=True)
    return CompiledWalk(library)


@pytest.fixture
def as_on_a_gpu(gpu_walk: CompiledWalk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are those that a GPU makes."""
    monkeypatch.setattr(sweep.training.peaks, "find_walk", lambda _device: gpu_walk)


def make_hard_histograms(num_bins: int) -> Tensor:
    """Histograms that are hard on a finder, as many as make every setting find some."""
    rng = np.random.default_rng(17)
    hard = [make_histogram(rng, num_bins) for _ in range(150)]
    beside = [np.resize(draw_at_threshold(rng), num_bins) for _ in range(50)]
    return torch.from_numpy(np.stack([*hard, *beside]))


def get_cells(table: RegionTable, event: int) -> list[list[float]]:
    """The regions of an event, without the columns after them."""
    parts = (table.position_BR, table.height_BR, table.integral_BR, table.width_BR)
    num_regions = int((table.position_BR[event] < math.inf).sum())
    assert table.position_BR[event, num_regions:].isinf().all()
    assert not any(part[event, num_regions:].any() for part in parts[1:])
    return [part[event, :num_regions].tolist() for part in parts]


@pytest.mark.parametrize("decode", SETTINGS, ids=str)
@pytest.mark.parametrize("num_bins", [300, 301])
def test_a_gpu_walks_as_a_cpu_does(
    gpu_walk: CompiledWalk, monkeypatch: pytest.MonkeyPatch, decode: Decode, num_bins: int
) -> None:
    """Every region of hard histograms, bit for bit, whatever counts as a peak."""
    histogram_BL = make_hard_histograms(num_bins)
    expected = tabulate_regions(histogram_BL, decode)
    monkeypatch.setattr(sweep.training.peaks, "find_walk", lambda _device: gpu_walk)
    actual = tabulate_regions(histogram_BL, decode)
    assert actual.position_BR.shape[1] == 1 + num_bins // (decode.min_width + 1)
    assert actual.faults_2.tolist() == expected.faults_2.tolist()
    cells = [get_cells(expected, event) for event in range(len(histogram_BL))]
    assert sum(len(event[0]) for event in cells) > 100
    assert [get_cells(actual, event) for event in range(len(histogram_BL))] == cells


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize(("histogram_BL", "expected"), GOLDEN)
def test_a_gpu_finds_the_golden_positions(histogram_BL: Tensor, expected: list[float]) -> None:
    """Positions are those that the reference returned (docs/PHYSICS.md, "Peak finder")."""
    assert find_peaks(histogram_BL).position_P.tolist() == expected


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_gpu_counts_the_reference_cases(shared_data: Path) -> None:
    """The counts of all 160 reference cases are the reference's."""
    with np.load(shared_data / "metric_cases.npz") as archive:
        truth_BL = torch.from_numpy(archive["truth"])
        prediction_BL = torch.from_numpy(archive["predict"])
        expected_B4 = torch.from_numpy(archive["counts"]).to(torch.int64)
    assert torch.equal(match_peaks(truth_BL, prediction_BL).count()[:, :4], expected_B4)


def test_wide_tables_match_as_narrow_ones(
    gpu_walk: CompiledWalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's columns without a peak change no count and no residual, nor do a CPU's tables."""
    truth_BL, prediction_BL = make_pairs(seed=21, num_events=150, num_bins=250)
    expected = count_matches_per_event(truth_BL, prediction_BL)
    assert torch.equal(match_peaks(truth_BL, prediction_BL).count(), expected)
    monkeypatch.setattr(sweep.training.peaks, "find_walk", lambda _device: gpu_walk)
    assert torch.equal(match_peaks(truth_BL, prediction_BL).count(), expected)


@pytest.mark.parametrize("bad", [place((10, 3, math.inf)), place((0, 3, 3e38)), peak_at(5) - 1e39])
def test_faults_are_counted_where_they_are(
    gpu_walk: CompiledWalk, monkeypatch: pytest.MonkeyPatch, bad: Tensor
) -> None:
    """What is not finite is counted alike and breaks nothing before it is read."""
    expected = match_peaks(peak_at(10), bad)
    monkeypatch.setattr(sweep.training.peaks, "find_walk", lambda _device: gpu_walk)
    actual = match_peaks(peak_at(10), bad)
    assert actual.count().shape == expected.count().shape
    assert actual.faults_2.tolist() == expected.faults_2.tolist()
    assert any(actual.faults_2.tolist())


def scan_slowly(match: Match, least_integral: float) -> list[int]:
    """True peaks found and false positives when a peak needs more, pair by pair."""
    found = false = 0
    for truth, position, integral, masked in zip(
        match.truth.position_BR,
        match.prediction.position_BR,
        match.prediction.integral_BR,
        match.is_masked_BR,
        strict=True,
    ):
        true_P = truth[truth.isfinite()]
        kept = position.isfinite() & (integral >= least_integral)
        near = (true_P[:, None] - position[None, kept]).abs() <= 5.0
        found += int(near.any(1).sum())
        false += int((~near.any(0) & ~masked[kept]).sum())
    return [found, false]


@pytest.mark.parametrize("min_width", [1, 3])
def test_one_match_serves_every_least_integral(min_width: int) -> None:
    """Best integrals and those of false peaks say what a match of its own would, for each."""
    truth_BL, prediction_BL = make_pairs(seed=23, num_events=120, num_bins=250)
    match = match_peaks(truth_BL, prediction_BL, Decode(0.01, 0.0, min_width))
    (best_BT,), false_BR = match.find_best_integrals(), match.is_false_BR
    for least in (0.1, 0.2, 0.25, 0.3, 0.45):
        bound = float(np.float32(least))
        found = int((best_BT >= bound).sum())
        false = int((match.prediction.integral_BR[false_BR] >= bound).sum())
        own = match_peaks(truth_BL, prediction_BL, Decode(0.01, least, min_width)).count()
        assert [found, false] == scan_slowly(match, bound)
        assert [found, false] == [int(own[:, 0].sum()), int(own[:, 3].sum())]
        assert found > 0


def test_many_threads_find_what_one_does() -> None:
    """In the same order, and all that is not finite."""
    histogram_BL = np.tile(make_hard_histograms(300).numpy(), (5, 1))
    histogram_BL[7, 3] = histogram_BL[900, 5] = math.inf
    alone, together = (gather_regions(histogram_BL, REFERENCE, number) for number in (1, 4))
    for one, other in zip(vars(alone).values(), vars(together).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert together.num_infinite == 2

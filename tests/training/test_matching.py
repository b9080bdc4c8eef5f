"""Matching of peaks against the reference's counts, golden cases and a slow matching."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sweep.metrics.score import PEAK_COUNTS, MatchCounts, Score
from sweep.metrics.table import EFFICIENCY, FP_RATE
from sweep.metrics.walk import load_compiled, match, walk
from sweep.training.matching import MAX_DISTANCE_BINS, classify_peaks
from sweep.training.matching import count_matches as count_both
from sweep.training.peaks import check_faults
from tests.training.test_peaks import find_peaks, place

NAN = float("nan")


def count_matches_per_event(truth_BL: Tensor, prediction_BL: Tensor) -> Tensor:
    """Count, and wait for what is not finite."""
    counts_BK, faults_2 = count_both(truth_BL, prediction_BL)
    check_faults(faults_2)
    return counts_BK


def count_peaks(truth_BL: Tensor, prediction_BL: Tensor) -> Tensor:
    """Count the peaks of each event: S, Sp, MT and FP, without the sums of residuals."""
    return count_matches_per_event(truth_BL, prediction_BL)[:, :4]


def count_matches(truth_BL: Tensor, prediction_BL: Tensor) -> MatchCounts:
    """Count over all events."""
    counts_BK = count_matches_per_event(truth_BL, prediction_BL)
    return MatchCounts(len(truth_BL), *counts_BK.sum(dim=0).tolist())


def match_slowly(truth_L: Tensor, prediction_L: Tensor) -> list[int]:
    """Compare all pairs of one event's peaks in float32 (docs/PHYSICS.md, "Matching")."""
    true_peaks = find_peaks(truth_L[None]).position_P.numpy()
    predicted = find_peaks(prediction_L[None]).position_P.numpy()
    counts, farthest = [0, 0, 0, 0], np.float32(MAX_DISTANCE_BINS)
    for position in true_peaks:
        is_near = any(abs(other - position) <= farthest for other in predicted)
        counts[0 if is_near else 2] += 1
    for position in predicted:
        if torch.isnan(truth_L[round(float(position))]):
            continue
        is_near = any(abs(other - position) <= farthest for other in true_peaks)
        counts[1 if is_near else 3] += 1
    return counts


def make_pair(rng: np.random.Generator, num_bins: int) -> tuple[Tensor, Tensor]:
    """Draw a truth with NaN runs and a prediction shifted, doubled, merged, lost or invented."""
    truth = np.zeros(num_bins, np.float32)
    prediction = np.zeros(num_bins, np.float32)
    shape = np.array([0.1, 0.3, 0.1], np.float32)
    for center in rng.integers(1, num_bins - 2, 8):
        truth[center - 1 : center + 2] += shape
        for shift in rng.choice([-6, -5, -4, 0, 3, 4, 5, 6], rng.integers(0, 3)):
            first = int(np.clip(center - 1 + shift, 0, num_bins - 4))
            prediction[first : first + rng.integers(3, 5)] += 0.1
    prediction += rng.choice([0.0, 0.2], num_bins, p=[0.9, 0.1]).astype(np.float32)
    for first in rng.integers(0, num_bins, rng.integers(0, 6)):
        truth[first : first + rng.integers(1, 12)] = NAN
    if rng.random() < 0.2:
        prediction[rng.integers(0, num_bins, 20)] = NAN
    return torch.from_numpy(truth), torch.from_numpy(prediction)


def make_pairs(seed: int, num_events: int, num_bins: int) -> tuple[Tensor, Tensor]:
    """Draw a batch of pairs."""
    rng = np.random.default_rng(seed)
    pairs = [make_pair(rng, num_bins) for _ in range(num_events)]
    return torch.stack([truth for truth, _ in pairs]), torch.stack([pred for _, pred in pairs])


def peak_at(*centers: int) -> Tensor:
    """One event of 4000 bins with a peak of three bins at each centre."""
    return place(*((center - 1, 3, 0.2) for center in centers))


@pytest.mark.parametrize(
    ("truth_BL", "prediction_BL", "expected"),
    [
        pytest.param(peak_at(1000), peak_at(1004), [1, 1, 0, 0], id="offset 4"),
        pytest.param(peak_at(1000), peak_at(1005), [1, 1, 0, 0], id="offset 5"),
        pytest.param(peak_at(1000), peak_at(1006), [0, 0, 1, 1], id="offset 6"),
        pytest.param(peak_at(1000), peak_at(995), [1, 1, 0, 0], id="offset -5"),
        pytest.param(peak_at(1000), peak_at(996, 1004), [1, 2, 0, 0], id="two predictions"),
        pytest.param(peak_at(996, 1004), peak_at(1000), [2, 1, 0, 0], id="two truths"),
        pytest.param(peak_at(), peak_at(1000), [0, 0, 0, 1], id="no truth"),
        pytest.param(peak_at(1000), peak_at(), [0, 0, 1, 0], id="no prediction"),
        pytest.param(peak_at(), peak_at(), [0, 0, 0, 0], id="nothing"),
        pytest.param(place((990, 20, NAN)), peak_at(1000), [0, 0, 0, 0], id="masked"),
        pytest.param(
            place((999, 3, 0.2), (1003, 5, NAN)), peak_at(1004), [1, 0, 0, 0], id="masked match"
        ),
        pytest.param(peak_at(1000), place(background=NAN), [0, 0, 1, 0], id="all NaN"),
        pytest.param(peak_at(1000), place(background=0.5), [0, 0, 1, 1], id="constant"),
        pytest.param(peak_at(1000), place(background=-0.5), [0, 0, 1, 0], id="negative"),
        pytest.param(place((10, 1, NAN)), place((9, 4, 0.1)), [0, 0, 0, 0], id="10.5 is bin 10"),
        pytest.param(place((11, 1, NAN)), place((9, 4, 0.1)), [0, 0, 0, 1], id="not bin 11"),
        pytest.param(place((12, 1, NAN)), place((10, 4, 0.1)), [0, 0, 0, 0], id="11.5 is bin 12"),
        pytest.param(place((11, 1, NAN)), place((10, 4, 0.1)), [0, 0, 0, 1], id="not bin 11 too"),
    ],
)
def test_golden_counts(truth_BL: Tensor, prediction_BL: Tensor, expected: list[int]) -> None:
    """Counts are those that the reference returned (docs/PHYSICS.md, "Matching")."""
    assert count_peaks(truth_BL, prediction_BL).tolist() == [expected]


def test_reference_cases(shared_data: Path) -> None:
    """The counts of all 160 reference cases are the reference's, in a batch and one by one."""
    with np.load(shared_data / "metric_cases.npz") as archive:
        truth_BL = torch.from_numpy(archive["truth"])
        prediction_BL = torch.from_numpy(archive["predict"])
        expected_B4 = torch.from_numpy(archive["counts"]).to(torch.int64)
    assert torch.equal(count_peaks(truth_BL, prediction_BL), expected_B4)
    for truth_L, prediction_L, expected in zip(truth_BL, prediction_BL, expected_B4, strict=True):
        counts = count_matches(truth_L[None], prediction_L[None])
        assert [getattr(counts, name) for name in PEAK_COUNTS] == [1, *expected.tolist()]


def test_random_pairs_equal_the_slow_matching() -> None:
    """Random pairs with masks give the counts of comparing all pairs."""
    truth_BL, prediction_BL = make_pairs(seed=7, num_events=120, num_bins=250)
    actual = count_peaks(truth_BL, prediction_BL)
    expected = [
        match_slowly(truth_L, prediction_L)
        for truth_L, prediction_L in zip(truth_BL, prediction_BL, strict=True)
    ]
    assert min(np.sum(expected, axis=0)) > 10
    assert actual.tolist() == expected


def test_classes_are_the_counts() -> None:
    """The classified peaks of an event are its counts."""
    for truth_L, prediction_L in zip(*make_pairs(seed=9, num_events=40, num_bins=250), strict=True):
        classes = classify_peaks(truth_L, prediction_L)
        counts = count_matches(truth_L[None], prediction_L[None])
        assert len(classes.found_P) == counts.found
        assert len(classes.missed_P) == counts.missed
        assert len(classes.false_P) == counts.false_positives


def test_classes_of_a_small_event() -> None:
    """Each class holds the positions it is named after."""
    truth_L = place((999, 3, 0.25), (1999, 3, 0.25), (3000, 20, NAN))[0]
    prediction_L = place((1001, 3, 0.25), (2499, 3, 0.25), (3009, 3, 0.25))[0]
    classes = classify_peaks(truth_L, prediction_L)
    assert classes.found_P.tolist() == [1000.0]
    assert classes.missed_P.tolist() == [2000.0]
    assert classes.false_P.tolist() == [2500.0]


def test_rates() -> None:
    """Efficiency divides by true peaks, FP rate by the exact number of events."""
    counts = MatchCounts(events=10, found=6, predicted_found=7, missed=2, false_positives=5)
    assert counts.true_peaks == 8
    assert EFFICIENCY.compute(Score(counts, None)) == 0.75
    assert FP_RATE.compute(Score(counts, None)) == 0.5


def test_rates_of_nothing_are_zero() -> None:
    """No truth gives efficiency 0 as in the reference, no events give FP rate 0."""
    assert EFFICIENCY.compute(Score(MatchCounts(events=3, false_positives=1), None)) == 0.0
    assert FP_RATE.compute(Score(MatchCounts(), None)) == 0.0
    assert count_matches(torch.zeros(0, 4000), torch.zeros(0, 4000)) == MatchCounts()


def test_outputs_of_nothing_but_peaks_fit_in_memory() -> None:
    """A batch with a thousand peaks an event, as barely trained models give, is counted."""
    truth_BL = peak_at(1, 2001).repeat(50, 1)
    prediction_BL = peak_at(*range(1, 4000, 4)).repeat(50, 1)
    # Those at 1, 5, 1997, 2001 and 2005 are near a true one.
    expected = MatchCounts(50, 2 * 50, 5 * 50, 0, 995 * 50, pairs=2 * 50)
    assert count_matches(truth_BL, prediction_BL) == expected


def test_different_shapes_are_refused() -> None:
    """A prediction of another shape is an error, not a broadcast."""
    with pytest.raises(ValueError, match=r"got \(2, 4000\) and \(1, 4000\)"):
        count_matches(torch.zeros(2, 4000), torch.zeros(1, 4000))


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinite_predictions_are_refused(value: float) -> None:
    """An infinite prediction is an error that says so."""
    with pytest.raises(ValueError, match="not finite, got 1 infinite bins"):
        count_matches(peak_at(10), place((10, 1, value)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_counts() -> None:
    """Counts on a GPU equal those on the CPU."""
    truth_BL, prediction_BL = make_pairs(seed=4, num_events=100, num_bins=4000)
    actual = count_matches_per_event(truth_BL.cuda(), prediction_BL.cuda())
    assert torch.equal(actual.cpu(), count_matches_per_event(truth_BL, prediction_BL))


def measure_slowly(truth_L: Tensor, prediction_L: Tensor) -> list[int]:
    """Measure the residuals of one event in whole micrometres, comparing all pairs."""
    (true_P, predicted_P) = (
        find_peaks(h[None]).position_P.tolist() for h in (truth_L, prediction_L)
    )
    nearest = [
        min(predicted_P, key=lambda z, t=true: (abs(z - t), z), default=None) for true in true_P
    ]
    offsets = [z - true for true, z in zip(true_P, nearest, strict=True) if z is not None]
    return [round(100 * offset) for offset in offsets if abs(offset) <= 5.0]


def test_residuals_are_those_of_all_pairs() -> None:
    """Sums of powers, event by event, as the slow way has them; a pair for each found peak."""
    truth_BL, prediction_BL = make_pairs(seed=9, num_events=120, num_bins=250)
    actual = count_matches_per_event(truth_BL, prediction_BL)
    assert actual[:, 0].tolist() == actual[:, 4].tolist()
    for truth_L, prediction_L, row in zip(truth_BL, prediction_BL, actual.tolist(), strict=True):
        residuals = measure_slowly(truth_L, prediction_L)
        assert row[5:] == [sum(um**power for um in residuals) for power in (1, 2, 3, 4)]
    assert int(actual[:, 6].sum()) > 0


@pytest.mark.parametrize(
    ("true", "predicted", "residuals_um"),
    [
        ([1000], [1002], [200]),
        ([1000], [998], [-200]),
        ([1000], [997, 1002], [200]),
        ([1000], [996, 1004], [-400]),
        ([996, 1004], [1000], [400, -400]),
        ([1000], [1006], []),
    ],
    ids=["beyond", "before", "nearest", "tie: the lower", "one for two", "too far"],
)
def test_residual_is_predicted_minus_true(
    true: list[int], predicted: list[int], residuals_um: list[int]
) -> None:
    """Of each found peak, to the nearest predicted one, in micrometres."""
    counts = count_matches(peak_at(*true), peak_at(*predicted))
    assert counts.pairs == counts.found == len(residuals_um)
    assert counts.residual_um == sum(residuals_um)
    assert counts.residual_um2 == sum(um**2 for um in residuals_um)


def test_counting_compiles_nothing_that_is_not_loaded_before_workers_are_forked() -> None:
    """Or each of them would load it for itself, for two seconds."""
    load_compiled()
    before = [len(function.signatures) for function in (walk, match)]
    count_matches(*make_pairs(0, 2, 500))
    assert [len(function.signatures) for function in (walk, match)] == before

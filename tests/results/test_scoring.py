"""Scores of batches and files, and what a bad file is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sweep.errors import DataError
from sweep.metrics.score import PEAK_COUNTS, MatchCounts, Score
from sweep.metrics.table import EFFICIENCY, FP_RATE
from sweep.metrics.writing import describe_metrics, describe_score
from sweep.results.scoring import score_files
from sweep.training.event_scores import score_each

NAN = float("nan")


def make_events(seed: int, num_events: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw targets with masked bins and predictions that are shifted, weaker and noisy."""
    rng = np.random.default_rng(seed)
    target_BL = np.zeros((num_events, 4000), np.float32)
    for event in range(num_events):
        for first in rng.integers(0, 3990, 5):
            target_BL[event, first : first + 5] += rng.uniform(0.05, 0.5)
    prediction_BL = np.roll(target_BL, 2, axis=1) * rng.uniform(0.2, 1.0, (num_events, 1))
    prediction_BL += 0.05 * (rng.random(target_BL.shape) < 0.02)
    for event, first in enumerate(rng.integers(0, 3900, num_events)):
        target_BL[event, first : first + 40] = NAN
    return target_BL, prediction_BL.astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A truth and a prediction file of 12 events."""
    target_BL, prediction_BL = make_events(seed=1, num_events=12)
    np.savez(tmp_path / "truth.npz", y=target_BL)
    np.savez(tmp_path / "prediction.npz", prediction=prediction_BL)
    return tmp_path / "truth.npz", tmp_path / "prediction.npz"


def test_no_events_say_nothing() -> None:
    """An empty score has zero rates, no loss and intervals that say nothing."""
    score = Score(counts=MatchCounts(), validation_loss=None)
    assert (EFFICIENCY.compute(score), FP_RATE.compute(score)) == (0.0, 0.0)
    assert describe_score(score)["fp_rate_interval"] == [0.0, None]


def test_json_holds_the_score() -> None:
    """The JSON form is strict JSON with counts, rates, loss and intervals under their names."""
    counts = MatchCounts(events=10, found=6, predicted_found=7, missed=2, false_positives=5)
    score = Score(counts=counts, validation_loss=0.05)
    actual = json.loads(json.dumps(describe_score(score), allow_nan=False))
    assert actual == {
        "events": 10,
        "true_peaks": 8,
        "found": 6,
        "missed": 2,
        "predicted_found": 7,
        "false_positives": 5,
        "pairs": 0,
        "residual_um": 0,
        "residual_um2": 0,
        "residual_um3": 0,
        "residual_um4": 0,
        "efficiency": 0.75,
        "fp_rate": 0.5,
        "validation_loss": 0.05,
        "efficiency_interval": list(EFFICIENCY.compute_interval(score)),
        "fp_rate_interval": list(FP_RATE.compute_interval(score)),
    }
    assert actual["efficiency_interval"][0] < 0.75 < actual["efficiency_interval"][1]
    assert actual["fp_rate_interval"][0] < 0.5 < actual["fp_rate_interval"][1]
    assert "validation_loss" not in describe_score(Score(counts=counts, validation_loss=None))


def test_files_score_as_batches(files: tuple[Path, Path]) -> None:
    """A file's score is that of its arrays."""
    target_BL, prediction_BL = map(torch.from_numpy, make_events(seed=1, num_events=12))
    assert score_files(*files) == score_each([(prediction_BL, target_BL)]).score


def test_reference_cases_as_files(tmp_path: Path, shared_data: Path) -> None:
    """The 160 reference cases, written to files, score the sums of the reference's counts."""
    with np.load(shared_data / "metric_cases.npz") as archive:
        np.savez_compressed(tmp_path / "truth.npz", y=archive["truth"])
        np.savez(tmp_path / "prediction.npz", prediction=archive["predict"])
        expected = archive["counts"].sum(axis=0).tolist()
    score = score_files(tmp_path / "truth.npz", tmp_path / "prediction.npz")
    assert [getattr(score.counts, name) for name in PEAK_COUNTS] == [160, *expected]


def test_perfect_predictions_of_many_events(tmp_path: Path, shared_data: Path) -> None:
    """float16 files of more events than a batch work; the truth itself scores 1, 0 and 0."""
    with np.load(shared_data / "pvfinder_toy_val.npz") as archive:
        y_NL = archive["y"]
    np.savez(tmp_path / "prediction.npz", prediction=np.nan_to_num(y_NL))
    score = score_files(shared_data / "pvfinder_toy_val.npz", tmp_path / "prediction.npz")
    assert score.counts.events == 1000
    assert set(describe_metrics(score).values()) == {0.0, 1.0}
    assert (EFFICIENCY.compute(score), FP_RATE.compute(score), score.validation_loss) == (1, 0, 0)


def test_nan_at_a_masked_bin_keeps_the_loss(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A predicted NaN where the target is masked follows the reference and leaves the loss."""
    target_BL, prediction_BL = make_events(seed=1, num_events=12)
    prediction_BL[np.isnan(target_BL)] = NAN
    np.savez(tmp_path / "nan.npz", prediction=prediction_BL)
    score = score_files(files[0], tmp_path / "nan.npz")
    assert score.validation_loss == score_files(*files).validation_loss


def test_nan_at_a_valid_bin_has_no_loss(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A predicted NaN at a valid bin follows the reference and leaves no loss."""
    np.savez(tmp_path / "nan.npz", prediction=np.full((12, 4000), NAN))
    score = score_files(files[0], tmp_path / "nan.npz")
    true_peaks = score_files(*files).counts.true_peaks
    assert score == Score(counts=MatchCounts(12, 0, 0, true_peaks, 0), validation_loss=None)


def test_scoring_tells_how_far_it_is(files: tuple[Path, Path]) -> None:
    """Up to the last event."""
    told: list[tuple[int, int]] = []
    score_files(*files, progress=lambda *done: told.append(done))
    assert told == [(12, 12)]


def write_bad_prediction(path: Path, fault: str) -> None:
    """Write a file with one fault."""
    good = np.zeros((12, 4000), np.float32)
    infinite, huge = good.copy(), good.astype(np.float64)
    infinite[3, 17] = -np.inf
    huge[3, 17] = 1e39
    overflowing = good.copy()
    overflowing[3, 17:20] = 3e38
    arrays: dict[str, NDArray[np.generic]] = {
        "pickled": np.array([[{"a": 1}]], dtype=object),
        "one event": good[0],
        "too few bins": good[:, :3999],
        "extra axis": good[:, None],
        "no events": good[:0],
        "other events": good[:11],
        "complex": good.astype(np.complex64),
        "text": np.full((12, 4000), "a"),
        "infinite": infinite,
        "huge": huge,
        "overflowing": overflowing,
    }
    if fault == "text file":
        path.write_text("1, 2, 3\n")
    elif fault == "key":
        np.savez(path, y=good)
    elif fault != "missing":
        np.savez(path, prediction=arrays[fault])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "cannot be read, got No such file"),
        ("text file", "not an archive"),
        ("key", "prediction is missing, got y (12, 4000)"),
        ("pickled", "got object, expected real numbers"),
        ("one event", "got (4000,), expected (events, 4000)"),
        ("too few bins", "got (12, 3999), expected (events, 4000)"),
        ("extra axis", "got (12, 1, 4000), expected (events, 4000)"),
        ("no events", "got (0, 4000), expected (events, 4000) with at least one event"),
        ("other events", "got 11 events, expected 12"),
        ("complex", "got complex64, expected real numbers"),
        ("text", "got <U1, expected real numbers"),
        ("infinite", "got -inf in event 3 bin 17"),
        ("huge", "got 1e+39 in event 3 bin 17"),
        ("overflowing", "a histogram overflows"),
    ],
)
def test_bad_files_get_one_line(files: tuple[Path, Path], fault: str, message: str) -> None:
    """Each fault of a file is one line that names it; those of archives are in tests/data."""
    path = files[0].parent / "bad.npz"
    write_bad_prediction(path, fault)
    with pytest.raises(DataError) as caught:
        score_files(files[0], path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_truth_of_nothing_but_nan_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A target that masks every bin of every event is an error."""
    np.savez(tmp_path / "masked.npz", y=np.full((12, 4000), NAN))
    with pytest.raises(DataError, match="y masks everything"):
        score_files(tmp_path / "masked.npz", files[1])


def test_the_wrong_file_is_named(files: tuple[Path, Path]) -> None:
    """Files given in the wrong order are told which array is missing where."""
    with pytest.raises(DataError, match=r"prediction\.npz: y is missing, got predict"):
        score_files(files[1], files[0])

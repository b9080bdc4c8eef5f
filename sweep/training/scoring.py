"""Scores: the three metrics of a model on a set of events, in training and from files.

Validation adds batch after batch to a `ScoreAccumulator`; `score_files` does the same to stored
predictions, so that a number in the database and one computed afterwards are the same number.

Shapes: B event of a batch, N event of a file, L bin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.archive import Archive
from sweep.errors import DataError
from sweep.geometry import NUM_BINS
from sweep.metrics.score import MatchCounts, Score
from sweep.progress import Progress
from sweep.training.loss import compute_ratio_loss_B
from sweep.training.matching import count_matches

_BATCH_SIZE = 500


class ScoreAccumulator:
    """Adds up the score of events that come in batches; batch sizes make no difference."""

    def __init__(self) -> None:
        """Start with no events."""
        self._counts = MatchCounts()
        self._loss_sum = 0.0

    def add(self, prediction_BL: Tensor, target_BL: Tensor) -> None:
        """Add the events of a batch.

        Args:
            prediction_BL: Predicted histograms, shape (B, L), any floating dtype and device; NaN is
                allowed, and at a valid bin leaves the score without a loss.
            target_BL: Target histograms, shape (B, L), same device; NaN masks a bin.

        Raises:
            ValueError: When the shapes differ or are not (B, L), or when a value is infinite; the
                score is then unchanged.
        """
        with torch.no_grad():
            counts = count_matches(target_BL, prediction_BL)
            loss_B = compute_ratio_loss_B(prediction_BL, target_BL)
            loss_sum = float(loss_B.cpu().to(torch.float64).sum())
        self._counts = self._counts + counts
        self._loss_sum += loss_sum

    def result(self) -> Score:
        """Return the score of all events so far.

        Returns:
            The score; with no loss before the first event or after a NaN at a valid bin.
        """
        events = self._counts.events
        loss = self._loss_sum / events if events else math.nan
        return Score(counts=self._counts, validation_loss=loss if math.isfinite(loss) else None)


def score_files(truth_path: Path, prediction_path: Path, progress: Progress | None = None) -> Score:
    """Score the predictions in one file against the targets in another.

    Args:
        truth_path: npz archive with `y`, shape (N, 4000), real; NaN masks a bin.
        prediction_path: npz archive with `prediction`, shape (N, 4000), real, the same events in
            the same order. NaN follows the reference's rules and, at a valid bin, leaves the score
            without a loss.
        progress: Told how many of how many events are scored.

    Returns:
        The score over the N events.

    Raises:
        DataError: When a file is missing, is no npz archive, lacks its array or holds Python
            objects; when an array has another shape or dtype, no events, or another number of
            events than the other; when a value is infinite or beyond float32; when all of y is NaN.
    """
    truth, prediction = Archive(truth_path), Archive(prediction_path)
    num_events = _check_histograms(truth, "y")
    num_predicted = _check_histograms(prediction, "prediction")
    if num_events != num_predicted:
        raise DataError(
            f"{prediction_path}: prediction does not fit {truth_path}, got {num_predicted} "
            f"events, expected {num_events}; predict the events of that file"
        )
    accumulator = ScoreAccumulator()
    done, has_truth = 0, False
    for y_BL, prediction_BL in zip(
        _read_histograms(truth, "y"), _read_histograms(prediction, "prediction"), strict=True
    ):
        try:
            accumulator.add(torch.from_numpy(prediction_BL), torch.from_numpy(y_BL))
        except ValueError as exc:
            raise DataError(f"{prediction_path} against {truth_path}: {exc}") from exc
        done += len(y_BL)
        has_truth = has_truth or not np.isnan(y_BL).all()
        if progress is not None:
            progress(done, num_events)
    if not has_truth:
        raise DataError(
            f"{truth_path}: y masks everything, got NaN in every bin, expected at least one valid "
            "bin; make the file again"
        )
    return accumulator.result()


def _check_histograms(archive: Archive, key: str) -> int:
    """Look at the header of an array of histograms; return the number of events."""
    if key not in archive.keys:
        raise DataError(
            f"{archive.path}: {key} is missing, got {archive.list_arrays()}, expected an array of "
            "that name; save it under it"
        )
    header = archive.read_header(key)
    if header.dtype.kind not in "fiu":
        raise DataError(
            f"{archive.path}: {key} has the wrong type, got {header.dtype}, expected real numbers; "
            "make the file again"
        )
    if len(header.shape) != 2 or header.shape[0] == 0 or header.shape[1] != NUM_BINS:
        raise DataError(
            f"{archive.path}: {key} has the wrong shape, got {header.shape}, expected (events, "
            f"{NUM_BINS}) with at least one event; make the file again"
        )
    archive.check_claim(key, header)
    return header.shape[0]


def _read_histograms(archive: Archive, key: str) -> Iterator[NDArray[np.float32]]:
    """Read an array as float32 histograms, some events at a time."""
    done = 0
    for rows in archive.read_rows(key, _BATCH_SIZE):
        with np.errstate(over="ignore"):
            histogram_BL = np.array(rows, dtype=np.float32)
        infinite = np.argwhere(np.isinf(histogram_BL))
        if len(infinite):
            event, bin_index = infinite[0].tolist()
            raise DataError(
                f"{archive.path}: {key} is not finite, got {rows[event, bin_index]} in event "
                f"{done + event} bin {bin_index}, expected values that float32 can hold, or NaN; "
                "the model has diverged"
            )
        done += len(rows)
        yield histogram_BL

"""Scores: the three metrics of a model on a set of events, in training and from files.

Validation adds batch after batch to a `ScoreAccumulator`; `score_files` does the same to stored
predictions, so that a number in the database and one computed afterwards are the same number.

Shapes: B event of a batch, N event of a file, L bin.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.npz import DAMAGE
from sweep.data.store import Progress
from sweep.errors import DataError
from sweep.geometry import NUM_BINS
from sweep.metrics.score import MatchCounts, Score
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
    y_NL = _read_histograms(truth_path, "y")
    prediction_NL = _read_histograms(prediction_path, "prediction")
    if len(y_NL) != len(prediction_NL):
        raise DataError(
            f"{prediction_path}: prediction does not fit {truth_path}, got {len(prediction_NL)} "
            f"events, expected {len(y_NL)}; predict the events of that file"
        )
    if np.isnan(y_NL).all():
        raise DataError(
            f"{truth_path}: y masks everything, got NaN in every bin, expected at least one valid "
            "bin; make the file again"
        )
    accumulator = ScoreAccumulator()
    for start in range(0, len(y_NL), _BATCH_SIZE):
        events = slice(start, start + _BATCH_SIZE)
        try:
            accumulator.add(torch.from_numpy(prediction_NL[events]), torch.from_numpy(y_NL[events]))
        except ValueError as exc:
            raise DataError(f"{prediction_path} against {truth_path}: {exc}") from exc
        if progress is not None:
            progress(min(events.stop, len(y_NL)), len(y_NL))
    return accumulator.result()


def _read_histograms(path: Path, key: str) -> NDArray[np.float32]:
    """Read one array of an npz archive as float32 histograms, or say what is wrong with it."""
    array = _read_array(path, key)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] != NUM_BINS:
        raise DataError(
            f"{path}: {key} has the wrong shape, got {array.shape}, expected (events, {NUM_BINS}) "
            "with at least one event; make the file again"
        )
    if array.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: {key} has the wrong type, got {array.dtype}, expected real numbers; make the "
            "file again"
        )
    with np.errstate(over="ignore"):
        histogram_NL = np.ascontiguousarray(array, dtype=np.float32)
    infinite = np.argwhere(np.isinf(histogram_NL))
    if len(infinite):
        event, bin_index = infinite[0].tolist()
        raise DataError(
            f"{path}: {key} is not finite, got {array[event, bin_index]} in event {event} bin "
            f"{bin_index}, expected values that float32 can hold, or NaN; the model has diverged"
        )
    return histogram_NL


def _read_array(path: Path, key: str) -> NDArray[np.generic]:
    if not path.is_file():
        raise DataError(
            f"{path}: no such file, got nothing to read, expected an npz archive with {key}; check "
            "the path"
        )
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path}: not an archive, got a file that does not end as one, expected an npz archive "
            f"with {key}; save it with numpy.savez"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            array = archive[key] if key in names else None
    except DAMAGE as exc:
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise DataError(
            f"{path}: cannot be read, got {reason!r}, expected an npz archive of plain arrays with "
            f"{key}; save it with numpy.savez"
        ) from exc
    if not isinstance(array, np.ndarray):
        raise DataError(
            f"{path}: {key} is missing, got arrays {sorted(names)}, expected one named {key}; save "
            "it under that name"
        )
    return array

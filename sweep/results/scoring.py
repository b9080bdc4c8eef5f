"""The score of stored predictions, so that a number of a file is the one that a trial would have.

Shapes: B event of a batch, N event of a file, L bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.archive import Archive
from sweep.data.geometry import NUM_BINS
from sweep.data.progress import Progress
from sweep.errors import DataError
from sweep.metrics.score import Score
from sweep.training.event_scores import score_each

_BATCH_SIZE = 500


def score_files(truth_path: Path, prediction_path: Path, progress: Progress | None = None) -> Score:
    """Score the predictions in one file against the targets in another.

    Args:
        truth_path: npz archive with `y`, shape (N, 4000), real; NaN masks a bin.
        prediction_path: npz archive with `prediction`, shape (N, 4000), real, the same events in
            the same order. NaN follows the reference's rules and, at a valid bin, leaves the score
            without a loss.

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
    try:
        return score_each(_read_pairs(truth, prediction, num_events, progress)).score
    except ValueError as exc:
        raise DataError(f"{prediction_path} against {truth_path}: {exc}") from exc


def score_histograms(truth_NL: Tensor, prediction_NL: Tensor) -> Score:
    """Score predictions against targets, each (N, L), N at least 1.

    Raises:
        NotFiniteError: When a value, or a sum of them, is infinite.
    """
    parts = (torch.split(all_NL, _BATCH_SIZE) for all_NL in (prediction_NL, truth_NL))
    return score_each(zip(*parts, strict=True)).score


def _read_pairs(
    truth: Archive, prediction: Archive, num_events: int, progress: Progress | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Read predictions and targets side by side, each (B, L)."""
    done, has_truth = 0, False
    for y_BL, prediction_BL in zip(
        _read_histograms(truth, "y"), _read_histograms(prediction, "prediction"), strict=True
    ):
        yield torch.from_numpy(prediction_BL), torch.from_numpy(y_BL)
        done += len(y_BL)
        has_truth = has_truth or not np.isnan(y_BL).all()
        if progress is not None:
            progress(done, num_events)
    if not has_truth:
        raise DataError(
            f"{truth.path}: y masks everything, got NaN in every bin, expected at least one valid "
            "bin; make the file again"
        )


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

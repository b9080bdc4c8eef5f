"""Events read from files, and predictions of them scored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.geometry import NUM_BINS
from sweep.errors import DataError
from sweep.metrics.peaks import NotFiniteError
from sweep.metrics.writing import describe_score
from sweep.plan.parts import read_variant
from sweep.results.scoring import score_histograms


def read_events(
    *files: str | os.PathLike[str],
    x_key: str | None = None,
    y_key: str | None = None,
    variant: str | None = None,
) -> EventSet:
    """Open files of events and join them, in the order given.

    Args:
        files: Course archives (`.npz`) or PV-Finder HDF5 files, at least one.
        x_key, y_key: Names of the arrays in an archive, where they are not found by shape.
        variant: Features of an HDF5 file that has both: `kernel` (the default) or `poca`.

    Returns:
        The events. `len(events)` is their number, and `events.load(indices)` reads some of them:
        features, shape (B, 4, 4000), and targets, shape (B, 4000), NaN where masked.

    Raises:
        DataError: when a file is missing, damaged, or holds what is no event.
        ConfigError: when there is no such variant.
    """
    paths = [Path(file) for file in files]
    return open_events(paths, x_key=x_key, y_key=y_key, variant=read_variant(variant))


def score(truth: ArrayLike | Tensor, prediction: ArrayLike | Tensor) -> dict[str, Any]:
    """Score predicted histograms against the truth, as `sweep score --json` does.

    Args:
        truth: Targets, shape (N, 4000), NaN where masked.
        prediction: A network's output for the same events in the same order, of that shape.

    Returns:
        The metrics by name, their 68 % intervals as `NAME_interval`, and the counts.

    Raises:
        DataError: when the shapes differ or are others, there are no events, or a value is
            infinite.
    """
    y_NL, prediction_NL = (
        _read_histograms("truth", truth),
        _read_histograms("prediction", prediction),
    )
    if len(y_NL) != len(prediction_NL):
        raise DataError(
            f"prediction: does not fit the truth, got {len(prediction_NL)} events, expected "
            f"{len(y_NL)}; predict the same events"
        )
    try:
        return describe_score(score_histograms(y_NL, prediction_NL))
    except NotFiniteError as exc:
        raise DataError(f"prediction against truth: {exc}") from exc


def _read_histograms(name: str, values: ArrayLike | Tensor) -> Tensor:
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.array(values, dtype=np.float32))
    if values.ndim != 2 or values.shape[1] != NUM_BINS or not len(values):
        raise DataError(
            f"{name}: wrong shape, got {tuple(values.shape)}, expected (events, {NUM_BINS}) with "
            "at least one event; y[None] makes one event a batch"
        )
    return values.detach().float().cpu()

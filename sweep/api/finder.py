"""A network taken home: a `torch.nn.Module` that knows how vertices are read off its output."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from models.value import Value
from sweep.device import full_precision
from sweep.errors import DataError, ModelError
from sweep.geometry import NUM_BINS, NUM_FEATURES, to_mm
from sweep.metrics.peaks import INTEGRAL_THRESHOLD, MIN_WIDTH, THRESHOLD, NotFiniteError
from sweep.results.evaluation import ExportedModel, load_export
from sweep.training.peaks import find_peaks
from sweep.training.trainer import VALIDATION_BATCH_SIZE


class VertexFinder(nn.Module):
    """A network of an export, in evaluation mode.

    Attributes:
        network: The network itself.
        model: Its architecture, or the file and class of a person's own.
        hyperparameters: Of its trial, those of the training too.
        decode: What counts as a peak of its output: `threshold` and `integral` of its bins, and
            `min_width`, the number of them.
    """

    def __init__(self, exported: ExportedModel) -> None:
        super().__init__()
        self.network = exported.network
        self.model = exported.model
        self.hyperparameters: dict[str, Value] = dict(exported.hyperparameters)
        self.decode = {
            "threshold": THRESHOLD,
            "integral": INTEGRAL_THRESHOLD,
            "min_width": MIN_WIDTH,
        }
        self.eval()

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict histograms, shape (B, 4000), of features, shape (B, 4, 4000)."""
        y_BL: Tensor = self.network(x_BCL)
        return y_BL


def load_model(folder: str | os.PathLike[str]) -> VertexFinder:
    """Load a model that `sweep best --export` wrote.

    A network of somebody else's is a program of theirs: it is run only where the environment says
    SWEEP_TRUST_CODE=1, or where you trained that very network yourself (docs/TRUST.md).

    Raises:
        ModelError: when a file is missing or broken, its code is not trusted, or the weights are
            not of this network.
    """
    return VertexFinder(load_export(Path(folder)))


def predict(model: nn.Module, x: ArrayLike | Tensor) -> NDArray[np.float32]:
    """Predict the histograms of events.

    Args:
        model: Maps (B, 4, 4000) to (B, 4000), as a `VertexFinder` or any network does. It computes
            on the device that its first parameter is on, in evaluation mode and full precision.
        x: Features, shape (N, 4, 4000); N may be 0.

    Returns:
        Heights, shape (N, 4000).

    Raises:
        DataError: when `x` has another shape.
        ModelError: when the network's output has another shape.
    """
    x_NCL = torch.as_tensor(x if isinstance(x, Tensor) else np.asarray(x, dtype=np.float32)).float()
    if x_NCL.ndim != 3 or x_NCL.shape[1:] != (NUM_FEATURES, NUM_BINS):
        raise DataError(
            f"x: wrong shape, got {tuple(x_NCL.shape)}, expected (events, {NUM_FEATURES}, "
            f"{NUM_BINS}); x[None] makes one event a batch"
        )
    y_NL = np.empty((len(x_NCL), NUM_BINS), dtype=np.float32)
    was_training = model.training
    model.eval()
    try:
        for first in range(0, len(x_NCL), VALIDATION_BATCH_SIZE):
            part = slice(first, first + VALIDATION_BATCH_SIZE)
            y_NL[part] = _predict_batch(model, x_NCL[part]).cpu().numpy()
    finally:
        model.train(was_training)
    return y_NL


def find_vertices(model: nn.Module, x: ArrayLike | Tensor) -> list[NDArray[np.float64]]:
    """Find the primary vertices of events.

    Args:
        model, x: As `predict` takes them.

    Returns:
        For each event the positions along the beam line in mm, rising; empty without a peak.

    Raises:
        DataError: when `x` has another shape.
        ModelError: when the network's output has another shape, or is infinite.
    """
    y_NL = torch.from_numpy(predict(model, x))
    found: list[NDArray[np.float64]] = []
    for y_BL in torch.split(y_NL, VALIDATION_BATCH_SIZE) if len(y_NL) else ():
        try:
            peaks = find_peaks(y_BL)
        except NotFiniteError as exc:
            raise ModelError(str(exc)) from exc
        z_mm, event_P = to_mm(peaks.position_P), peaks.event_P.numpy()
        found += [z_mm[event_P == event] for event in range(len(y_BL))]
    return found


def _predict_batch(model: nn.Module, x_BCL: Tensor) -> Tensor:
    weight = next(model.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    with torch.inference_mode(), full_precision():
        y_BL: Tensor = model(x_BCL.to(device)).float()
    if y_BL.shape != (len(x_BCL), NUM_BINS):
        raise ModelError(
            f"model: wrong shape of its output, got {tuple(y_BL.shape)}, expected "
            f"{(len(x_BCL), NUM_BINS)}; correct the network"
        )
    return y_BL

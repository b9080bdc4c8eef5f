"""A network taken home: a `torch.nn.Module` that knows how vertices are read off its output."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sweep.data.geometry import NUM_BINS, NUM_FEATURES, to_mm
from sweep.errors import DataError, ModelError
from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.peaks import NotFiniteError, find_regions
from sweep.results.decode_text import check_decode
from sweep.results.evaluation import ExportedModel, load_export
from sweep.results.prediction import predict_histograms


class VertexFinder(nn.Module):
    """A network of an export, in evaluation mode.

    Attributes:
        network: The network itself.
        model: Its architecture, or the file and class of a person's own.
        hyperparameters: Of its trial, those of the training too.
        decode: What counts as a peak of its output: `threshold` and `integral` of its bins, and
            `min_width`, the number of them. They are the trial's; changed ones are used.
    """

    def __init__(self, exported: ExportedModel) -> None:
        super().__init__()
        self.network = exported.network
        self.model = exported.model
        self.hyperparameters = dict(exported.hyperparameters)
        self.decode = exported.decode.to_json()
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
    was_training = model.training
    model.eval()
    try:
        return predict_histograms(model, x_NCL)
    finally:
        model.train(was_training)


def find_vertices(model: nn.Module, x: ArrayLike | Tensor) -> list[NDArray[np.float64]]:
    """Find the primary vertices of events.

    Args:
        model, x: As `predict` takes them. What counts as a peak is a finder's `decode`, and the
            reference's of other networks.

    Returns:
        For each event the positions along the beam line in mm, rising; empty without a peak.

    Raises:
        DataError: when `x` has another shape.
        ModelError: when the network's output has another shape, or is infinite.
    """
    decode = _read_decode(model)
    y_NL = predict(model, x)
    try:
        regions = find_regions(y_NL, decode)
    except NotFiniteError as exc:
        raise ModelError(str(exc)) from exc
    ends = np.cumsum(regions.count_B)
    return np.split(to_mm(regions.position_R), ends)[: len(y_NL)]


def _read_decode(model: nn.Module) -> Decode:
    """Read what counts as a peak of a network's output: the reference's where it does not say."""
    if not isinstance(model, VertexFinder):
        return REFERENCE
    decode = Decode(**model.decode)  # type: ignore[arg-type]  # min_width is whole
    check_decode(decode)
    return decode

"""The vertices that an exported model finds in files of events, written as they are found.

Events are read in order and only once, without targets and without a copy in the cache: a file may
be larger than memory and cache, and need hold no truth.

Shapes: B event of a batch, C feature, L bin, V vertex.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sweep.data.formats import open_features
from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS, to_mm
from sweep.data.progress import Progress
from sweep.errors import ModelError
from sweep.machine.device import choose_device, full_precision
from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.peaks import NotFiniteError, find_regions
from sweep.results.evaluation import load_export
from sweep.results.vertex_files import Finder, VertexBatch, open_vertex_file
from sweep.training.forward import BATCH_SIZE


@dataclass(frozen=True)
class Prediction:
    """What was written: the file, how many vertices of how many events, read off how."""

    out: Path
    num_events: int
    num_vertices: int
    decode: Decode

    def to_json(self) -> dict[str, Any]:
        """Give what `sweep predict --json` prints."""
        return {
            "out": str(self.out),
            "events": self.num_events,
            "vertices": self.num_vertices,
            "vertices_per_event": self.num_vertices / self.num_events,
            "decode": self.decode.to_json(),
        }


def predict_export(
    folder: Path,
    files: Sequence[Path],
    out: Path,
    *,
    x_key: str | None = None,
    variant: str | None = None,
    decode: str | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Find the vertices of files of events with an exported model, and write them.

    Args:
        files: Events, at least one file; targets are not looked at.
        out: New file, whose ending says its form (`sweep.results.vertex_files`).
        x_key, variant: As `sweep evaluate` takes them.
        decode: What counts as a peak, as `--decode` takes it; the model's own by default.

    Raises:
        ModelError: when the model cannot be used, or predicts no finite heights.
        DataError: when the events cannot be used, or the file cannot be written; it is not there
            then.
    """
    with contextlib.redirect_stdout(sys.stderr):  # a person's own network may print
        exported = load_export(folder)
        chosen = exported.choose_decode(decode) or REFERENCE
        events = open_features(files, x_key=x_key, variant=exported.choose_variant(files, variant))
        device = choose_device()
        network = exported.network.to(device).eval()
        finder = Finder(exported.model, events.num_events, chosen)
        num_vertices = 0
        with open_vertex_file(out, finder) as add:
            for batch in _find_vertices(network, events.read(), chosen):
                add(batch)
                num_vertices += len(batch.event_V)
                if progress is not None:
                    progress(batch.first_event + len(batch.histogram_BL), events.num_events)
    return Prediction(out, events.num_events, num_vertices, chosen)


def predict_histograms(network: nn.Module, x_NCL: Tensor) -> NDArray[np.float32]:
    """Predict events in full precision on the network's device; it is in evaluation mode.

    Returns:
        Heights, shape (N, 4000).

    Raises:
        ModelError: when the output has another shape.
    """
    weight = next(network.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    y_NL = np.empty((len(x_NCL), NUM_BINS), dtype=np.float32)
    for first in range(0, len(x_NCL), BATCH_SIZE):
        x_BCL = x_NCL[first : first + BATCH_SIZE]
        with torch.inference_mode(), full_precision():
            y_BL = network(x_BCL.to(device)).float()
        if y_BL.shape != (len(x_BCL), NUM_BINS):
            raise ModelError(
                f"model: wrong shape of its output, got {tuple(y_BL.shape)}, expected "
                f"{(len(x_BCL), NUM_BINS)}; correct the network"
            )
        y_NL[first : first + BATCH_SIZE] = y_BL.cpu().numpy()
    return y_NL


def _find_vertices(
    network: nn.Module, chunks: Iterator[NDArray[np.float32]], decode: Decode
) -> Iterator[VertexBatch]:
    """Find the vertices of events, some at a time, numbered from 0 over all of them."""
    first_event = 0
    for x_BCL in chunks:
        histogram_BL = predict_histograms(network, torch.from_numpy(x_BCL))
        is_number_B = ~np.isnan(histogram_BL).any(axis=1)
        if not is_number_B.all():
            raise ModelError(
                f"model: it predicts no numbers, got NaN in event "
                f"{first_event + int(np.argmin(is_number_B))}, expected finite heights; train it "
                "again, or leave out such events"
            )
        try:
            found = find_regions(histogram_BL, decode)
        except NotFiniteError as exc:
            end = first_event + len(x_BCL) - 1
            raise ModelError(f"events {first_event} to {end}: {exc}") from exc
        yield VertexBatch(
            first_event=first_event,
            histogram_BL=histogram_BL,
            event_V=first_event + found.event_R,
            z_mm_V=to_mm(found.position_R),
            height_V=found.height_R,
            width_mm_V=found.width_R.astype(np.float64) * BIN_WIDTH_MM,
            integral_V=found.integral_R,
        )
        first_event += len(x_BCL)

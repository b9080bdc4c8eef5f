"""A closer look at single events: a network's output, and which peaks it found, missed or invented.

Shapes: B event, C feature, L bin, P peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sweep.data.events import EventSet
from sweep.data.progress import Progress
from sweep.training.matching import PeakClasses, classify_peaks

BATCH_SIZE = 20


@dataclass(frozen=True)
class InspectedEvent:
    """One event and a network's output for it.

    Attributes:
        event: Its index among the events that were inspected.
        target_L: Target, shape (4000,), NaN where masked.
        peaks: Positions of the peaks in bins, by what became of them.
    """

    event: int
    target_L: NDArray[np.float32]
    prediction_L: NDArray[np.float32]
    peaks: PeakClasses

    @property
    def num_found(self) -> int:
        """True peaks that were found."""
        return len(self.peaks.found_P)

    @property
    def num_missed(self) -> int:
        """True peaks that were missed."""
        return len(self.peaks.missed_P)

    @property
    def num_false(self) -> int:
        """Predicted peaks where no true one is."""
        return len(self.peaks.false_P)


def inspect_events(
    network: nn.Module, events: EventSet, num_events: int, progress: Progress | None = None
) -> list[InspectedEvent]:
    """Run a network on the first events of a set and sort the peaks of each.

    Args:
        network: Put into evaluation mode; its first parameter says on which device it is.
    """
    num_events = min(num_events, len(events))
    network.eval()
    device = next(network.parameters()).device
    inspected = []
    for start in range(0, num_events, BATCH_SIZE):
        indices = range(start, min(start + BATCH_SIZE, num_events))
        x_BCL, y_BL = events.load(indices)
        with torch.inference_mode():
            output_BL = network(torch.from_numpy(x_BCL).to(device)).float().cpu()
        for event, y_L, output_L in zip(indices, y_BL, output_BL, strict=True):
            peaks = classify_peaks(torch.from_numpy(y_L), output_L)
            inspected.append(InspectedEvent(event, y_L, output_L.numpy(), peaks))
        if progress is not None:
            progress(indices.stop, num_events)
    return inspected


def find_worst(inspected: Sequence[InspectedEvent], num_events: int) -> list[InspectedEvent]:
    """Find the events with the most missed and false peaks, worst first, of equals the earliest."""
    order = sorted(inspected, key=lambda e: (-(e.num_missed + e.num_false), e.event))
    return order[:num_events]

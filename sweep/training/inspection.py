"""A closer look at single events: a network's output, and which peaks it found, missed or invented.

Shapes: B event, C feature, L bin, P peak.
"""

from __future__ import annotations

import torch
from torch import nn

from sweep.data.events import EventSet
from sweep.data.progress import Progress
from sweep.metrics.inspected import InspectedEvent
from sweep.training.matching import classify_peaks

BATCH_SIZE = 20


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

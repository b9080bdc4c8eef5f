"""Predicts all events of a set: in large batches, and with nobody waiting for a GPU.

How large is found out on the way, by the first few events: a network's largest layer says how many
fit into what a device is given. It depends on nothing else, so that the same network has the same
batches, and hence the same last bits, wherever its score is computed.

Shapes: B event, L bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sweep.data.progress import Progress
from sweep.training.batches import Batches
from sweep.training.cuda_recorder import open_recorder

BATCH_SIZE = 64
"""Events at a time for who has predictions already, or has no set of events."""
FIRST_BATCH_SIZE = 16
"""Events of the first batch, and the fewest of the others."""
LARGEST_BATCH_SIZE = 1024
LAYER_BYTES = {"cpu": 2**24, "cuda": 2**29}
"""What the largest layer may read and write: about a processor's cache; some of a small GPU."""


def predict_batches(
    network: nn.Module, batches: Batches, progress: Progress | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Predict all events in order, in float32 and evaluation mode.

    On a GPU, predictions may be still to come when they are handed on; who reads a number of them
    waits. No more than a fraction of a second of work is given ahead, and others have their turn
    until the last is done.

    Args:
        batches: Of which the first has their size, and the others the one that pays.

    Yields:
        Predictions and targets, each (B, 4000).
    """
    network.eval()
    recorder = open_recorder(batches.device)
    num_done = 0
    with torch.inference_mode():
        for x_BCL, y_BL in _serve(network, batches):
            yield network(x_BCL).float(), y_BL
            if recorder is not None:
                recorder.keep_pace()
            num_done += len(y_BL)
            if progress is not None:
                progress(num_done, batches.num_events)
    if recorder is not None:
        recorder.catch_up()


def _serve(network: nn.Module, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Serve a first batch, and while the network takes it find the size of the others."""
    num_first = min(batches.batch_size, batches.num_events)
    if batches.num_events == num_first + 1:
        num_first += 1  # no batch of one event
    with _measure(network) as sizes:
        yield from batches.in_order(0, num_first, num_first)
    event_bytes = max(sizes, default=1) / max(num_first, 1)
    size = int(LAYER_BYTES[batches.device.type] / max(event_bytes, 1.0))
    size = max(batches.batch_size, min(size, LARGEST_BATCH_SIZE))
    yield from batches.in_order(num_first, batches.num_events, size)


@contextmanager
def _measure(network: nn.Module) -> Iterator[list[int]]:
    """Note how many bytes each layer of a network reads and writes."""
    sizes: list[int] = []

    def note(_layer: nn.Module, given: Any, returned: Any) -> None:
        sizes.append(_count_bytes(given) + _count_bytes(returned))

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()


def _count_bytes(values: Any) -> int:
    """Count the bytes of a layer's tensors, which may be in tuples or lists."""
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    return sum(map(_count_bytes, values)) if isinstance(values, tuple | list) else 0

"""How long a network takes for an event, on the device that it trains on."""

from __future__ import annotations

import time

import torch
from torch import nn

from sweep.training.batches import Batches

NUM_REPEATS = 5


def measure_latency_us(network: nn.Module, batches: Batches) -> float:
    """Measure the time for an event, in batches as validation has them.

    The shortest of some repeats, after one that does not count: what else runs on the machine can
    only make it longer.

    Args:
        network: On the batches' device; its mode is as before afterwards.
        batches: Of validation events, at least one.

    Returns:
        Microseconds for an event.
    """
    x_BCL, _y_BL = next(iter(batches.in_order()))
    was_training = network.training
    network.eval()
    times_s = []
    with torch.inference_mode():
        for _ in range(NUM_REPEATS + 1):
            start_s = time.perf_counter()
            network(x_BCL)
            if x_BCL.is_cuda:
                torch.cuda.synchronize(x_BCL.device)
            times_s.append(time.perf_counter() - start_s)
    network.train(was_training)
    return 1e6 * min(times_s[1:]) / len(x_BCL)

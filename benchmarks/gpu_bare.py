"""A recorded step with nothing around it, as a person would write it: alone, or several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gpu_trainings import BATCH_SIZE, GPU, MIDDLE, SMALL, build
from torch import Tensor, nn

from sweep.data.splits import Split
from sweep.machine.device import free_memory
from sweep.training.loss import compute_ratio_loss_B


@dataclass
class Bare:
    """A step as a person would write it, on events of the GPU.

    Args:
        is_recorded: As a CUDA graph, or started operation by operation.
    """

    network: nn.Module
    x_NCL: Tensor
    y_NL: Tensor
    is_recorded: bool

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=torch.tensor(3e-3, device=GPU),
            fused=True,
            capturable=True,
        )
        self.means = [p.detach().clone() for p in self.network.parameters()]
        self.chosen = torch.zeros(BATCH_SIZE, dtype=torch.int64, device=GPU)
        self.total = torch.zeros((), dtype=torch.float64, device=GPU)

    def step(self) -> None:
        x_BCL, y_BL = self.x_NCL[self.chosen].float(), self.y_NL[self.chosen].float()
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            prediction_BL = self.network(x_BCL)
        loss_B = compute_ratio_loss_B(prediction_BL.float(), y_BL)
        self.optimizer.zero_grad(set_to_none=True)
        loss_B.mean().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.means, list(self.network.parameters()), 0.01)
        self.total += loss_B.detach().sum()

    def prepare(self) -> Callable[[Tensor], None]:
        """Give what does a step with the events at some places, in a stream of its own."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
            do = self.step
            if self.is_recorded:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, stream=stream):
                    self.step()
                do = graph.replay

        def play(places: Tensor) -> None:
            with torch.cuda.stream(stream):
                self.chosen.copy_(places)
                do()

        return play


def time_bare(steps: Sequence[Callable[[Tensor], None]], num_events: int, seconds: float) -> float:
    """Give the events a second in all of bare steps that are given to the GPU by turns."""
    order = torch.randperm(num_events, device=GPU).split(BATCH_SIZE)[:-1]
    torch.cuda.synchronize()
    start, num_done = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        for places in order[:20]:
            for step in steps:
                step(places)
                num_done += BATCH_SIZE
        torch.cuda.synchronize()
    return num_done / (time.monotonic() - start)


def load_some(split: Split) -> tuple[Tensor, Tensor]:
    """Load events onto the GPU, as a training keeps them there."""
    x_NCL, y_NL = split.train.load(np.arange(min(2048, len(split.train))))
    return torch.from_numpy(x_NCL).half().to(GPU), torch.from_numpy(y_NL).half().to(GPU)


def measure_streams(split: Split, seconds: float) -> Iterator[str]:
    """Give the same table of bare recorded steps, one thread giving all of them to the GPU."""
    numbers = (1, 2, 4, 8, 16)
    yield "| network | " + " | ".join(f"{number} streams" for number in numbers) + " |"
    yield "|---|" + "---|" * len(numbers)
    x_NCL, y_NL = load_some(split)
    for name in (SMALL, MIDDLE, "rcnn, 16 cells"):
        made = [Bare(build(name).to(GPU).train(), x_NCL, y_NL, True) for _ in range(max(numbers))]
        steps = [bare.prepare() for bare in made]
        rates = [time_bare(steps[:number], len(x_NCL), seconds) for number in numbers]
        yield f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |"
        del made, steps
        free_memory(GPU)

"""An average of a network's weights over the last part of its training, which is what is judged.

At a constant learning rate the weights wander about what they have learned; their average lies
nearer to it, as at the end of a schedule that falls to zero, but at any time. The average's window
is a fixed share of the steps so far, so that it needs to know neither the length of the training
nor the number of events (the power function average of Karras et al., arXiv:2312.02696, eq. 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sweep.training.state import StateError, check_form


class WeightAverage:
    """The average of a network's weights and buffers over its training.

    What cannot be averaged, as a count of batches or a buffer that has grown, is taken as it is.

    Args:
        network: As it begins.
        exponent: gamma: a step's weight rises with its number to that power. The standard
            deviation of the steps averaged over is about 1 / gamma of all of them.
    """

    def __init__(self, network: nn.Module, exponent: float) -> None:
        self._network = network
        self._exponent = exponent
        self._num_steps = 0
        self._means = {name: part.clone() for name, part in self._list_parts()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights as a training step left them into the average."""
        self._num_steps += 1
        kept = (1.0 - 1.0 / self._num_steps) ** (self._exponent + 1.0)
        parts = dict(self._list_parts())
        for name in self._means.keys() | parts.keys():
            if name not in parts:
                del self._means[name]
            elif name not in self._means or self._means[name].shape != parts[name].shape:
                self._means[name] = parts[name].clone()
        if parts:
            mix = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
            mix([self._means[name] for name in parts], list(parts.values()), self._num_steps)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averaged weights for a while, and its own again afterwards."""
        if self._num_steps == 0:
            yield
            return
        own = {name: part.clone() for name, part in self._list_parts()}
        self._put(self._means)
        try:
            yield
        finally:
            self._put(own)

    def capture(self) -> dict[str, Any]:
        """Capture the average; tensors are the live ones."""
        return {"num_steps": self._num_steps, "means": self._means}

    def check(self, state: object) -> None:
        """Make sure that a state is one of this network's average; buffers may have grown.

        Raises:
            StateError: when it is not.
        """
        own = self.capture()
        means = state.get("means") if isinstance(state, Mapping) else None
        if isinstance(means, Mapping):
            weights = {name for name, _weight in self._network.named_parameters()}
            own["means"] = {name: self._means.get(name) for name in means if name in weights}
            own["means"] |= {name: part for name, part in means.items() if name not in weights}
            if lost := weights & self._means.keys() - means.keys():
                raise StateError(f"checkpoint.average: got no {', '.join(sorted(lost))}")
        check_form("checkpoint.average", own, state)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a captured average, whose tensors may be on another device."""
        self._num_steps = int(state["num_steps"])
        devices = {name: part.device for name, part in self._list_parts()}
        self._means = {
            name: mean.to(devices.get(name, mean.device), copy=True)
            for name, mean in state["means"].items()
        }

    def _list_parts(self) -> Iterator[tuple[str, Tensor]]:
        """List the weights and buffers that can be averaged, by name."""
        for parts in (self._network.named_parameters(), self._network.named_buffers()):
            for name, part in parts:
                if part.is_floating_point() and part.layout == torch.strided:
                    yield name, part.detach()

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, part in self._list_parts():
            if name in values and values[name].shape == part.shape:
                part.copy_(values[name])

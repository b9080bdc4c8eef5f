"""An average of a network's weights over the last part of its training, which is what is judged.

At a constant learning rate the weights wander about what they have learned; their average lies
nearer to it, as at the end of a schedule that falls to zero, but at any time. The average's window
is a fixed share of the steps so far, so that it needs to know neither the length of the training
nor the number of events (the power function average of Karras et al., arXiv:2312.02696, eq. 3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sweep.training.state import StateError, check_form


@dataclass(frozen=True)
class _Row:
    """Means of one kind of number, one after the other, and each step's share in that kind."""

    names: list[str]
    means: Tensor
    shares: Tensor


class WeightAverage:
    """The average of a network's weights and buffers over its training.

    What cannot be averaged, as a count of batches or a buffer that has grown, is taken as it is.

    Args:
        network: As it begins.
        exponent: gamma: a step's weight rises with its number to that power. The standard
            deviation of the steps averaged over is about 1 / gamma of all of them.
        num_steps: The most steps that the training can have.
    """

    def __init__(self, network: nn.Module, exponent: float, num_steps: int) -> None:
        self._network = network
        numbers = torch.arange(1, num_steps + 1, dtype=torch.float64)
        self._shares = 1.0 - (1.0 - 1.0 / numbers) ** (exponent + 1.0)
        parts = dict(self._list_parts())
        device = next((part.device for part in parts.values()), torch.device("cpu"))
        self._num_steps = torch.zeros((), dtype=torch.int64, device=device)
        self._means: dict[str, Tensor] = {}
        self._rows: list[_Row] = []
        self._lay_out(parts)

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights as a training step left them into the average.

        Only tensors change, so that a GPU can record it; the share is found by its own count.
        """
        parts = dict(self._list_parts())
        self._fit(parts)
        for row in self._rows:
            own = torch.cat([parts[name].reshape(-1) for name in row.names])
            row.means.lerp_(own, row.shares.take(self._num_steps))
        self._num_steps += 1

    def _fit(self, parts: Mapping[str, Tensor]) -> None:
        """Forget what the network has no longer, and begin anew what is new or has grown."""
        forms, own = (
            {name: (part.shape, part.dtype, part.device) for name, part in each.items()}
            for each in (parts, self._means)
        )
        if forms != own:
            kept = {name: self._means[name] for name in forms if own.get(name) == forms[name]}
            self._lay_out({**parts, **kept})

    def _lay_out(self, means: Mapping[str, Tensor]) -> None:
        """Keep the means in one row of memory for each kind of number, to be changed at a time."""
        kinds: dict[tuple[torch.device, torch.dtype], list[str]] = defaultdict(list)
        for name, mean in means.items():
            kinds[mean.device, mean.dtype].append(name)
        self._rows = []
        for kind, names in kinds.items():
            row = torch.cat([means[name].reshape(-1) for name in names])
            self._rows.append(_Row(names, row, self._shares.to(*kind)))
            lengths = [means[name].numel() for name in names]
            for name, part in zip(names, torch.split(row, lengths), strict=True):
                self._means[name] = part.view(means[name].shape)
        self._means = {name: self._means[name] for name in means}

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
        return {"num_steps": int(self._num_steps), "means": self._means}

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
        assert isinstance(state, Mapping)
        if not 0 <= state["num_steps"] <= len(self._shares):
            raise StateError(f"checkpoint.average: got {state['num_steps']} steps")

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a captured average, whose tensors may be on another device."""
        self._num_steps.fill_(int(state["num_steps"]))
        devices = {name: part.device for name, part in self._list_parts()}
        self._lay_out(
            {name: mean.to(devices.get(name, mean.device)) for name, mean in state["means"].items()}
        )

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

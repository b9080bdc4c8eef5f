"""What a network's Python keeps and draws, which a GPU's recording of its step does not repeat.

A recording holds what was done on the device. A network that counts its calls, keeps a tensor for
the next batch or draws from Python's random numbers would be recorded without an error, and train
as something else; so what one step changes is looked at before.
"""

from __future__ import annotations

import io
import pickle
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class HostState:
    """What a network has outside of the memory of its tensors, at one moment.

    The tensors themselves live as long as it does, also where the network gives them up.

    Args:
        network: It must live as long as this.
    """

    def __init__(self, network: nn.Module) -> None:
        self._held: list[object] = []  # so that nothing else gets the address of what is gone
        self._attributes = {
            f"{path}.{name}".lstrip("."): self._print(value)
            for path, module in network.named_modules()
            for name, value in vars(module).items()
        }
        self._draws = {
            "torch": torch.get_rng_state().numpy().tobytes(),
            "numpy": pickle.dumps(np.random.get_state()),
            "random": pickle.dumps(random.getstate()),
        }

    def find_change(self, other: HostState) -> str | None:
        """Say what another moment has otherwise; None where nothing is."""
        for name, value in other._attributes.items():
            if self._attributes.get(name) != value:
                return f"it changes {name} in Python"
        for name, value in other._draws.items():
            if self._draws[name] != value:
                return f"it draws random numbers of {name} on the host"
        return None

    def _print(self, value: object) -> object:
        """Give what is equal as long as a value is; of one that cannot be written, its identity."""
        buffer = io.BytesIO()
        try:
            _Writer(buffer, self._held).dump(value)
        except Exception:  # what a person's own object raises: it is then known by its identity
            self._held.append(value)
            return id(value)
        return buffer.getvalue()


class _Writer(pickle.Pickler):
    """Writes values whole, and tensors and modules by what and where they are."""

    def __init__(self, buffer: io.BytesIO, held: list[object]) -> None:
        super().__init__(buffer)
        self._held = held

    def persistent_id(self, value: Any) -> object:
        """Say by what a tensor or a module is known; called by Python for every part."""
        if not isinstance(value, Tensor | nn.Module):
            return None
        self._held.append(value)
        if isinstance(value, nn.Module) or value.layout != torch.strided:
            return id(value)
        return id(value), value.data_ptr(), tuple(value.shape), tuple(value.stride())

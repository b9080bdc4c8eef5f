"""Validation goes over all events in batches as large as a network's layers allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sweep.training.forward
from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.training.batches import Batches
from sweep.training.forward import predict_batches

CPU = torch.device("cpu")
EVENT_BYTES = 5 * 4000 * 4
"""What `Summing` reads and writes for an event."""


@pytest.fixture(scope="module")
def events(events_file: Path) -> EventSet:
    """More than enough."""
    return open_events([events_file])


class Summing(nn.Module):
    """A network whose prediction tells its event, and which notes how many it gets at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x_BCL: Tensor) -> Tensor:
        self.sizes.append(len(x_BCL))
        return x_BCL.sum(dim=1)


@pytest.mark.parametrize(
    ("num_events", "num_fitting", "sizes"),
    [
        (12, 8, [4, 8]),
        (12, 4, [4, 4, 4]),
        (12, 1, [4, 4, 4]),
        (11, 5, [4, 4, 3]),
        (12, 1000, [4, 8]),
        (4, 8, [4]),
        (5, 8, [5]),
        (3, 8, [3]),
    ],
)
def test_batches_are_as_large_as_pays(
    events: EventSet,
    monkeypatch: pytest.MonkeyPatch,
    num_events: int,
    num_fitting: int,
    sizes: list[int],
) -> None:
    """After a first small one; none holds a single event, and the next pass has the same."""
    monkeypatch.setattr(
        sweep.training.forward, "LAYER_BYTES", {"cpu": num_fitting * EVENT_BYTES + 1}
    )
    network, batches = Summing(), Batches(events.take(np.arange(num_events)), 4, CPU)
    for _ in range(2):
        network.sizes.clear()
        predicted, targets = zip(*predict_batches(network, batches), strict=True)
        assert network.sizes == sizes
    x_BCL, y_BL = events.load(np.arange(num_events))
    assert torch.equal(torch.cat(predicted), torch.from_numpy(x_BCL).sum(dim=1))
    assert torch.cat(targets).nan_to_num().equal(torch.from_numpy(y_BL).nan_to_num())
    assert not network._forward_hooks


def test_layers_are_measured_whatever_they_return(
    events: EventSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An LSTM's tuple counts; the largest layer decides, not the whole network's ends."""

    class Recurrent(nn.Module):
        """Has an inner layer of many cells."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 16, batch_first=True)
            self.sizes: list[int] = []

        def forward(self, x_BCL: Tensor) -> Tensor:
            self.sizes.append(len(x_BCL))
            y_BL: Tensor = self.lstm(x_BCL.transpose(1, 2)[:, :40])[0].sum(2)
            return nn.functional.pad(y_BL, (0, 3960))

    network = Recurrent()
    inner = 40 * 4 * (4 + 16) + 2 * 4 * 16
    monkeypatch.setattr(sweep.training.forward, "LAYER_BYTES", {"cpu": 8 * EVENT_BYTES})
    list(predict_batches(network, Batches(events.take(np.arange(12)), 4, CPU)))
    assert inner < EVENT_BYTES
    assert network.sizes == [4, 8]


def test_progress_tells_of_every_batch(events: EventSet) -> None:
    """How many of how many events are predicted."""
    told: list[tuple[int, int]] = []
    batches = Batches(events.take(np.arange(12)), 4, CPU)
    list(predict_batches(Summing(), batches, lambda *done: told.append(done)))
    assert told == [(4, 12), (12, 12)]

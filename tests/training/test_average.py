"""The average of the weights: its numbers, what it leaves alone, and the way back from a state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sweep.training.average import WeightAverage
from sweep.training.state import StateError

GAMMA = 7.0


class _Growing(nn.Module):
    """Has a weight, a normalisation and a buffer that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("seen", torch.zeros(1))

    def step(self, value: float) -> None:
        """Change as in a training step."""
        with torch.no_grad():
            self.weight.fill_(value)
        self.norm.num_batches_tracked += 1
        self.seen = torch.full((len(self.seen) + 1,), value)


def test_weights_follow_the_power_of_their_step() -> None:
    """A step's share in the average rises with its number to the power of the exponent."""
    network = _Growing()
    average = WeightAverage(network, GAMMA, 20)
    values = torch.randn(20, generator=torch.Generator().manual_seed(1)).tolist()
    shares = [1.0]
    for number, value in enumerate(values, start=1):
        network.step(value)
        average.update()
        share = 1 - (1 - 1 / number) ** (GAMMA + 1)
        shares = [old * (1 - share) for old in shares] + [share]
    expected = sum(share * value for share, value in zip(shares[1:], values, strict=True))
    with average.applied():
        assert network.weight[0].item() == pytest.approx(expected, rel=1e-5)


def test_own_weights_come_back() -> None:
    """Bit for bit, also where what happens in between fails."""
    network = _Growing()
    average = WeightAverage(network, GAMMA, 20)
    for value in (1.0, 2.0, 0.3):
        network.step(value)
        average.update()
    own = copy.deepcopy(network.state_dict())
    with pytest.raises(RuntimeError), average.applied():
        assert network.weight[0] != own["weight"][0]
        raise RuntimeError
    for name, part in network.state_dict().items():
        assert torch.equal(part, own[name]), name


def test_what_cannot_be_averaged_is_as_it_is() -> None:
    """A count and a buffer that has grown are those of the last step."""
    network = _Growing()
    average = WeightAverage(network, GAMMA, 20)
    for value in (1.0, 2.0):
        network.step(value)
        average.update()
    with average.applied():
        assert network.norm.num_batches_tracked == 2
        assert network.seen.tolist() == [2.0] * 3


def test_restored_average_goes_on() -> None:
    """From a captured state, another object averages on to the same numbers."""
    first, second = _Growing(), _Growing()
    averages = [WeightAverage(network, GAMMA, 20) for network in (first, second)]
    for value in (1.0, 2.0):
        first.step(value)
        averages[0].update()
        second.step(value)
    state = copy.deepcopy(averages[0].capture())
    averages[1].check(state)
    averages[1].restore(state)
    for network, average in zip((first, second), averages, strict=True):
        network.step(5.0)
        average.update()
    means = [average.capture()["means"] for average in averages]
    assert all(torch.equal(means[0][name], means[1][name]) for name in means[0])


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"num_steps": 1, "means": None},
        {"num_steps": 1, "means": {}},
        {"num_steps": "1", "means": {"weight": torch.zeros(3)}},
        {"num_steps": 1, "means": {"weight": torch.zeros(4)}},
    ],
)
def test_state_of_another_average_is_refused(state: object) -> None:
    """Where a weight is missing or has another shape, or the count is none."""
    with pytest.raises(StateError, match="checkpoint"):
        WeightAverage(_Growing(), GAMMA, 20).check(state)

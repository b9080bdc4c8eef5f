"""What every architecture keeps, whatever its head and activation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from sweep.models import ARCHITECTURES, Architecture
from sweep.models.head import ACTIVATIONS, HEADS
from sweep.models.value import Value

NUM_EVENTS = 3
SMALL: dict[str, dict[str, Value]] = {
    "birnn": {"hidden_size": 6, "num_layers": 2, "bins_per_step": 20},
    "cnn": {"hidden_size": 4, "num_layers": 4},
    "rcnn": {"hidden_size": 6, "num_layers": 2, "channels": 4},
    "mlp": {"hidden_size": 16, "num_layers": 2},
    "unet": {"hidden_size": 4},
    "unetpp": {"hidden_size": 4},
    "densenet": {"hidden_size": 4, "num_layers": 3},
    "allcnn": {"hidden_size": 4, "num_layers": 2, "position_size": 4},
    "coarsefine": {"hidden_size": 4, "num_deep": 1, "fine_size": 4},
}
ENDS = [("identity", "none"), ("softplus", "relu")]
"""Every head and every activation once: neither knows of the other, nor of what was before it."""
CASES = [
    pytest.param(name, head, activation, id=f"{name}-{head}-{activation}")
    for name, (head, activation) in product(ARCHITECTURES, ENDS)
]


def test_cases_have_every_head_and_activation() -> None:
    """A new one gets its row."""
    heads, activations = zip(*ENDS, strict=True)
    assert (set(heads), set(activations)) == (set(HEADS), set(ACTIVATIONS))


def take_known(architecture: Architecture, wanted: Mapping[str, Value]) -> dict[str, Value]:
    """Take what an architecture has a hyperparameter for."""
    return {key: value for key, value in wanted.items() if key in architecture.defaults}


def build(name: str, head: str = "softplus", activation: str = "relu", seed: int = 0) -> nn.Module:
    """Build a small network of the family from a seed."""
    torch.manual_seed(seed)
    architecture = ARCHITECTURES[name]
    wanted = {**SMALL.get(name, {}), "head": head, "activation": activation}
    return architecture.build({**architecture.defaults, **take_known(architecture, wanted)})


def draw_events(num_events: int = NUM_EVENTS) -> Tensor:
    """Draw features in the range of real ones."""
    return torch.rand(num_events, 4, 4000, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "head", "activation"), CASES)
def test_gives_one_height_a_bin(name: str, head: str, activation: str) -> None:
    """A batch of events gives float32 heights of shape (B, 4000), a batch of one included."""
    network = build(name, head, activation)
    for num_events in (NUM_EVENTS, 1):
        heights_BL = network(draw_events(num_events))
        assert heights_BL.shape == (num_events, 4000)
        assert heights_BL.dtype == torch.float32
        assert bool(heights_BL.isfinite().all())


@pytest.mark.parametrize(("name", "head", "activation"), CASES)
def test_gradients_reach_every_parameter(name: str, head: str, activation: str) -> None:
    """After one backward pass in training mode every parameter has a finite gradient, not all 0."""
    network = build(name, head, activation)
    weight_BL = torch.randn(NUM_EVENTS, 4000, generator=torch.Generator().manual_seed(2))
    (network(draw_events()) * weight_BL).sum().backward()
    for key, weight in network.named_parameters():
        assert weight.grad is not None, key
        assert bool(weight.grad.isfinite().all()), key
        assert bool(weight.grad.any()), key


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_same_seed_same_network(name: str) -> None:
    """Two networks from one seed give equal outputs; another seed gives others."""
    x_BCL = draw_events()
    first, again, other = (build(name, seed=seed).eval() for seed in (3, 3, 4))
    with torch.no_grad():
        assert torch.equal(first(x_BCL), again(x_BCL))
        assert not torch.equal(first(x_BCL), other(x_BCL))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_events_do_not_see_each_other(name: str) -> None:
    """In eval mode an event alone gives what it gives within a batch."""
    network = build(name).eval()
    x_BCL = draw_events()
    with torch.no_grad():
        together_BL = network(x_BCL)
        for event in range(NUM_EVENTS):
            alone_BL = network(x_BCL[event : event + 1])
            torch.testing.assert_close(alone_BL[0], together_BL[event], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nan_stays_in_its_event(name: str) -> None:
    """In eval mode an event with a NaN feature leaves the other events finite and unchanged."""
    network = build(name).eval()
    x_BCL = draw_events()
    with torch.no_grad():
        clean_BL = network(x_BCL)
        x_BCL[1, 0, 1234] = math.nan
        spoilt_BL = network(x_BCL)
    assert bool(spoilt_BL[1].isnan().any())
    torch.testing.assert_close(spoilt_BL[[0, 2]], clean_BL[[0, 2]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_move_to_another_network(name: str) -> None:
    """A state dict loaded into another network of the kind gives the same outputs."""
    trained = build(name, seed=5)
    trained(draw_events()).sum().backward()
    copy = build(name, seed=6).eval()
    copy.load_state_dict(trained.state_dict())
    with torch.no_grad():
        assert torch.equal(copy(draw_events()), trained.eval()(draw_events()))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_softplus_is_positive_and_starts_low(name: str, activation: str) -> None:
    """The softplus head gives only positive heights, before training near those of empty bins."""
    network = build(name, "softplus", activation).eval()
    with torch.no_grad():
        heights_BL = network(draw_events())
    assert bool((heights_BL > 0).all())
    assert float(heights_BL.median()) < 0.1


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize("shape", [(2, 3, 4000), (4, 4000), (2, 4, 0)])
def test_other_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    """A batch with other features, without the batch axis or without bins is refused."""
    with pytest.raises(ValueError, match=rf"{name}: wrong input shape, got .*, expected \(B, 4, "):
        build(name, "identity", "none")(torch.zeros(shape))


@pytest.mark.parametrize("num_bins", [1, 7, 1000, 4001])
@pytest.mark.parametrize(
    "name", ["cnn", "rcnn", "unet", "unetpp", "densenet", "allcnn", "coarsefine"]
)
def test_convolutions_take_any_length(name: str, num_bins: int) -> None:
    """The convolutional networks give back as many bins as they were given."""
    network = build(name).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 4, num_bins)).shape == (2, num_bins)


def test_fixed_lengths_are_said() -> None:
    """Where another number of bins cannot work, one line says which can."""
    with pytest.raises(ValueError, match=r"mlp: wrong input shape.*expected \(B, 4, 4000\)"):
        build("mlp", "identity", "relu")(torch.zeros(2, 4, 1000))
    with pytest.raises(ValueError, match=r"birnn: bins do not fold, got 4001 bins.*step=20"):
        build("birnn", "identity", "none")(torch.zeros(2, 4, 4001))

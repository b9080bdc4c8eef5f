"""The networks have the report's structure: its parameter counts and its arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from sweep.models import ARCHITECTURES, count_parameters
from sweep.models.allcnn import AllCNN
from sweep.models.birnn import BiRNN
from sweep.models.cnn import CNN
from sweep.models.coarsefine import CoarseFine
from sweep.models.convolution import UPSAMPLES, PixelShuffle, build_upsample
from sweep.models.densenet import DenseNet
from sweep.models.rcnn import RCNN
from sweep.models.unet import UNet
from sweep.models.unetpp import UNetPlusPlus
from sweep.models.value import Value
from sweep.training.augmentation import EXCHANGE_XY, MIRROR_X, MIRROR_Y, reflect


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("birnn", {"hidden_size": 64, "num_layers": 2}, 136_216),
        ("birnn", {"hidden_size": 96, "num_layers": 2}, 302_616),
        ("cnn", {}, 1_080_065),
        ("rcnn", {"hidden_size": 64, "num_layers": 2}, 657_037),
        ("rcnn", {"hidden_size": 64, "num_layers": 3}, 756_365),
        ("rcnn", {"hidden_size": 96, "num_layers": 2}, 928_397),
    ],
)
def test_counts_of_the_report(name: str, settings: dict[str, Value], expected: int) -> None:
    """At the report's settings each network has exactly the report's parameters."""
    architecture = ARCHITECTURES[name]
    network = architecture.build({**architecture.defaults, **architecture.report, **settings})
    assert count_parameters(network) == expected


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (UNet(num_features=2), 275_905),
        (UNet(num_features=2, skip="add"), 230_849),
        (UNet(num_features=2, hidden_size=32), 70_369),
        (UNet(num_features=2, hidden_size=16), 18_289),
        (UNetPlusPlus(), 779_905),
        (DenseNet(), 163_278),
        (AllCNN(), 54_136),
    ],
)
def test_counts_as_published(network: nn.Module, expected: int) -> None:
    """PV-Finder's networks have its parameters at its settings; the head has none of its own."""
    assert count_parameters(network) == expected


def fill(network: nn.Module, seed: int) -> None:
    """Give every weight and every running statistic a random, harmless value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in network.state_dict().items():
            if weight.is_floating_point():
                draw = torch.rand(weight.shape, generator=generator)
                weight.copy_(draw + 0.5 if key.endswith("var") else (draw - 0.5) * 0.5)


def test_cnn_against_the_plain_formula() -> None:
    """The CNN computes what one-dimensional layers with the report's paddings compute."""
    network = CNN(hidden_size=4).eval()
    fill(network, 0)
    state = {
        key: value.flatten(2) if value.ndim == 4 else value
        for key, value in network.state_dict().items()
    }
    x_BCL = torch.rand(2, 4, 4000, generator=torch.Generator().manual_seed(1))

    def normalise(hidden: torch.Tensor, key: str) -> torch.Tensor:
        mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        return functional.batch_norm(
            hidden, mean, var, state[f"{key}.weight"], state[f"{key}.bias"]
        )

    hidden = x_BCL
    for layer, stride in enumerate((4, 2, 2, 2)):
        weight, bias = state[f"encoder.{layer}.weight"], state[f"encoder.{layer}.bias"]
        hidden = functional.conv1d(hidden, weight, bias, stride, padding=2)
        hidden = normalise(hidden, f"encoder_norms.{layer}")
    for layer, (stride, extra) in enumerate(((2, 1), (2, 1), (2, 1), (4, 3))):
        weight, bias = state[f"decoder.{layer}.weight"], state[f"decoder.{layer}.bias"]
        hidden = functional.conv_transpose1d(
            hidden, weight, bias, stride, padding=2, output_padding=extra
        )
        hidden = normalise(hidden, f"decoder_norms.{layer}")
    expected_BL = functional.conv1d(hidden, state["last.weight"], state["last.bias"])[:, 0]
    with torch.no_grad():
        torch.testing.assert_close(network(x_BCL), expected_BL, rtol=1e-4, atol=1e-4)


def test_rcnn_shortcuts_carry_the_features() -> None:
    """The RCNN's last shortcut is the raw input: a weight there alone passes a feature on."""
    network = RCNN(hidden_size=3, num_layers=1, channels=4).eval()
    fill(network, 0)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.weight[0, -4] = 1.0  # KDE, the first of the four features
        state = network.state_dict()
        for key, value in (("running_mean", 0), ("running_var", 1), ("weight", 1), ("bias", 0)):
            state[f"decoder_norms.2.{key}"].fill_(value)
        state["last.bias"].zero_()
        x_BCL = torch.rand(2, 4, 4000, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(network(x_BCL), x_BCL[:, 0], rtol=1e-4, atol=1e-4)


def test_birnn_is_the_mean_of_two_directions() -> None:
    """Read backwards with its directions exchanged, the BiRNN gives the same heights backwards."""
    torch.manual_seed(0)
    network = BiRNN(hidden_size=3, num_layers=1)
    mirrored = BiRNN(hidden_size=3, num_layers=1)
    state = network.state_dict()
    swapped = {}
    for key in state:
        other = key.removesuffix("_reverse") if key.endswith("_reverse") else f"{key}_reverse"
        moved = state[other]
        is_second_input = key.startswith("lstm_2.weight_ih")
        swapped[key] = torch.cat(moved.split(3, dim=1)[::-1], dim=1) if is_second_input else moved
    mirrored.load_state_dict(swapped)
    x_BCL = torch.rand(1, 4, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(mirrored(x_BCL.flip(2)).flip(1), network(x_BCL))


def test_folded_bins_keep_their_order() -> None:
    """With several bins a step, a step's output depends on its own bins when cells forget."""
    torch.manual_seed(0)
    network = BiRNN(hidden_size=3, num_layers=1, bins_per_step=5)
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if "weight_hh" in key:
                weight.zero_()
            if "bias_ih" in key:  # a shut forget gate: nothing comes from the step before
                size = weight.shape[0] // 4
                weight[size : 2 * size] = -1e4
        x_BCL = torch.rand(1, 4, 40, generator=torch.Generator().manual_seed(1))
        before_BL = network(x_BCL)
        x_BCL[0, 0, 12] += 1.0
        changed = (network(x_BCL) != before_BL).nonzero()[:, 1].tolist()
    assert changed == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("name", ["unet", "unetpp", "densenet", "allcnn", "coarsefine"])
def test_what_moves_in_moves_out(name: str) -> None:
    """Features moved by sixteen bins give heights moved by as many, away from the ends."""
    architecture = ARCHITECTURES[name]
    sizes = {"hidden_size": 4, "num_layers": 3, "num_deep": 1, "fine_size": 4, "head": "identity"}
    known = {key: value for key, value in sizes.items() if key in architecture.defaults}
    network = architecture.build({**architecture.defaults, **known}).eval()
    fill(network, 1)
    x_BCL = torch.rand(1, 4, 1600, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        heights_BL, moved_BL = network(x_BCL), network(x_BCL.roll(16, dims=2))
    inner = slice(600, 1000)
    assert float(heights_BL[:, inner].std()) > 0
    torch.testing.assert_close(moved_BL[:, 616:1016], heights_BL[:, inner], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_untrained_ways_up_draw_no_comb(upsample: str) -> None:
    """A constant row stays constant where the way up says so: all but the published one, whose two
    weights differ from the first step on."""
    torch.manual_seed(0)
    row = torch.full((1, 3, 1, 20), 0.7)
    longer = build_upsample(upsample, 3, 2)(row)
    assert longer.shape == (1, 2, 1, 40)
    inner = longer[..., 4:36]
    is_constant = torch.allclose(inner, inner[..., :1].expand_as(inner), atol=1e-6)
    assert is_constant == (upsample != "transpose")


def test_shuffled_values_are_neighbours() -> None:
    """The values that a step gives for a channel stand side by side, in order."""
    shuffle = PixelShuffle(1, 2, 2)
    with torch.no_grad():
        shuffle.convolution.weight.zero_()
        shuffle.convolution.bias.copy_(torch.tensor([1.0, 2.0, 10.0, 20.0]))
        row = shuffle(torch.zeros(1, 1, 1, 3))
    assert row[0, :, 0].tolist() == [[1, 2, 1, 2, 1, 2], [10, 20, 10, 20, 10, 20]]


@pytest.mark.parametrize("reflection", [MIRROR_X, MIRROR_Y, EXCHANGE_XY])
def test_coarsefine_does_not_see_reflections(reflection: int) -> None:
    """Reflected across the beam an event gives the same heights; with signed positions others."""
    x_BCL = torch.rand(1, 4, 4000, generator=torch.Generator().manual_seed(1))
    reflected_BCL, _ = reflect(x_BCL, torch.zeros(1, 4000), torch.tensor([reflection]))
    for positions, is_same in (("invariant", True), ("signed", False)):
        torch.manual_seed(0)
        network = CoarseFine(hidden_size=4, positions=positions, head="identity").eval()
        with torch.no_grad():
            heights_BL, again_BL = network(x_BCL), network(reflected_BCL)
        assert torch.allclose(heights_BL, again_BL, atol=1e-5) == is_same


def test_the_reports_cnn_is_affine() -> None:
    """Without activation and head it is, in eval mode (docs/PHYSICS.md, "Architectures")."""
    torch.manual_seed(0)
    network = CNN(hidden_size=4).eval()
    generator = torch.Generator().manual_seed(1)
    first, second = torch.rand(2, 1, 4, 4000, generator=generator)
    with torch.no_grad():
        middle = network((first + second) / 2)
        torch.testing.assert_close(
            middle, (network(first) + network(second)) / 2, rtol=1e-4, atol=1e-5
        )

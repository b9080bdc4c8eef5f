"""The report's convolutional networks as a person writes them: `Conv1d`, `BatchNorm1d`, `ReLU`.

The same layers, parameters and outputs as those of `models/`, whose numbers lie in memory as is
faster. The other networks are there as they are in `models/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sweep.models import find_architecture
from sweep.models.head import NUM_FEATURES, OutputHead

KERNEL_SIZE, PADDING = 5, 2


class PlainCNN(nn.Module):
    """Strided convolutions and their mirror image."""

    def __init__(self, hidden_size: int, num_layers: int, head: str, activation: str) -> None:
        super().__init__()
        widths = [hidden_size * min(2**layer, 4) for layer in range(num_layers)]
        strides = [4] + [2] * (num_layers - 1)
        back = [*reversed(widths), hidden_size // 2]
        self.encoder = nn.ModuleList(
            nn.Conv1d(before, after, KERNEL_SIZE, stride, PADDING)
            for (before, after), stride in zip(
                pairwise([NUM_FEATURES, *widths]), strides, strict=True
            )
        )
        self.encoder_norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose1d(before, after, KERNEL_SIZE, stride, PADDING)
            for (before, after), stride in zip(pairwise(back), strides[::-1], strict=True)
        )
        self.decoder_norms = nn.ModuleList(nn.BatchNorm1d(width) for width in back[1:])
        self.activation = nn.ReLU() if activation == "relu" else nn.Identity()
        self.last = nn.Conv1d(back[-1], 1, 1)
        self.head = OutputHead(head)

    def forward(self, x: Tensor) -> Tensor:
        lengths = []
        for convolution, norm in zip(self.encoder, self.encoder_norms, strict=True):
            lengths.append(x.shape[-1])
            x = self.activation(norm(convolution(x)))
        for convolution, norm in zip(self.decoder, self.decoder_norms, strict=True):
            x = self.activation(norm(convolution(x, output_size=[lengths.pop()])))
        heights: Tensor = self.head(self.last(x)[:, 0])
        return heights


class PlainRCNN(nn.Module):
    """Strided convolutions, a two-way LSTM, and back with shortcuts."""

    def __init__(
        self, hidden_size: int, num_layers: int, channels: int, head: str, activation: str
    ) -> None:
        super().__init__()
        widths = [NUM_FEATURES, channels, 2 * channels, 4 * channels]
        self.encoder = nn.ModuleList(
            nn.Conv1d(before, after, KERNEL_SIZE, 2, PADDING) for before, after in pairwise(widths)
        )
        self.encoder_norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        self.lstm = nn.LSTM(
            widths[-1], hidden_size, num_layers, batch_first=True, bidirectional=True
        )
        befores, afters = (
            [2 * hidden_size, 4 * channels, 2 * channels],
            [2 * channels, channels, channels // 2],
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose1d(before, after, KERNEL_SIZE, 2, PADDING)
            for before, after in zip(befores, afters, strict=True)
        )
        self.decoder_norms = nn.ModuleList(
            nn.BatchNorm1d(after + before)
            for after, before in zip(afters, widths[-2::-1], strict=True)
        )
        self.activation = nn.ReLU() if activation == "relu" else nn.Identity()
        self.last = nn.Conv1d(afters[-1] + NUM_FEATURES, 1, 1)
        self.head = OutputHead(head)

    def forward(self, x: Tensor) -> Tensor:
        shortcuts = [x]
        for convolution, norm in zip(self.encoder, self.encoder_norms, strict=True):
            shortcuts.append(convolution(x))
            x = self.activation(norm(shortcuts[-1]))
        shortcuts.pop()
        x = self.lstm(x.transpose(1, 2))[0].transpose(1, 2)
        for convolution, norm in zip(self.decoder, self.decoder_norms, strict=True):
            shortcut = shortcuts.pop()
            widened = convolution(x, output_size=[shortcut.shape[-1]])
            x = self.activation(norm(torch.cat((widened, shortcut), dim=1)))
        heights: Tensor = self.head(self.last(x)[:, 0])
        return heights


PLAIN: Mapping[str, Callable[..., nn.Module]] = {"cnn": PlainCNN, "rcnn": PlainRCNN}


def build_plain(name: str, params: Mapping[str, Any]) -> nn.Module:
    """Build a network as a person writes it, as it starts."""
    architecture = find_architecture(name)
    if name not in PLAIN:
        return architecture.build(params)
    return PLAIN[name](**{key: params[key] for key in architecture.network_hyperparameters})


def copy_weights(network: nn.Module, plain: nn.Module) -> nn.Module:
    """Give a plain network the weights of the one that it is; gives it back."""
    own = plain.state_dict()
    plain.load_state_dict(
        {name: part.reshape(own[name].shape) for name, part in network.state_dict().items()}
    )
    return plain

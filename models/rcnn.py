"""The report's RCNN: convolutions, a two-way LSTM on 500 steps, and back.

Described in docs/PHYSICS.md, "Architectures".
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sweep.models.head import (
    NUM_FEATURES,
    OutputHead,
    build_activation,
    require_shape,
    require_whole,
)

KERNEL_SIZE = 5
PADDING = KERNEL_SIZE // 2
STRIDE = 2


class RCNN(nn.Module):
    """Three strided convolutions, a two-way LSTM, three transposed convolutions with shortcuts.

    Each shortcut carries a convolution's output from before its norm, the last one the features
    themselves. The convolutions are two-dimensional with a height of one and run channels last,
    for speed on a CPU, as in `sweep.models.cnn`.

    Shapes: B events, C features, L bins, T steps of the LSTM (L / 8), H channels.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        num_layers: int = 2,
        channels: int = 64,
        head: str = "identity",
        activation: str = "none",
    ) -> None:
        """Make the network; the defaults are the report's, with 657,037 parameters.

        Args:
            hidden_size: Cells of the LSTM in each direction.
            num_layers: Layers of the LSTM.
            channels: Channels of the first convolution; the next have twice and four times as
                many.
            head: Output head, `identity` or `softplus`.
            activation: After each norm, `none` or `relu`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("rcnn.hidden_size", hidden_size, 1, 4096)
        require_whole("rcnn.num_layers", num_layers, 1, 8)
        require_whole("rcnn.channels", channels, 2, 4096)
        widths = [NUM_FEATURES, channels, 2 * channels, 4 * channels]
        self.encoder = nn.ModuleList(
            nn.Conv2d(before, after, (1, KERNEL_SIZE), (1, STRIDE), (0, PADDING))
            for before, after in pairwise(widths)
        )
        self.encoder_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.lstm = nn.LSTM(
            widths[-1], hidden_size, num_layers, batch_first=True, bidirectional=True
        )
        befores = [2 * hidden_size, 4 * channels, 2 * channels]
        afters = [2 * channels, channels, channels // 2]
        shortcuts = [2 * channels, channels, NUM_FEATURES]
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(before, after, (1, KERNEL_SIZE), (1, STRIDE), (0, PADDING))
            for before, after in zip(befores, afters, strict=True)
        )
        self.decoder_norms = nn.ModuleList(
            nn.BatchNorm2d(after + shortcut)
            for after, shortcut in zip(afters, shortcuts, strict=True)
        )
        self.activation = build_activation(activation)
        self.last = nn.Conv2d(afters[-1] + NUM_FEATURES, 1, kernel_size=1)
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("rcnn", x_BCL)
        hidden = x_BCL.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        shortcuts = [hidden]
        for convolution, norm in zip(self.encoder, self.encoder_norms, strict=True):
            before_norm = convolution(hidden)
            shortcuts.append(before_norm)
            hidden = self.activation(norm(before_norm))
        shortcuts.pop()
        out_BTH, _ = self.lstm(hidden[:, :, 0].transpose(1, 2))
        hidden = out_BTH.transpose(1, 2).unsqueeze(2)
        for convolution, norm in zip(self.decoder, self.decoder_norms, strict=True):
            shortcut = shortcuts.pop()
            widened = convolution(hidden, output_size=[1, shortcut.shape[-1]])
            hidden = self.activation(norm(torch.cat((widened, shortcut), dim=1)))
        heights_BL: Tensor = self.head(self.last(hidden)[:, 0, 0])
        return heights_BL

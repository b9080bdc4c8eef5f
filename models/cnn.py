"""The report's CNN: a strided encoder and its mirror image.

Described in docs/PHYSICS.md, "Architectures".
"""

from __future__ import annotations

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
FIRST_STRIDE = 4
NEXT_STRIDE = 2
MAX_WIDENING = 4


class CNN(nn.Module):
    """Convolutions down to few wide steps, transposed convolutions back to every bin.

    The layers are two-dimensional with a height of one and run channels last: the same numbers as
    in one dimension, and with the report's narrow layers 1.4 times as fast on a CPU (measured at
    a width of 16; twice as fast without gradients).

    Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        num_layers: int = 4,
        head: str = "identity",
        activation: str = "none",
    ) -> None:
        """Make the network; the defaults are the report's, with 1,080,065 parameters.

        Args:
            hidden_size: Channels of the first layer; the next ones have twice and four times as
                many, all further ones four times.
            num_layers: Encoder layers, with strides 4, 2, 2, ...; the decoder has as many.
            head: Output head, `identity` or `softplus`.
            activation: Between the layers, `none` or `relu`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("cnn.hidden_size", hidden_size, 2, 4096)
        require_whole("cnn.num_layers", num_layers, 1, 8)
        widths = [hidden_size * min(2**layer, MAX_WIDENING) for layer in range(num_layers)]
        strides = [FIRST_STRIDE] + [NEXT_STRIDE] * (num_layers - 1)
        encoder_widths = [NUM_FEATURES, *widths]
        decoder_widths = [*reversed(widths), hidden_size // 2]
        self.encoder = nn.ModuleList(
            nn.Conv2d(before, after, (1, KERNEL_SIZE), (1, stride), (0, PADDING))
            for before, after, stride in zip(encoder_widths[:-1], widths, strides, strict=True)
        )
        self.encoder_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(before, after, (1, KERNEL_SIZE), (1, stride), (0, PADDING))
            for before, after, stride in zip(
                widths[::-1], decoder_widths[1:], strides[::-1], strict=True
            )
        )
        self.decoder_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in decoder_widths[1:])
        self.activation = build_activation(activation, in_place=True)
        self.last = nn.Conv2d(decoder_widths[-1], 1, kernel_size=1)
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("cnn", x_BCL)
        hidden = x_BCL.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        lengths = []
        for convolution, norm in zip(self.encoder, self.encoder_norms, strict=True):
            lengths.append(hidden.shape[-1])
            hidden = self.activation(norm(convolution(hidden)))
        for convolution, norm in zip(self.decoder, self.decoder_norms, strict=True):
            hidden = self.activation(norm(convolution(hidden, output_size=[1, lengths.pop()])))
        heights_BL: Tensor = self.head(self.last(hidden)[:, 0, 0])
        return heights_BL

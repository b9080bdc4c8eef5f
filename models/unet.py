"""PV-Finder's U-Net: down to a sixteenth of the bins and back, with a shortcut at every length.

Described in docs/PHYSICS.md, "Architectures".
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.models.convolution import (
    SKIPS,
    build_block,
    build_convolution,
    build_upsample,
    require_odd,
    require_share,
    to_row,
)
from sweep.models.head import NUM_FEATURES, OutputHead, require_choice, require_shape, require_whole

ENCODER_KERNEL_SIZES = (25, 7, 5, 5, 5)
DECODER_KERNEL_SIZE = 5
NUM_HALVINGS = len(ENCODER_KERNEL_SIZES) - 1
MAX_WIDENING = 4


class UNet(nn.Module):
    """An encoder that halves four times, a decoder that doubles as often, shortcuts between them.

    Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        widening: float = 1.0,
        first_kernel_size: int = 25,
        skip: str = "concat",
        upsample: str = "transpose",
        dropout: float = 0.25,
        num_features: int = NUM_FEATURES,
        head: str = "identity",
        activation: str = "relu",
    ) -> None:
        """Make the network; with `num_features` of 2 the defaults are the published 275,905
        parameters, beside the two of a softplus head.

        Args:
            hidden_size: Channels at full length.
            widening: By how much each shorter length has more channels; published with 1.
            first_kernel_size: Width of the first convolution in bins, odd.
            skip: How a shortcut joins: `concat` or `add`.
            upsample: One of `sweep.models.convolution.UPSAMPLES`.
            dropout: Share of values dropped behind each block in training.
            num_features: How many of the features are looked at, the first ones; published with 2.
            head: Output head, `identity` or `softplus`.
            activation: In each block, `none` or `relu`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("unet.hidden_size", hidden_size, 1, 4096)
        require_odd("unet.first_kernel_size", first_kernel_size)
        require_whole("unet.num_features", num_features, 1, NUM_FEATURES)
        require_choice("unet.skip", skip, SKIPS)
        require_share("unet.dropout", dropout)
        if not 1.0 <= widening <= MAX_WIDENING:
            raise ValueError(
                f"unet.widening: out of range, got {widening!r}, expected 1 to {MAX_WIDENING}"
            )
        widths = [round(hidden_size * widening**level) for level in range(NUM_HALVINGS + 1)]
        kernel_sizes = (first_kernel_size, *ENCODER_KERNEL_SIZES[1:])
        self.encoder = nn.ModuleList(
            build_block(before, after, kernel_size, activation, dropout)
            for (before, after), kernel_size in zip(
                pairwise([num_features, *widths]), kernel_sizes, strict=True
            )
        )
        joined = 2 if skip == "concat" else 1
        befores = [widths[-1], *(joined * width for width in widths[-2:0:-1])]
        self.upsamples = nn.ModuleList(
            build_upsample(upsample, before, after)
            for before, after in zip(befores, widths[-2::-1], strict=True)
        )
        self.decoder = nn.ModuleList(
            build_block(width, width, DECODER_KERNEL_SIZE, activation, dropout)
            for width in widths[-2::-1]
        )
        self.num_features = num_features
        self.skip = skip
        self.last = build_last(joined * hidden_size, hidden_size)
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("unet", x_BCL)
        hidden = to_row(x_BCL[:, : self.num_features], 2**NUM_HALVINGS)
        shortcuts = []
        for level, block in enumerate(self.encoder):
            halved = functional.max_pool2d(block(hidden), (1, 2)) if level else block(hidden)
            shortcuts.append(halved)
            hidden = halved
        shortcuts.pop()
        for upsample, block in zip(self.upsamples, self.decoder, strict=True):
            hidden = self._join(block(upsample(hidden)), shortcuts.pop())
        heights_BL: Tensor = self.head(self.last(hidden)[:, 0, 0, : x_BCL.shape[-1]])
        return heights_BL

    def _join(self, hidden: Tensor, shortcut: Tensor) -> Tensor:
        if self.skip == "add":
            return hidden + shortcut
        return torch.cat((hidden, shortcut), dim=1)


def build_last(before: int, hidden_size: int) -> nn.Sequential:
    """Build the two convolutions that make heights of a row as long as the bins."""
    return nn.Sequential(
        build_convolution(before, hidden_size, DECODER_KERNEL_SIZE),
        build_convolution(hidden_size, 1, DECODER_KERNEL_SIZE),
    )

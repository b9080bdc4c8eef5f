"""PV-Finder's U-Net++: a U-Net whose shortcuts pass through blocks of their own.

Described in docs/PHYSICS.md, "Architectures".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.models.convolution import (
    build_block,
    build_upsample,
    require_share,
    to_row,
)
from sweep.models.head import NUM_FEATURES, OutputHead, require_shape, require_whole
from sweep.models.unet import DECODER_KERNEL_SIZE, ENCODER_KERNEL_SIZES, NUM_HALVINGS, build_last


class UNetPlusPlus(nn.Module):
    """At each length, blocks that see all earlier ones there and the one at half the length.

    The published network declares two transposed convolutions that nothing uses, and shares the
    others as is done here: one for all shortcuts, one for the decoder's first and later steps, one
    for its second. Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        upsample: str = "transpose",
        dropout: float = 0.25,
        head: str = "identity",
        activation: str = "relu",
    ) -> None:
        """Make the network; the defaults are the published 779,905 parameters in use, beside the
        two of a softplus head.

        Args:
            hidden_size: Channels of every block.
            upsample: One of `sweep.models.convolution.UPSAMPLES`.
            dropout: Share of values dropped behind each block in training.
            head: Output head, `identity` or `softplus`.
            activation: In each block, `none` or `relu`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("unetpp.hidden_size", hidden_size, 1, 4096)
        require_share("unetpp.dropout", dropout)
        befores = [NUM_FEATURES] + [hidden_size] * NUM_HALVINGS
        self.encoder = nn.ModuleList(
            build_block(before, hidden_size, kernel_size, activation, dropout)
            for before, kernel_size in zip(befores, ENCODER_KERNEL_SIZES, strict=True)
        )
        # nodes[level][n] is the n-th block behind the encoder's at that level; it joins n + 2 rows
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                build_block(
                    (number + 2) * hidden_size,
                    hidden_size,
                    DECODER_KERNEL_SIZE,
                    activation,
                    dropout,
                )
                for number in range(NUM_HALVINGS - level)
            )
            for level in range(NUM_HALVINGS)
        )
        self.shortcut_upsample, self.outer_upsample, self.second_upsample = (
            build_upsample(upsample, hidden_size, hidden_size) for _ in range(3)
        )
        self.last = build_last(2 * hidden_size, hidden_size)
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("unetpp", x_BCL)
        hidden = to_row(x_BCL, 2**NUM_HALVINGS)
        rows: list[list[Tensor]] = []
        for level, block in enumerate(self.encoder):
            hidden = functional.max_pool2d(block(hidden), (1, 2)) if level else block(hidden)
            rows.append([hidden])
        for number in range(NUM_HALVINGS):
            for level in range(NUM_HALVINGS - number):
                below = self._choose_upsample(level, number)(rows[level + 1][number])
                joined = torch.cat((*rows[level], below), dim=1)
                rows[level].append(self.nodes[level][number](joined))  # type: ignore[index]
        out = self.last(torch.cat((rows[0][-1], rows[0][0]), dim=1))
        heights_BL: Tensor = self.head(out[:, 0, 0, : x_BCL.shape[-1]])
        return heights_BL

    def _choose_upsample(self, level: int, number: int) -> nn.Module:
        """Choose what brings a row up to a level: the decoder's blocks are the last of each."""
        if number < NUM_HALVINGS - level - 1:
            return self.shortcut_upsample
        return self.second_upsample if number == 1 else self.outer_upsample

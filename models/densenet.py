"""PV-Finder's DenseNet: every convolution sees what all earlier ones gave.

Described in docs/PHYSICS.md, "Architectures".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sweep.models.convolution import build_convolution, require_odd, require_share, to_row
from sweep.models.head import NUM_FEATURES, OutputHead, require_shape, require_whole

FIRST_KERNEL_SIZE = 25
KERNEL_SIZE = 15
LAST_KERNEL_SIZE = 5


class DenseNet(nn.Module):
    """Convolutions at full length, each fed with the outputs of all those before it.

    Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 25,
        num_layers: int = 7,
        kernel_size: int = KERNEL_SIZE,
        dropout: float = 0.25,
        head: str = "identity",
    ) -> None:
        """Make the network; the defaults are the published 163,278 parameters, beside the two of a
        softplus head.

        Args:
            hidden_size: Channels of each convolution.
            num_layers: Convolutions before the last one.
            kernel_size: Width of a convolution in bins, odd; the first is 25 wide, the last 5.
            dropout: Share of values dropped behind each convolution in training.
            head: Output head, `identity` or `softplus`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("densenet.hidden_size", hidden_size, 1, 4096)
        require_whole("densenet.num_layers", num_layers, 1, 32)
        require_odd("densenet.kernel_size", kernel_size)
        require_share("densenet.dropout", dropout)
        middle = [kernel_size] * (num_layers - 2)
        kernel_sizes = [FIRST_KERNEL_SIZE, *middle, LAST_KERNEL_SIZE][:num_layers]
        befores = [NUM_FEATURES, *(hidden_size * number for number in range(1, num_layers))]
        self.convolutions = nn.ModuleList(
            build_convolution(before, hidden_size, width)
            for before, width in zip(befores, kernel_sizes, strict=True)
        )
        self.followers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(hidden_size), nn.LeakyReLU(), nn.Dropout(dropout))
            for _ in kernel_sizes
        )
        self.last = build_convolution(num_layers * hidden_size, 1, LAST_KERNEL_SIZE)
        self.last_norm = nn.BatchNorm2d(1)
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("densenet", x_BCL)
        known = to_row(x_BCL)
        for number, (convolution, follow) in enumerate(
            zip(self.convolutions, self.followers, strict=True)
        ):
            found = follow(convolution(known))
            known = torch.cat((known, found), dim=1) if number else found
        heights_BL: Tensor = self.head(self.last_norm(self.last(known))[:, 0, 0])
        return heights_BL

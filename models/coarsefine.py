"""This project's own network: coarse steps say what is there, every bin says where.

Most of its arithmetic is done on rows a fourth to a sixteenth as long as the event; only the last
two layers see every bin. What it looks at are not the features but what of them no reflection or
rotation across the beam changes, and the density's logarithm, which shows vertices of few tracks as
well as those of many.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.models.convolution import PixelShuffle, build_convolution, to_row
from sweep.models.head import OutputHead, require_choice, require_shape, require_whole

FIRST_STRIDE = 4
KERNEL_SIZE = 5
FIRST_KERNEL_SIZE = 9
DEEP_KERNEL_SIZE = 9
FINE_KERNEL_SIZE = 7
MAX_WIDENING = 3
POSITIONS = ("invariant", "signed")
LAGS = (1, 3, 8)
"""Bins to each side between which the place of the largest density is compared."""
SMALLEST_DENSITY = 1e-4
"""Added before the logarithm; a bin without tracks has 0, one vertex about 0.3."""
SMALLEST_SQUARE = 1e-6
"""Added before a square root, whose slope at 0 has no end."""


class CoarseFine(nn.Module):
    """Strided convolutions, blocks at the shortest length, steps back up, a fine last stage.

    Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 16,
        num_levels: int = 3,
        num_deep: int = 1,
        fine_size: int = 16,
        positions: str = "invariant",
        head: str = "softplus",
    ) -> None:
        """Make the network.

        Args:
            hidden_size: Channels at a fourth of the length; twice and three times as many at each
                shorter one.
            num_levels: Lengths below the full one: a fourth, an eighth and so on.
            num_deep: Blocks at the shortest.
            fine_size: Channels at full length.
            positions: What is seen of x and y: `invariant`, distances from the beam and between
                neighbours; `signed`, themselves.
            head: Output head, `identity` or `softplus`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("coarsefine.hidden_size", hidden_size, 1, 4096)
        require_whole("coarsefine.num_levels", num_levels, 1, 8)
        require_whole("coarsefine.num_deep", num_deep, 0, 32)
        require_whole("coarsefine.fine_size", fine_size, 1, 4096)
        require_choice("coarsefine.positions", positions, POSITIONS)
        self.positions = positions
        self.multiple = FIRST_STRIDE * 2 ** (num_levels - 1)
        num_seen = 3 + len(LAGS) if positions == "invariant" else 4
        widths = [hidden_size * min(level + 1, MAX_WIDENING) for level in range(num_levels)]
        self.down = nn.ModuleList(
            _build_block(before, after, kernel_size, stride)
            for (before, after), (kernel_size, stride) in zip(
                pairwise([num_seen, *widths]),
                [(FIRST_KERNEL_SIZE, FIRST_STRIDE)] + [(KERNEL_SIZE, 2)] * (num_levels - 1),
                strict=True,
            )
        )
        self.deep = nn.ModuleList(
            _build_block(widths[-1], widths[-1], DEEP_KERNEL_SIZE) for _ in range(num_deep)
        )
        self.up = nn.ModuleList(_Up(below, above, 2) for below, above in pairwise(widths[::-1]))
        self.fine = _Up(widths[0], fine_size, FIRST_STRIDE, FINE_KERNEL_SIZE)
        self.first = build_convolution(num_seen, fine_size, KERNEL_SIZE)
        self.last = build_convolution(fine_size, 1, 1)
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("coarsefine", x_BCL)
        row = to_row(self._look(x_BCL), self.multiple)
        shortcuts = [self.first(row)]
        hidden = row
        for block in self.down:
            hidden = block(hidden)
            shortcuts.append(hidden)
        hidden = shortcuts.pop()
        for block in self.deep:
            hidden = hidden + block(hidden)
        for step in (*self.up, self.fine):
            hidden = step(hidden, shortcuts.pop())
        heights_BL: Tensor = self.head(self.last(hidden)[:, 0, 0, : x_BCL.shape[-1]])
        return heights_BL

    def _look(self, x_BCL: Tensor) -> Tensor:
        """Make what the network looks at: densities, and what is asked for of x and y."""
        density_BCL, place_BCL = x_BCL[:, :1], x_BCL[:, 2:]
        log_BCL = torch.log(density_BCL.clamp(min=0.0) + SMALLEST_DENSITY) / 4.0 + 1.0
        if self.positions == "signed":
            return torch.cat((density_BCL, log_BCL, place_BCL), dim=1)
        seen = [density_BCL, log_BCL, place_BCL.square().sum(dim=1, keepdim=True)]
        for lag in LAGS:
            padded_BCL = functional.pad(place_BCL, (lag, lag))
            moved_BCL = padded_BCL[..., 2 * lag :] - padded_BCL[..., : -2 * lag]
            square_BCL = moved_BCL.square().sum(dim=1, keepdim=True)
            seen.append(torch.sqrt(square_BCL + SMALLEST_SQUARE))
        return torch.cat(seen, dim=1)


class _Up(nn.Module):
    """A step to a longer row, joined with what was there on the way down, and a block on both."""

    def __init__(self, below: int, above: int, factor: int, kernel_size: int = KERNEL_SIZE) -> None:
        super().__init__()
        self.longer = PixelShuffle(below, above, factor)
        self.norm = nn.BatchNorm2d(above)
        self.block = _build_block(above, above, kernel_size)

    def forward(self, hidden: Tensor, shortcut: Tensor) -> Tensor:
        """Map (B, C, 1, L) and (B, C', 1, factor * L) to the form of the second."""
        joined = functional.silu(self.norm(self.longer(hidden) + shortcut))
        together: Tensor = joined + self.block(joined)
        return together


def _build_block(before: int, after: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """Build a convolution with norm and activation behind it."""
    convolution = nn.Conv2d(
        before, after, (1, kernel_size), (1, stride), padding=(0, kernel_size // 2)
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.SiLU())

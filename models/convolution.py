"""What the convolutional networks share: rows, a block of layers, ways to make a row longer.

A row is (B, C, 1, L): two-dimensional with a height of one and channels last, which a CPU convolves
faster than one dimension (`sweep.models.cnn`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.models.head import build_activation, require_choice, require_whole
from sweep.models.value import is_number

SKIPS = ("concat", "add")
UPSAMPLES = ("transpose", "linear", "pixel_shuffle")
SHUFFLE_KERNEL_SIZE = 3


def to_row(x_BCL: Tensor, multiple: int = 1) -> Tensor:
    """Turn features (B, C, L) into a row whose length is a multiple, filled up with zeros."""
    missing = -x_BCL.shape[-1] % multiple
    padded = functional.pad(x_BCL, (0, missing)) if missing else x_BCL
    return padded.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def build_convolution(before: int, after: int, kernel_size: int) -> nn.Conv2d:
    """Build a convolution along a row that keeps its length; the kernel size is odd."""
    return nn.Conv2d(before, after, (1, kernel_size), padding=(0, kernel_size // 2))


def build_block(
    before: int, after: int, kernel_size: int, activation: str, dropout: float
) -> nn.Sequential:
    """Build a convolution with norm, activation and dropout behind it."""
    return nn.Sequential(
        build_convolution(before, after, kernel_size),
        nn.BatchNorm2d(after),
        build_activation(activation),
        nn.Dropout(dropout),
    )


def build_upsample(upsample: str, before: int, after: int) -> nn.Module:
    """Build what makes a row twice as long: (B, C, 1, L) to (B, C', 1, 2 L).

    Args:
        upsample: `transpose`, a transposed convolution of width two, as published; `linear`, a
            convolution of width one and values in between; `pixel_shuffle`, a convolution that
            gives two values a step. Nearest neighbours are not offered: they write a comb of false
            peaks (docs/PHYSICS.md, "Architectures").

    Raises:
        ValueError: When it is unknown.
    """
    require_choice("upsample", upsample, UPSAMPLES)
    if upsample == "transpose":
        return nn.ConvTranspose2d(before, after, (1, 2), (1, 2))
    if upsample == "linear":
        between = nn.Upsample(scale_factor=(1, 2), mode="bilinear", align_corners=False)
        return nn.Sequential(build_convolution(before, after, 1), between)
    return PixelShuffle(before, after, 2)


class PixelShuffle(nn.Module):
    """A convolution that gives several values a channel and step, which become as many steps.

    They start alike (Aitken et al., arXiv:1707.02937), so that an untrained network draws no comb.
    """

    def __init__(self, before: int, after: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.convolution = build_convolution(before, factor * after, SHUFFLE_KERNEL_SIZE)
        with torch.no_grad():
            for weight in self.convolution.parameters():
                weight.copy_(weight[::factor].repeat_interleave(factor, dim=0))

    def forward(self, row: Tensor) -> Tensor:
        """Map (B, C, 1, L) to (B, C', 1, factor * L)."""
        values: Tensor = self.convolution(row)
        num_events, num_channels, _height, length = values.shape
        steps = values.reshape(num_events, num_channels // self.factor, self.factor, length)
        longer = steps.transpose(2, 3).reshape(num_events, -1, 1, self.factor * length)
        return longer.contiguous(memory_format=torch.channels_last)


def require_share(where: str, value: object) -> None:
    """Refuse a share that is no number from 0 to below 1.

    Raises:
        ValueError: When it is not.
    """
    if not is_number(value) or not 0.0 <= value < 1.0:
        raise ValueError(
            f"{where}: out of range, got {value!r}, expected a number from 0 to below 1"
        )


def require_odd(where: str, value: int) -> None:
    """Refuse the width of a convolution that has no middle.

    Raises:
        ValueError: When it is not odd, or none from 1 to 999.
    """
    require_whole(where, value, 1, 999)
    if value % 2 == 0:
        raise ValueError(f"{where}: out of range, got {value}, expected an odd number")

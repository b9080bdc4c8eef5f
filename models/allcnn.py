"""PV-Finder's AllCNN with the perturbative branch: the best of its published networks.

Described in docs/PHYSICS.md, "Architectures". What the positions across the beam say is
learned apart and corrects what the track densities say.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from sweep.models.convolution import build_convolution, require_share, to_row
from sweep.models.head import OutputHead, require_shape, require_whole

NUM_DENSITIES = 2
NUM_POSITIONS = 2
FIRST_KERNEL_SIZE = 25
KERNEL_SIZE = 15
BEFORE_LAST_KERNEL_SIZE = 5
DENSITY_LAST_KERNEL_SIZE = 91
POSITION_LAST_KERNEL_SIZE = 31


class AllCNN(nn.Module):
    """Convolutions at full length on the two densities, times one less those on x and y.

    Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 25,
        num_layers: int = 6,
        position_size: int = 20,
        dropout: float = 0.15,
        head: str = "identity",
    ) -> None:
        """Make the network; the defaults are the published 54,136 parameters, beside the two of a
        softplus head.

        Args:
            hidden_size: Channels of the branch on the densities.
            num_layers: Its convolutions of so many channels.
            position_size: Channels of the first convolution on x and y; the next has 3 / 4 of them.
            dropout: Share of values dropped behind each activation in training.
            head: Output head of the first branch, `identity` or `softplus`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("allcnn.hidden_size", hidden_size, 1, 4096)
        require_whole("allcnn.num_layers", num_layers, 1, 32)
        require_whole("allcnn.position_size", position_size, 2, 4096)
        require_share("allcnn.dropout", dropout)
        self.densities = _build_branch(
            [NUM_DENSITIES] + [hidden_size] * num_layers, dropout, DENSITY_LAST_KERNEL_SIZE
        )
        self.positions = _build_branch(
            [NUM_POSITIONS, position_size, max(1, position_size * 3 // 4)],
            dropout,
            POSITION_LAST_KERNEL_SIZE,
        )
        self.head = OutputHead(head)
        self.is_positive = head != "identity"

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), for any L of at least one bin.

        A NaN in one event stays in that event in eval mode.

        Raises:
            ValueError: When the batch has another shape.
        """
        require_shape("allcnn", x_BCL)
        row = to_row(x_BCL)
        heights_BL: Tensor = self.head(self.densities(row[:, :NUM_DENSITIES])[:, 0, 0])
        correction_BL = self.positions(row[:, NUM_DENSITIES:])[:, 0, 0]
        corrected_BL = heights_BL * (1.0 - correction_BL)
        return functional.relu(corrected_BL) if self.is_positive else corrected_BL


def _build_branch(widths: list[int], dropout: float, last_kernel_size: int) -> nn.Sequential:
    """Build a branch: convolutions of these widths, one to a single channel, and a wide last."""
    kernel_sizes = [FIRST_KERNEL_SIZE] + [KERNEL_SIZE] * (len(widths) - 2)
    layers: list[nn.Module] = []
    for (before, after), kernel_size in zip(
        pairwise([*widths, 1]), [*kernel_sizes, BEFORE_LAST_KERNEL_SIZE], strict=True
    ):
        layers += [
            build_convolution(before, after, kernel_size),
            nn.LeakyReLU(),
            nn.Dropout(dropout),
        ]
    branch = nn.Sequential(*layers, build_convolution(1, 1, last_kernel_size))
    for layer in branch:
        if isinstance(layer, nn.Conv2d):  # without norms PyTorch's own start would fade out
            nn.init.kaiming_normal_(layer.weight, nonlinearity="leaky_relu")
    return branch

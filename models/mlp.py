"""The fully connected baseline, which the report tried and left out because it did not learn."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from sweep.models.head import (
    NUM_FEATURES,
    OutputHead,
    build_activation,
    require_shape,
    require_whole,
)

NUM_BINS = 4000


class MLP(nn.Module):
    """Layers that connect everything with everything; nothing tells them which bins are near.

    It takes events of 4000 bins only. Shapes: B events, C features, L bins.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        num_layers: int = 2,
        head: str = "identity",
        activation: str = "relu",
    ) -> None:
        """Make the network.

        Args:
            head: Output head, `identity` or `softplus`.
            activation: After each hidden layer, `none` or `relu`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("mlp.hidden_size", hidden_size, 1, 65536)
        require_whole("mlp.num_layers", num_layers, 1, 16)
        widths = [NUM_FEATURES * NUM_BINS] + [hidden_size] * num_layers
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), build_activation(activation)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden_size, NUM_BINS))
        self.head = OutputHead(head)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, 4000) to (B, 4000); a NaN stays in its event.

        Raises:
            ValueError: When the batch has another shape, other lengths included.
        """
        require_shape("mlp", x_BCL, NUM_BINS)
        heights_BL: Tensor = self.head(self.layers(x_BCL.flatten(1)))
        return heights_BL

"""The report's BiRNN: two-way LSTMs along the beam line.

Described in docs/PHYSICS.md, "Architectures".
"""

from __future__ import annotations

from torch import Tensor, nn

from sweep.models.head import (
    NUM_FEATURES,
    OutputHead,
    build_activation,
    require_shape,
    require_whole,
)

SOFTPLUS_SCALE = 20.0
"""Start of the head's scale: the mean of two numbers in -1..1 must span softplus's -14..4."""


class BiRNN(nn.Module):
    """A two-way LSTM, a second one with one cell a bin, and the mean of its two directions.

    Shapes: B events, C features, L bins, T steps (L / bins_per_step), H cells.
    """

    def __init__(
        self,
        hidden_size: int = 64,
        num_layers: int = 2,
        bins_per_step: int = 1,
        head: str = "identity",
        activation: str = "none",
    ) -> None:
        """Make the network; the defaults are the report's, with 136,216 parameters.

        Args:
            hidden_size: Cells of the first LSTM in each direction.
            num_layers: Layers of the first LSTM.
            bins_per_step: Neighbouring bins folded into one step of the LSTMs. The report has 1;
                10 makes a step ten times cheaper an event.
            head: Output head, `identity` or `softplus`.
            activation: Between the two LSTMs, `none` or `relu`.

        Raises:
            ValueError: When a size is out of range or a name unknown.
        """
        super().__init__()
        require_whole("birnn.hidden_size", hidden_size, 1, 4096)
        require_whole("birnn.num_layers", num_layers, 1, 8)
        require_whole("birnn.bins_per_step", bins_per_step, 1, 400)
        self.bins_per_step = bins_per_step
        self.lstm_1 = nn.LSTM(
            NUM_FEATURES * bins_per_step,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.lstm_2 = nn.LSTM(2 * hidden_size, bins_per_step, batch_first=True, bidirectional=True)
        self.activation = build_activation(activation)
        self.head = OutputHead(head, scale=SOFTPLUS_SCALE)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Predict a height for every bin: (B, C, L) to (B, L), within -1..1 for the identity head.

        A NaN in one event stays there.

        Raises:
            ValueError: When the batch has another shape, or L is no multiple of bins_per_step.
        """
        require_shape("birnn", x_BCL)
        num_events, _, num_bins = x_BCL.shape
        if num_bins % self.bins_per_step:
            raise ValueError(
                f"birnn: bins do not fold, got {num_bins} bins, expected a multiple of "
                f"bins_per_step={self.bins_per_step}"
            )
        num_steps = num_bins // self.bins_per_step
        x_BTF = x_BCL.transpose(1, 2).reshape(num_events, num_steps, -1)
        out_BTH, _ = self.lstm_1(x_BTF)
        out_BTP, _ = self.lstm_2(self.activation(out_BTH))
        out_BTDP = out_BTP.reshape(num_events, num_steps, 2, self.bins_per_step)
        heights_BL: Tensor = self.head(out_BTDP.mean(dim=2).reshape(num_events, num_bins))
        return heights_BL

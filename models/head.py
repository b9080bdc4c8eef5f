"""The last step of every network: from any real number to a height per bin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_FEATURES = 4
HEADS = ("identity", "softplus")
ACTIVATIONS = ("none", "relu")
START_BIAS = -16.0
"""Where a positive output starts: below the loss's epsilon of 1e-5, as ln(1e-5) = -11.5.

The ratio loss is ln cosh(ln((x + epsilon) / (y + epsilon))), so it asks for a median in log space
and nearly all bins ask for zero. From a start above epsilon the optimiser first runs down to the
null loss, and its momentum carries it on to where softplus has no slope left: a plateau of
thousands of events, or for ever. From -16 the null loss is there at once and only the peaks pull.
Measured on real-chain events (CNN, width 16, batch 16, lr 5e-3, 4,000 event-passes, one cycle):
started at -5, -8 or -10 still on the null loss; at -12 leaves it after about 3,000 or not at all,
by seed; at -13.5 and -16 within 1,000 to 2,000; at -20 slower again
(lr 1e-2). One or two seeds each.
"""


class OutputHead(nn.Module):
    """Turn the last layer's numbers into heights.

    `identity` passes them on, as the networks of the report do, and has no parameters. `softplus`
    gives softplus(scale * z + bias), always positive; scale and bias are learned, so that a
    bounded z can still reach both an empty bin (1e-6) and a peak (4).

    Shapes: B events, L bins.
    """

    def __init__(self, head: str, scale: float = 1.0) -> None:
        """Make the head.

        Raises:
            ValueError: When the head is unknown.
        """
        super().__init__()
        require_choice("head", head, HEADS)
        self.head = head
        if head == "softplus":
            self.scale = nn.Parameter(torch.tensor(float(scale)))
            self.bias = nn.Parameter(torch.tensor(START_BIAS))

    def forward(self, z_BL: Tensor) -> Tensor:
        """Turn z_BL (B, L) into heights of the same shape; NaN stays NaN."""
        if self.head == "identity":
            return z_BL
        return functional.softplus(self.scale * z_BL + self.bias)


def build_activation(activation: str, *, in_place: bool = False) -> nn.Module:
    """Build what stands between two layers: `none` (the report's choice) or `relu`.

    Args:
        in_place: Whether it may overwrite what it is given: the layer before must not learn from
            its own output, as an LSTM does, and nothing else may read that.

    Raises:
        ValueError: When the activation is unknown.
    """
    require_choice("activation", activation, ACTIVATIONS)
    return nn.ReLU(in_place) if activation == "relu" else nn.Identity()


def require_choice(where: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse a name that is none of those there are.

    Raises:
        ValueError: When it is not.
    """
    if value not in allowed:
        raise ValueError(f"{where}: unknown, got {value!r}, expected one of {allowed}")


def require_shape(where: str, x_BCL: Tensor, num_bins: int | None = None) -> None:
    """Refuse a batch a network cannot take, in words a person understands.

    Args:
        num_bins: Bins L it needs, None where any number will do.

    Raises:
        ValueError: When the batch has another shape.
    """
    fits = x_BCL.ndim == 3 and x_BCL.shape[1] == NUM_FEATURES and x_BCL.shape[2] > 0
    if not fits or (num_bins is not None and x_BCL.shape[2] != num_bins):
        bins = "L" if num_bins is None else num_bins
        raise ValueError(
            f"{where}: wrong input shape, got {tuple(x_BCL.shape)}, expected "
            f"(B, {NUM_FEATURES}, {bins})"
        )


def require_whole(where: str, value: int, low: int, high: int) -> None:
    """Refuse a size that is no whole number of a range.

    Raises:
        ValueError: When the value is no integer or outside the range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(
            f"{where}: out of range, got {value!r}, expected a whole number from {low} to {high}"
        )

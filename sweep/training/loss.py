"""The symmetric ratio loss, per event: what trials train on and what every report quotes.

The reported loss has asymmetry 0 and epsilon 1e-5 whatever a trial trained with, so that trials
compare (docs/PHYSICS.md, "Loss"). It is kept per event: means over any batching are then the same
number.

Shapes: B event, L bin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sweep.metrics.null_loss import LOSS_EPSILON

_LN_2 = math.log(2.0)
_SMALLEST = 1e-37
"""Floor of |prediction + epsilon| and |target + epsilon|, so that an exact -epsilon costs 73."""
_LARGEST_LOG_RATIO = 50.0
"""exp(-exp(50)) is already 0; beyond it exp overflows and its gradient would be 0 * inf."""


def compute_ratio_loss_B(
    prediction_BL: Tensor, target_BL: Tensor, *, asymmetry: float = 0.0
) -> Tensor:
    """Compute the ratio loss of each event: the sum over its valid bins over the number of bins.

    With r = |(x + epsilon) / (y + epsilon)|, epsilon = 1e-5, a bin costs -ln(2r / (r^2 + 1)), times
    1 + asymmetry * exp(-r) (uc-lhcb/pv-finder, model/loss.py and model/alt_loss_A.py;
    docs/PHYSICS.md, "Loss"). It is evaluated as ln cosh(ln r), which neither overflows nor
    underflows in float32. Like the reference it cannot tell -x from x where epsilon is small beside
    x.

    Args:
        prediction_BL: Predicted histograms x, shape (B, L), any floating dtype. Values at masked
            bins may be anything, NaN and inf included: they cost nothing and get gradient 0.
        target_BL: Target histograms y, shape (B, L); NaN masks a bin.
        asymmetry: Extra cost of predicting too little, at least 0; 0 is symmetric.

    Returns:
        Loss of each event, shape (B,), at least 0 up to rounding; float32, or float64 where an
        input is. An event without valid bins has loss 0. A NaN or inf prediction at a valid bin
        makes its event's loss NaN or inf. The divisor counts masked bins too, as the reference's
        4000 does.

    Raises:
        ValueError: When the shapes differ or are not (B, L), or asymmetry is negative or not
            finite.
    """
    _check_inputs(prediction_BL, target_BL, asymmetry)
    dtype = torch.promote_types(
        torch.promote_types(prediction_BL.dtype, target_BL.dtype), torch.float32
    )
    with torch.autocast(device_type=prediction_BL.device.type, enabled=False):
        valid_BL = ~torch.isnan(target_BL)
        # Masked before anything else: a NaN that meets an operation first returns as a gradient.
        x_BL = torch.where(valid_BL, prediction_BL.to(dtype), 0.0)
        y_BL = torch.where(valid_BL, target_BL.to(dtype), 0.0)
        log_ratio_BL = _compute_log(x_BL) - _compute_log(y_BL)
        distance_BL = log_ratio_BL.abs()
        cost_BL = distance_BL + torch.log1p(torch.exp(-2.0 * distance_BL)) - _LN_2
        if asymmetry > 0.0:
            ratio_BL = torch.exp(log_ratio_BL.clamp(max=_LARGEST_LOG_RATIO))
            cost_BL = cost_BL * (1.0 + asymmetry * torch.exp(-ratio_BL))
        return torch.where(valid_BL, cost_BL, 0.0).sum(dim=1) / target_BL.shape[1]


def _compute_log(value_BL: Tensor) -> Tensor:
    return (value_BL + LOSS_EPSILON).abs().clamp(min=_SMALLEST).log()


def _check_inputs(prediction_BL: Tensor, target_BL: Tensor, asymmetry: float) -> None:
    if prediction_BL.shape != target_BL.shape or target_BL.ndim != 2 or target_BL.shape[1] == 0:
        raise ValueError(
            f"ratio loss: prediction and target do not fit, got {tuple(prediction_BL.shape)} and "
            f"{tuple(target_BL.shape)}, expected one shape (events, bins); check the model's output"
        )
    if not (math.isfinite(asymmetry) and asymmetry >= 0.0):
        raise ValueError(
            f"ratio loss: asymmetry is out of range, got {asymmetry}, expected a finite number of "
            "at least 0; 0 is symmetric"
        )

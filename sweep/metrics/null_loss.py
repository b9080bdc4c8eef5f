"""The loss of predicting zero everywhere: a network near it has found nothing.

It is known from the targets alone, so that events can be described without a network's loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOSS_EPSILON = 1e-5
"""Added to prediction and target before their ratio is taken (docs/PHYSICS.md, "Loss")."""


def sum_null_loss(target_BL: NDArray[np.float32]) -> float:
    """Sum the null loss of events (docs/PHYSICS.md, "Null loss").

    The symmetric ratio loss of a prediction of zero: -ln(2 r / (r^2 + 1)), where r is
    epsilon / (y + epsilon), summed over the bins that are not masked, divided by all bins.

    Args:
        target_BL: Targets y, shape (B, L); NaN masks a bin.

    Returns:
        The sum over the events, at least 0; an event whose bins are all masked adds 0.
    """
    target = target_BL[~np.isnan(target_BL)].astype(np.float64)
    ratio = LOSS_EPSILON / (target + LOSS_EPSILON)
    return float(-np.log(2.0 * ratio / (ratio * ratio + 1.0)).sum() / target_BL.shape[1])

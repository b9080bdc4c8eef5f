"""The peak finder of `sweep.metrics.peaks` for tensors on any device.

Shapes: B event, L bin, S active or NaN bin.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sweep.metrics.peaks import THRESHOLD, Peaks, check_shape, judge_bins


def find_peaks(histogram_BL: Tensor) -> Peaks[Tensor]:
    """Find the peaks of each histogram, as `sweep.metrics.peaks.find_peaks` does.

    One pass over all bins is made where they are; only those that are not plainly low travel.

    Args:
        histogram_BL: Truth or prediction, shape (B, L), compared as float32. NaN is allowed.

    Returns:
        The peaks, on the histogram's device; empty lists when there are none.

    Raises:
        ValueError, NotFiniteError: As there.
    """
    check_shape(tuple(histogram_BL.shape))
    flat = histogram_BL.detach().to(torch.float32).reshape(-1)
    is_low = (flat < float(np.float32(THRESHOLD))).logical_and_(flat > -math.inf)
    index_S = torch.nonzero(is_low.logical_not_()).view(-1)
    peaks = judge_bins(flat[index_S].cpu().numpy(), index_S.cpu().numpy(), histogram_BL.shape[1])
    return Peaks(
        position_P=torch.from_numpy(peaks.position_P).to(histogram_BL.device),
        event_P=torch.from_numpy(peaks.event_P).to(histogram_BL.device),
    )

"""What a network should answer: the target histogram and its mask.

Both are the reference's (docs/PHYSICS.md, "Target"; docs/PHYSICS.md, "Mask").
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MIN_MM

HALF_WINDOW_BINS = 5
"""A vertex fills the bin below or at its position and five on each side."""

REFERENCE_SIGMA_MM = 0.15
"""A vertex narrower than this gets its area enlarged by the ratio."""

FEW_TRACKS_SIGMA_MM = 0.1
MIN_TRACKS_FOR_RESOLUTION = 4
MASK_THRESHOLD = 0.01


def compute_resolution_mm(num_tracks: int) -> float:
    """Compute the expected position resolution of a vertex along the beam.

    Args:
        num_tracks: Charged particles in acceptance, at least 0.

    Returns:
        0.001 (926 n^-0.84 + 10.7) mm for 4 tracks or more (LHCb-PUB-2017-005), else 0.1 mm.
    """
    if num_tracks < MIN_TRACKS_FOR_RESOLUTION:
        return FEW_TRACKS_SIGMA_MM
    return float(0.001 * (926.0 * num_tracks**-0.84 + 10.7))


def fill_targets(
    z_mm: NDArray[np.floating], num_tracks: NDArray[np.integer], is_wanted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Draw vertices into two histograms, each as a Gaussian as wide as its resolution.

    Bin contents are CDF differences over the window of 11 bins around floor((z + 99.95) * 10), as
    in uc-lhcb/pv-finder, model/origdata_mdsA.py (docs/PHYSICS.md, "Target"). Its edge faults are
    not repeated: a window that leaves the histogram is clipped, neither wrapped to the other end
    nor dropped. Contributions of close vertices add.

    Args:
        num_tracks: Charged particles in acceptance, shape (V,), at least 0.
        is_wanted: Which vertices the first histogram is for, shape (V,); the second has the others.

    Returns:
        Histograms, shape (2, 4000), at least 0; a vertex beyond -99.95 < z < 299.95 adds nothing.
    """
    histograms = np.zeros((2, NUM_BINS))
    first_center_mm = Z_MIN_MM + 0.5 * BIN_WIDTH_MM
    last_center_mm = first_center_mm + (NUM_BINS - 1) * BIN_WIDTH_MM
    chosen = (z_mm > first_center_mm) & (z_mm < last_center_mm)
    z_V = z_mm[chosen].astype(np.float64)
    sigma_V = np.array([compute_resolution_mm(number) for number in num_tracks[chosen].tolist()])
    center_V = np.floor((z_V - first_center_mm) / BIN_WIDTH_MM).astype(np.int64)
    bin_VW = center_V[:, None] + np.arange(-HALF_WINDOW_BINS, HALF_WINDOW_BINS + 2)
    distance_VW = Z_MIN_MM + BIN_WIDTH_MM * bin_VW - z_V[:, None]
    argument_VW = distance_VW / (sigma_V * math.sqrt(2.0))[:, None]
    cdf_VW = np.array([0.5 * math.erf(argument) for argument in argument_VW.ravel().tolist()])
    content_VW = np.diff(cdf_VW.reshape(bin_VW.shape))
    content_VW *= np.maximum(1.0, REFERENCE_SIGMA_MM / sigma_V)[:, None]
    is_inside = (bin_VW[:, :-1] >= 0) & (bin_VW[:, :-1] < NUM_BINS)
    row_VW = np.where(is_wanted[chosen], 0, 1)[:, None] + np.zeros_like(bin_VW[:, :-1])
    place = row_VW[is_inside], bin_VW[:, :-1][is_inside]
    np.add.at(histograms, place, content_VW[is_inside])
    return histograms


def mask_target(target: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mask the bins of vertices with too few tracks to be asked for (docs/PHYSICS.md, "Mask").

    Args:
        target: Histogram of the vertices to find, at least 0, any shape.
        other: Histogram of the other vertices, same shape.

    Returns:
        The target, NaN where `other` is above 0.01 and the target itself below 0.01
        (uc-lhcb/pv-finder, model/collectdata*.py).
    """
    masked = (other > MASK_THRESHOLD) & (target < MASK_THRESHOLD)
    return np.where(masked, np.float32(np.nan), target)

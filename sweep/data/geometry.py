"""The bins of every event, target and prediction (docs/PHYSICS.md, "Histogram")."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_FEATURES = 4
NUM_BINS = 4000
BIN_WIDTH_MM = 0.1
Z_MIN_MM = -100.0
Z_MAX_MM = Z_MIN_MM + NUM_BINS * BIN_WIDTH_MM
FEATURE_PER_MM = 2.0
"""Features 2 and 3 are x and y in mm times this (docs/PHYSICS.md, "Features")."""


def compute_bin_centers_mm() -> NDArray[np.float64]:
    """Compute the centre of each bin along the beam line.

    Returns:
        Positions in mm, shape (4000,), from -99.95 to 299.95 (uc-lhcb/pv-finder,
        ana/compute_over.h).
    """
    return Z_MIN_MM + (np.arange(NUM_BINS, dtype=np.float64) + 0.5) * BIN_WIDTH_MM


def to_mm(position_P: ArrayLike) -> NDArray[np.float64]:
    """Turn positions in bins, where the centre of bin i is at i, into mm along the beam line."""
    return Z_MIN_MM + (np.asarray(position_P, dtype=np.float64) + 0.5) * BIN_WIDTH_MM

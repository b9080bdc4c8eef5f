"""The reference's walk along the bins of histograms, compiled: what adds bins up on a CPU.

It is in a module of its own, because numba compiles or loads on import, and most commands never
look for a peak. `sweep/training/walk.cu` is the same walk for a GPU.

Shapes: B event, L bin, K bin of a block, P region that is kept.
"""

from __future__ import annotations

import numba
import numpy as np

BLOCK = 16
"""Bins that are passed together where all of them are low: a processor compares them at once."""

ZERO = np.float32(0)
LOWEST = np.float32(-np.inf)
HIGHEST = np.float32(np.inf)


# numba infers the types of what it compiles: these functions carry none
@numba.njit(nogil=True, cache=True, error_model="numpy")
def walk(histogram_BL, threshold, least_integral, min_width):  # type: ignore[no-untyped-def]
    """Walk along each histogram bin by bin in float32, as the reference does.

    Bins of at least the threshold add to a region; a lower bin ends it, and so does the last one. A
    NaN bin does neither, so a region goes on beyond it. A region of enough bins and integral is
    kept. The reference's i * v is an integer times a float32, hence float64; so is its sum with the
    float32 total, which is then rounded to float32.

    Args:
        histogram_BL: float32, each event's bins side by side.
        threshold, least_integral: float32.

    Returns:
        Position, height, integral, all float32, and width of the regions that are kept, in order,
        shape (P,); how many each event has, shape (B,); how many bins are infinite; how many
        regions of enough bins have sums that are not finite, whether kept or not.
    """
    num_events, num_bins = histogram_BL.shape
    most = num_events * (num_bins // (min_width + 1) + 1)
    values_3P, width_P = np.empty((3, most), np.float32), np.empty(most, np.int64)
    count_B = np.empty(num_events, np.int64)
    num_kept = num_infinite = num_overflows = 0
    for event in range(num_events):
        num_before = num_kept
        width, height, integral, weighted = 0, ZERO, ZERO, ZERO
        for first in range(0, num_bins, BLOCK):
            block_K = histogram_BL[event, first : first + BLOCK]
            if width == 0 and _is_low(block_K, threshold):
                continue
            for offset in range(len(block_K)):
                index, value = first + offset, block_K[offset]
                if value >= threshold:
                    width += 1
                    height = max(height, value)
                    integral += value
                    weighted = np.float32(np.float64(weighted) + index * np.float64(value))
                    num_infinite += value == HIGHEST
                num_infinite += value == LOWEST
                if width > 0 and (value < threshold or index == num_bins - 1):
                    if width >= min_width:
                        num_overflows += not (np.isfinite(integral) and np.isfinite(weighted))
                        if integral >= least_integral:
                            values_3P[0, num_kept] = weighted / integral
                            values_3P[1, num_kept] = height
                            values_3P[2, num_kept] = integral
                            width_P[num_kept] = width
                            num_kept += 1
                    width, height, integral, weighted = 0, ZERO, ZERO, ZERO
        count_B[event] = num_kept - num_before
    position_P, height_P, integral_P = values_3P[:, :num_kept].copy()
    kept = position_P, height_P, integral_P, width_P[:num_kept].copy()
    return kept, count_B, num_infinite, num_overflows


@numba.njit(nogil=True, cache=True, inline="always")
def _is_low(block_K, threshold):  # type: ignore[no-untyped-def]
    """Say whether all bins are finite and below the threshold: they change nothing."""
    num_others = np.int32(0)
    for offset in range(len(block_K)):
        value = block_K[offset]
        num_others += np.int32(not ((value < threshold) & (value > LOWEST)))
    return num_others == 0

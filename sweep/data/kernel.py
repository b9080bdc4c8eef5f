"""The kernel density estimate of an event's tracks along the beam line.

Its definition is the reference's (docs/PHYSICS.md, "Kernel"). At each bin centre the tracks are
points in the transverse plane. The density there is K(x, y) = S1 - S2 / S1 with S1 = sum p, S2 =
sum p^2 and p a track's Gaussian, so that one track alone gives nothing. The estimate is the largest
K and the place where it is found: the best point of a 9 x 9 grid, then Newton's method on log K
with its analytic derivatives. PV-Finder's own (uc-lhcb/pv-finder, ana/) climbs from the same grid
point with MINUIT.

A maximum moves some 2 um from bin to bin. So every second bin has a grid, every eighth climbs from
it, and the others from the middle between neighbours that agree; where those of a bin without a
grid do not, it climbs from both, and the higher maximum is taken.

Nothing but IEEE additions, multiplications, divisions and square roots in a fixed order is used
(numba keeps the order as long as `fastmath` is off, and the exponential is written out), so that a
set of toy events has the same content on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MIN_MM
from sweep.data.kernel_climb import (
    AT_BIN,
    AT_X,
    AT_Y,
    LIMIT_MM,
    MAX_LANES,
    NUM_CLIMB_ROWS,
    NUM_LANE_ROWS,
    K,
    climb,
)
from sweep.data.kernel_grid import (
    BLOCK_BINS,
    GRID_FIRST_MM,
    GRID_STEP_MM,
    GRID_STRIDE,
    NUM_GRID,
    NUM_GRID_LANES,
    NUM_TRACK_ROWS,
    find_starts,
)
from sweep.data.toy_event import Tracks
from sweep.machine.compiled import compiled

SIGMA_MM = 0.05
SIGMA_PER_CHI2_MM = 0.0125
MAX_GOOD_CHI2 = 6.0
"""Tracks with chi2 / 3 above 2 are drawn wider: 0.05 + 0.0125 (chi2 - 2) mm."""

WINDOW_MM = 0.5
"""A track says nothing further than this from it, in x or in y."""

WINDOW_SIGMAS = 7.3
"""Nor further than so many sigma: less than 1e-10 of its height."""

FIRST_STRIDE = 8
"""One of so many bins climbs from its grid point, and the others from between their neighbours'."""

NEAR_MM = 0.05
"""Neighbours' maxima this close are one and the same."""

SLACK_MM = 1e-6
"""Far above a rounding."""

NUM_BLOCKS = -(-NUM_BINS // BLOCK_BINS)
"""The last one may have bins that nobody asks for."""


def compute_kernel(
    tracks: Tracks,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the density estimate of one event and where it is found.

    Releases the GIL: threads that call it run side by side.

    Returns:
        The estimate in 1 / mm^2 (N equal tracks give (N - 1) * 63.7), x in mm and y in mm, each
        shape (4000,); all three are 0 where fewer than two tracks pass within 0.5 mm of the beam
        line in x and y, or where no grid point and no neighbour has a density to begin with.
    """
    columns = map(np.ascontiguousarray, vars(tracks).values())  # it is compiled for each layout
    kernel, best_x_mm, best_y_mm = _compute_kernel(*columns)
    return kernel, best_x_mm, best_y_mm


# numba infers the types of what it compiles: these functions carry none
@compiled(error_model="numpy")
def _compute_kernel(x_mm, y_mm, z_mm, slope_x, slope_y, chi2):  # type: ignore[no-untyped-def]
    around = np.empty((NUM_TRACK_ROWS, len(x_mm)), dtype=np.float32)
    beside = np.empty((NUM_TRACK_ROWS, len(x_mm)), dtype=np.float32)
    lines = np.empty((2, NUM_GRID, NUM_GRID_LANES), dtype=np.float32)
    sums = np.empty((2, NUM_GRID, NUM_GRID, NUM_GRID_LANES), dtype=np.float32)
    best = np.empty(NUM_GRID_LANES, dtype=np.float32)
    points = np.empty(NUM_GRID_LANES, dtype=np.int32)
    central = np.empty(BLOCK_BINS, dtype=np.int32)
    lanes = np.zeros(NUM_LANE_ROWS * MAX_LANES, dtype=np.float32)
    climbs = np.empty((NUM_CLIMB_ROWS, MAX_LANES))
    active = np.empty(MAX_LANES, dtype=np.int64)
    estimate = np.zeros((3, NUM_BLOCKS * BLOCK_BINS))
    for first in range(0, NUM_BINS, BLOCK_BINS):
        z = Z_MIN_MM + (first + 0.5) * BIN_WIDTH_MM
        num_around = _find_tracks(x_mm, y_mm, z_mm, slope_x, slope_y, chi2, z, around)
        if num_around < 2:
            continue
        find_starts(around, num_around, lines, sums, best, points)
        _count_central(around, num_around, central)
        stride = step = FIRST_STRIDE
        while stride > 0:
            number = 0
            for lane in range(stride - 1, BLOCK_BINS, step):
                if central[lane] > 1:
                    number = _choose_starts(
                        estimate, first, lane, stride, best, points, climbs, number
                    )
            climb(around, num_around, beside, lanes, climbs, active, number)
            _keep_highest(estimate, first, climbs, number)
            step = stride
            stride //= 2
    return estimate[0, :NUM_BINS], estimate[1, :NUM_BINS], estimate[2, :NUM_BINS]


@compiled(inline="always")
def _keep_highest(estimate, first, climbs, number):  # type: ignore[no-untyped-def]
    for i in range(number):
        index = first + int(climbs[AT_BIN, i])
        if climbs[K, i] > estimate[0, index]:
            estimate[0, index] = climbs[K, i]
            estimate[1, index] = climbs[AT_X, i]
            estimate[2, index] = climbs[AT_Y, i]


@compiled(inline="always")
def _choose_starts(estimate, first, lane, stride, best, points, climbs, number):  # type: ignore[no-untyped-def]
    """Add the places where a bin's climbs begin; returns how many climbs there are now."""
    left, right = max(first + lane - stride, 0), min(first + lane + stride, estimate.shape[1] - 1)
    has_left, has_right = estimate[0, left] > 0.0, estimate[0, right] > 0.0
    left_x, left_y = estimate[1, left], estimate[2, left]
    right_x, right_y = estimate[1, right], estimate[2, right]
    agree = has_left and has_right and max(abs(left_x - right_x), abs(left_y - right_y)) < NEAR_MM
    middle_x, middle_y = 0.5 * (left_x + right_x), 0.5 * (left_y + right_y)
    i = lane // GRID_STRIDE
    if lane % GRID_STRIDE == GRID_STRIDE - 1 and best[i] > 0.0:
        x = GRID_FIRST_MM + GRID_STEP_MM * (points[i] // NUM_GRID)
        y = GRID_FIRST_MM + GRID_STEP_MM * (points[i] % NUM_GRID)
        if agree and max(abs(middle_x - x), abs(middle_y - y)) < GRID_STEP_MM:
            x, y = middle_x, middle_y
        number = _begin(climbs, number, lane, x, y)
    elif agree:
        number = _begin(climbs, number, lane, middle_x, middle_y)
    else:
        if has_left:
            number = _begin(climbs, number, lane, left_x, left_y)
        if has_right:
            number = _begin(climbs, number, lane, right_x, right_y)
    return number


@compiled(inline="always")
def _begin(climbs, number, lane, x, y):  # type: ignore[no-untyped-def]
    climbs[AT_X, number], climbs[AT_Y, number], climbs[AT_BIN, number] = x, y, lane
    return number + 1


@compiled(inline="always")
def _find_tracks(x_mm, y_mm, z_mm, slope_x, slope_y, chi2, begin_mm, around):  # type: ignore[no-untyped-def]
    """Describe the tracks that say something in a block."""
    num_around = 0
    for track in range(len(x_mm)):
        along = begin_mm - z_mm[track]
        step_x, step_y = slope_x[track] * BIN_WIDTH_MM, slope_y[track] * BIN_WIDTH_MM
        x, y = x_mm[track] + slope_x[track] * along, y_mm[track] + slope_y[track] * along
        x_end, y_end = x + (BLOCK_BINS - 1) * step_x, y + (BLOCK_BINS - 1) * step_y
        nearest = max(
            max(min(x, x_end), -max(x, x_end)),
            max(min(y, y_end), -max(y, y_end)),
        )
        sigma = SIGMA_MM
        if chi2[track] > MAX_GOOD_CHI2:
            sigma += (chi2[track] - 2.0) * SIGMA_PER_CHI2_MM
        reach = min(WINDOW_MM, WINDOW_SIGMAS * sigma)
        if nearest < LIMIT_MM + reach + SLACK_MM:
            around[0, num_around], around[1, num_around] = x, y
            around[2, num_around], around[3, num_around] = step_x, step_y
            around[4, num_around] = 1.0 / (sigma * sigma)
            around[5, num_around] = 1.0 / (sigma * math.sqrt(2.0 * math.pi))
            around[6, num_around] = reach
            num_around += 1
    return num_around


@compiled(inline="always")
def _count_central(around, num_around, central):  # type: ignore[no-untyped-def]
    """Count the tracks that pass close to the beam line."""
    window = np.float32(WINDOW_MM)
    central[:] = 0
    for track in range(num_around):
        x, y = around[0, track], around[1, track]
        step_x, step_y = around[2, track], around[3, track]
        for lane in range(BLOCK_BINS):
            is_near_x = abs(x + step_x * np.float32(lane)) < window
            is_near_y = abs(y + step_y * np.float32(lane)) < window
            central[lane] += np.int32(is_near_x & is_near_y)

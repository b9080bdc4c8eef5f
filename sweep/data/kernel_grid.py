"""Where on a grid an event's density is largest, in a block of neighbouring bins at once.

A lane is a bin. A processor takes several lanes in one instruction, while each lane's sums run over
the tracks in their order, so that a set of events has the same content on every machine.
"""

from __future__ import annotations

import math

import numpy as np

from sweep.machine.compiled import compiled

BLOCK_BINS = 64
"""Neighbours whose tracks are looked for together; a multiple of the strides."""

GRID_STRIDE = 2
"""Of so many bins the last one is looked at: a maximum moves some 2 um from bin to bin."""

NUM_GRID_LANES = BLOCK_BINS // GRID_STRIDE

NUM_TRACK_ROWS = 7
"""Of tracks in a block: x and y in its first bin, their steps to the next one, 1 / sigma^2, the
height of a Gaussian along one axis, and how far from it a track says something, in x or in y."""

NUM_GRID = 9
GRID_FIRST_MM = -0.4
GRID_STEP_MM = 0.1

MIN_DENSITY = 1e-9
"""The estimate is 0 where S1 is below this, in 1 / mm^2."""

SCALE = 2.0**20
"""Times a Gaussian along an axis, so that no product of four is too small for a float32."""

SMALLEST_SUM = np.float32(MIN_DENSITY * SCALE * SCALE)
NOTHING, ONE, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
THIRD, ROOT = np.float32(1.0 / 3.0), np.float32(1.0 / 256.0)


# numba infers the types of what it compiles: these functions carry none
@compiled(inline="always")
def compute_exponential(argument):  # type: ignore[no-untyped-def]
    """Return e^argument as (e^(argument / 256))^256, the inner one by Taylor's series.

    The relative error is below 2e-5 for arguments above -10.
    """
    f = argument * ROOT
    power = ONE + f * (ONE + f * HALF * (ONE + f * THIRD))
    for _ in range(8):
        power = power * power
    return power


@compiled(error_model="numpy")
def find_starts(around, num_around, lines, sums, best, points):  # type: ignore[no-untyped-def]
    """Find the grid point with the largest K in every second bin of a block.

    K = S1 - S2 / S1 is twice the sum of p_i p_j over pairs of tracks, over S1: no digits cancel.

    Args:
        around: Rows of tracks.
        lines: Room for a track's Gaussians along both axes, (2, 9, lanes).
        sums: Room for the sums of p and of p_i p_j at each point, (2, 9, 9, lanes).
        best: Filled with the largest K of each lane, in a unit of its own.
        points: Filled with where it is, i * 9 + j.
    """
    sums[:] = NOTHING
    for track in range(num_around):
        first_x, last_x = _fill_lines(around, track, 0, lines[0])
        first_y, last_y = _fill_lines(around, track, 1, lines[1])
        columns = lines[1, first_y:last_y]
        for i in range(first_x, last_x):
            _add(lines[0, i], columns, sums[0, i, first_y:last_y], sums[1, i, first_y:last_y])
    best[:] = NOTHING
    for i in range(NUM_GRID):
        for j in range(NUM_GRID):
            _compare(sums[0, i, j], sums[1, i, j], np.int32(i * NUM_GRID + j), best, points)


@compiled(error_model="numpy")
def _fill_lines(around, track, axis, lines):  # type: ignore[no-untyped-def]
    """Fill a track's Gaussian at the coordinates that it reaches; returns their range."""
    x, step = around[axis, track], around[2 + axis, track]
    begin_mm = x + step * np.float32(GRID_STRIDE - 1)
    end_mm = x + step * np.float32(BLOCK_BINS - 1)
    reach = around[6, track]
    low = (min(begin_mm, end_mm) - reach - GRID_FIRST_MM) / GRID_STEP_MM
    high = (max(begin_mm, end_mm) + reach - GRID_FIRST_MM) / GRID_STEP_MM
    first = math.ceil(min(max(low, 0.0), float(NUM_GRID)))
    last = math.floor(min(max(high, -1.0), NUM_GRID - 1.0)) + 1
    height = np.float32(SCALE) * around[5, track]
    half = -HALF * around[4, track]
    step *= np.float32(GRID_STRIDE)
    rows = lines[first:last]
    for line in range(rows.shape[0]):
        from_mm = begin_mm - np.float32(GRID_FIRST_MM + GRID_STEP_MM * (first + line))
        for lane in range(NUM_GRID_LANES):
            distance = from_mm + step * np.float32(lane)
            inside = ONE if abs(distance) <= reach else NOTHING
            rows[line, lane] = (
                inside * height * compute_exponential(inside * half * distance * distance)
            )
    return first, max(first, last)


@compiled(inline="always")
def _add(row, columns, sums, pairs):  # type: ignore[no-untyped-def]
    """Add a track's Gaussian, the product of those along the axes, at points with the same x."""
    for j in range(columns.shape[0]):
        for lane in range(NUM_GRID_LANES):
            p = row[lane] * columns[j, lane]
            pairs[j, lane] += p * sums[j, lane]
            sums[j, lane] += p


@compiled(inline="always")
def _compare(sums, pairs, point, best, points):  # type: ignore[no-untyped-def]
    for lane in range(NUM_GRID_LANES):
        s = sums[lane]
        value = pairs[lane] / s if s >= SMALLEST_SUM else NOTHING
        is_better = value > best[lane]
        best[lane] = value if is_better else best[lane]
        points[lane] = point if is_better else points[lane]

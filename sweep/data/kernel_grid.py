"""Where on a grid an event's density is largest, found quickly and yet as defined.

All points of the grid are computed roughly, with a bound of the error; only those that could be the
largest are then computed as defined, which is seldom more than one. So what is found does not
depend on how the rough sums were rounded, on any machine.
"""

from __future__ import annotations

import math

import numpy as np

from sweep.data.geometry import BIN_WIDTH_MM
from sweep.machine.compiled import compiled

WINDOW_MM = 0.5
"""A track says nothing further than this from it, in x or in y."""

NUM_GRID = 9
GRID_FIRST_MM = -0.4
GRID_STEP_MM = 0.1
MIN_DENSITY = 1e-9
"""The estimate is 0 where S1 is below this, in 1 / mm^2."""

SIGMA_MM = 0.05

SMALLEST_FACTOR = 1e-9
"""Smaller ones of the quick Gaussians are left out: a square of two is still a float32."""

SMALLEST_ARGUMENT = -23.0
"""Of an exponential that makes any of them smaller."""

REGISTER_LENGTH = 8

FLOAT32_ROUNDING = 2.0**-24
ROUNDINGS = 64
"""Of a quick sum, beside one for each track."""

PART_LENGTH = 64
"""Tracks whose Gaussians are held side by side."""

NUM_POINTS = NUM_GRID * NUM_GRID
S2 = 96
"""Where the points' S2 begin, after their S1."""

ALWAYS_SEEN_MM = 0.099
"""A track this close to the middle is seen from all of an axis."""

GRID_MM = GRID_FIRST_MM + GRID_STEP_MM * np.arange(NUM_GRID)

MIDDLE, FALL, BEND, U, U_STEP, V, V_STEP, NARROWING = range(0, 8 * PART_LENGTH, PART_LENGTH)
"""Rows of a part of the tracks for one axis: e^(-w x^2 / 2), what that changes by to the next bin,
and what this changes by; u = e^(w h x), and 1 / u, each with its change; e^(-w h^2 / 2)."""

AXIS_SIZE = 8 * PART_LENGTH
PART_SIZE = 2 * AXIS_SIZE


# numba infers the types of what it compiles: these functions carry none
@compiled(inline="always")
def compute_root(argument):  # type: ignore[no-untyped-def]
    """Return e^(argument / 256)."""
    f = argument * (1.0 / 256.0)
    power = 1.0 / 362880.0
    power = power * f + 1.0 / 40320.0
    power = power * f + 1.0 / 5040.0
    power = power * f + 1.0 / 720.0
    power = power * f + 1.0 / 120.0
    power = power * f + 1.0 / 24.0
    power = power * f + 1.0 / 6.0
    power = power * f + 0.5
    power = power * f + 1.0
    return power * f + 1.0


@compiled(inline="always")
def raise_root(power):  # type: ignore[no-untyped-def]
    """Return power^256."""
    for _ in range(8):
        power = power * power
    return power


@compiled(inline="always")
def compute_exponential(argument):  # type: ignore[no-untyped-def]
    """Return e^argument as (e^(argument / 256))^256, the inner one by Taylor's series.

    The relative error is below 1e-13 for arguments above -30 and 1e-8 down to -100.
    """
    return raise_root(compute_root(argument))


@compiled(error_model="numpy")
def follow_tracks(seen, num_seen, z_mm, parts):  # type: ignore[no-untyped-def]
    """Begin to follow the tracks' Gaussians along z, a bin at a time.

    Args:
        seen: Rows of x, y, z, slopes in x and y, 1 / sigma^2, that / (2 pi).
        parts: Room for `PART_SIZE` numbers for each `PART_LENGTH` tracks.
    """
    for first in range(0, num_seen, PART_LENGTH):
        number = min(num_seen - first, PART_LENGTH)
        for axis in range(2):
            rows = _get_rows(parts, first, axis)
            for track in range(number):
                column = first + track
                w = seen[5, column]
                x = seen[axis, column] + seen[3 + axis, column] * (z_mm - seen[2, column])
                step = seen[3 + axis, column] * BIN_WIDTH_MM
                rows[MIDDLE + track] = math.sqrt(seen[6, column]) * _fall(w * x * x)
                rows[FALL + track] = _fall(w * (2.0 * x + step) * step)
                rows[BEND + track] = _fall(2.0 * w * step * step)
                rows[U + track] = _fall(-2.0 * w * GRID_STEP_MM * x)
                rows[U_STEP + track] = _fall(-2.0 * w * GRID_STEP_MM * step)
                rows[V + track] = 1.0 / rows[U + track]
                rows[V_STEP + track] = 1.0 / rows[U_STEP + track]
                rows[NARROWING + track] = _fall(w * GRID_STEP_MM * GRID_STEP_MM)
            for row in range(0, AXIS_SIZE, PART_LENGTH):
                for track in range(number, _pad(number)):
                    rows[row + track] = 0.0


@compiled(inline="always")
def _get_rows(parts, first, axis):  # type: ignore[no-untyped-def]
    start = first // PART_LENGTH * PART_SIZE + axis * AXIS_SIZE
    return parts[start : start + AXIS_SIZE]


@compiled(inline="always")
def _pad(number):  # type: ignore[no-untyped-def]
    """Round up to whole vector registers."""
    return number + -number % REGISTER_LENGTH


@compiled()
def _fall(argument):  # type: ignore[no-untyped-def]
    """Return e^(-argument / 2) to 1e-6 of it down to e^-500."""
    power = compute_exponential(-0.125 * argument)
    power = power * power
    return power * power


@compiled()
def go_to_next_bin(num_seen, parts):  # type: ignore[no-untyped-def]
    """Take the Gaussians a bin further."""
    for first in range(0, num_seen, PART_LENGTH):
        number = _pad(min(num_seen - first, PART_LENGTH))
        for axis in range(2):
            rows = _get_rows(parts, first, axis)
            for track in range(number):
                rows[MIDDLE + track] *= rows[FALL + track]
                rows[FALL + track] *= rows[BEND + track]
                rows[U + track] *= rows[U_STEP + track]
                rows[V + track] *= rows[V_STEP + track]


@compiled()
def find_candidates(seen, num_seen, z_mm, parts, lines, sums, found):  # type: ignore[no-untyped-def]
    """Find the grid points that could have the largest K, in order.

    Args:
        parts: What `follow_tracks` began, at z.
        lines, sums: Room for the Gaussians, and for the sums.
        found: Room for the numbers of the points, i * 9 + j.

    Returns:
        How many there are, and whether the largest K is surely positive.
    """
    for point in range(len(sums)):
        sums[point] = np.float32(0.0)
    for first in range(0, num_seen, PART_LENGTH):
        last = min(first + PART_LENGTH, num_seen)
        number = _pad(last - first)
        for axis in range(2):
            _fill_lines(_get_rows(parts, first, axis), number, lines[axis])
        for track in range(first, last):
            if seen[5, track] * WINDOW_MM * WINDOW_MM < -2.0 * SMALLEST_ARGUMENT:
                _hide(seen, track, z_mm, lines, track - first)
        _sum_lines(lines, number, sums)
    relative = np.float32(3.0 * (num_seen + ROUNDINGS) * FLOAT32_ROUNDING)
    height = 1.0 / (2.0 * math.pi * SIGMA_MM * SIGMA_MM)
    absolute = np.float32(3.0 * num_seen * SMALLEST_FACTOR * height)
    floor = _bound_points(sums, relative, absolute)
    num_found, total = _count_points(sums, floor)
    found[0] = total
    if num_found > 1:
        num_found = 0
        for point in range(NUM_POINTS):
            if sums[S2 + point] >= floor:
                found[num_found] = point
                num_found += 1
    return num_found, floor > 0.0


@compiled(fastmath=True, error_model="numpy")
def _bound_points(sums, relative, absolute):  # type: ignore[no-untyped-def]
    """Put the most that K may be in the place of S2; returns the least that the largest is."""
    for point in range(NUM_POINTS):
        s = sums[point]
        quick = s - sums[S2 + point] / (s + np.float32(1e-30))
        error = relative * s + absolute
        sums[S2 + point] = quick + error
        sums[point] = quick - error
    floor = np.float32(0.0)
    for point in range(NUM_POINTS):
        lower = sums[point]
        floor = lower if lower > floor else floor
    return floor * np.float32(1.0 - 1e-6)


@compiled()
def _count_points(sums, floor):  # type: ignore[no-untyped-def]
    """Count the points that may reach the floor; returns that and the sum of their numbers."""
    number = total = np.int32(0)
    for point in range(NUM_POINTS):
        may = np.int32(sums[S2 + point] >= floor)
        number += may
        total += may * np.int32(point)
    return number, total


@compiled(fastmath=True)
def _fill_lines(rows, number, lines):  # type: ignore[no-untyped-def]
    """Fill the tracks' Gaussians at the grid coordinates of an axis.

    With the grid's step h, e^(-w (x - k h)^2 / 2) is e^(-w x^2 / 2) u^k c^(k^2), where u is
    e^(w h x) and c is e^(-w h^2 / 2).
    """
    for track in range(number):
        middle, c = rows[MIDDLE + track], rows[NARROWING + track]
        step_1, step_back_1 = c * rows[U + track], c * rows[V + track]
        cc = c * c
        step_2, step_back_2 = step_1 * cc, step_back_1 * cc
        step_3, step_back_3 = step_2 * cc, step_back_2 * cc
        after_1, before_1 = middle * step_1, middle * step_back_1
        after_2, before_2 = after_1 * step_2, before_1 * step_back_2
        after_3, before_3 = after_2 * step_3, before_2 * step_back_3
        lines[track] = _cut(before_3 * step_back_3 * cc)
        lines[PART_LENGTH + track] = _cut(before_3)
        lines[2 * PART_LENGTH + track] = _cut(before_2)
        lines[3 * PART_LENGTH + track] = _cut(before_1)
        lines[4 * PART_LENGTH + track] = _cut(middle)
        lines[5 * PART_LENGTH + track] = _cut(after_1)
        lines[6 * PART_LENGTH + track] = _cut(after_2)
        lines[7 * PART_LENGTH + track] = _cut(after_3)
        lines[8 * PART_LENGTH + track] = _cut(after_3 * step_3 * cc)


@compiled(inline="always")
def _cut(value):  # type: ignore[no-untyped-def]
    return np.float32(value if value > SMALLEST_FACTOR else 0.0)


@compiled()
def _hide(seen, track, z_mm, lines, column):  # type: ignore[no-untyped-def]
    """Leave a wide Gaussian out where the track is too far to be seen."""
    along = z_mm - seen[2, track]
    for axis in range(2):
        x = seen[axis, track] + seen[3 + axis, track] * along
        if abs(x) > ALWAYS_SEEN_MM:
            for line in range(NUM_GRID):
                if abs(x - GRID_MM[line]) > WINDOW_MM:
                    lines[axis, line * PART_LENGTH + column] = np.float32(0.0)


@compiled(fastmath=True, error_model="numpy")
def _sum_lines(lines, number, sums):  # type: ignore[no-untyped-def]
    """Add to S1 and S2 at the grid points; a track's Gaussian is a product of two grid lines."""
    for i in range(NUM_GRID):
        row = lines[0, i * PART_LENGTH : i * PART_LENGTH + number]
        for j in range(0, NUM_GRID, 3):
            column_0 = lines[1, j * PART_LENGTH : j * PART_LENGTH + number]
            column_1 = lines[1, (j + 1) * PART_LENGTH : (j + 1) * PART_LENGTH + number]
            column_2 = lines[1, (j + 2) * PART_LENGTH : (j + 2) * PART_LENGTH + number]
            s_0 = s_1 = s_2 = q_0 = q_1 = q_2 = np.float32(0.0)
            for track in range(number):
                p_0 = row[track] * column_0[track]
                p_1 = row[track] * column_1[track]
                p_2 = row[track] * column_2[track]
                s_0 += p_0
                s_1 += p_1
                s_2 += p_2
                q_0 += p_0 * p_0
                q_1 += p_1 * p_1
                q_2 += p_2 * p_2
            point = i * NUM_GRID + j
            sums[point] += s_0
            sums[point + 1] += s_1
            sums[point + 2] += s_2
            sums[S2 + point] += q_0
            sums[S2 + point + 1] += q_1
            sums[S2 + point + 2] += q_2

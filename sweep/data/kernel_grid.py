"""Where on a grid an event's density is largest, found quickly and yet as defined.

All points of the grid are computed roughly, with a bound of the error; only those that could be the
largest are then computed as defined, which is seldom more than one. So what is found does not
depend on how the rough sums were rounded, on any machine.
"""

from __future__ import annotations

import math

import numpy as np

from sweep.compiled import compiled

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

FLOAT32_ROUNDING = 2.0**-24
ROUNDINGS = 64
"""Of a quick sum, beside one for each track."""

REGISTER_LENGTH = 4
"""Numbers in a vector register: tracks are filled up to a multiple, or the rest goes one by one."""

GRID_MM = GRID_FIRST_MM + GRID_STEP_MM * np.arange(NUM_GRID)


# numba infers the types of what it compiles: these functions carry none
@compiled(inline="always")
def compute_exponential(argument):  # type: ignore[no-untyped-def]
    """Return e^argument as (e^(argument / 256))^256, the inner one by Taylor's series.

    The relative error is below 1e-13 for arguments above -30 and 1e-8 down to -100.
    """
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
    power = power * f + 1.0
    for _ in range(8):
        power = power * power
    return power


@compiled()
def pad_tracks(columns, number):  # type: ignore[no-untyped-def]
    """Add tracks that say nothing until all fill whole vector registers; returns the new number."""
    while number % REGISTER_LENGTH:
        columns[:, number] = 0.0
        columns[3, number] = 1.0
        number += 1
    return number


@compiled()
def find_grid_maximum(near, num_near, scratch, lines, sums):  # type: ignore[no-untyped-def]
    """Find the grid point with the largest K, the first of equal ones: x, y, whether K is positive.

    All points are computed quickly; exactly only those that could be the largest by what the quick
    K may be wrong by, which is seldom more than one.
    """
    _fill_lines(near, num_near, scratch, lines)
    _sum_lines(lines, num_near, sums)
    relative = 3.0 * (num_near + ROUNDINGS) * FLOAT32_ROUNDING
    absolute = 3.0 * num_near * SMALLEST_FACTOR / (2.0 * math.pi * SIGMA_MM * SIGMA_MM)
    floor = 0.0
    for i in range(NUM_GRID):
        for j in range(NUM_GRID):
            s = np.float64(sums[0, i, j])
            quick = s - sums[1, i, j] / s if s > 0.0 else 0.0
            error = relative * s + absolute
            floor = max(floor, quick - error)
            sums[1, i, j] = quick + error
    num_candidates = 0
    best_i = best_j = 0
    for i in range(NUM_GRID):
        for j in range(NUM_GRID):
            if sums[1, i, j] >= floor * (1.0 - 1e-6):
                num_candidates += 1
                best_i, best_j = i, j
    if num_candidates == 1 and floor > 0.0:
        return GRID_MM[best_i], GRID_MM[best_j], True
    best = 0.0
    for i in range(NUM_GRID):
        for j in range(NUM_GRID):
            if sums[1, i, j] >= floor * (1.0 - 1e-6):
                value = _evaluate_grid_point(near, num_near, GRID_MM[i], GRID_MM[j])
                if value > best:
                    best = value
                    best_i, best_j = i, j
    return GRID_MM[best_i], GRID_MM[best_j], best > 0.0


@compiled(fastmath=True)
def _fill_lines(near, num_near, scratch, lines):  # type: ignore[no-untyped-def]
    """Fill the tracks' Gaussians at the grid coordinates of both axes quickly.

    With the grid's step h, e^(-w (x - k h)^2 / 2) is e^(-w x^2 / 2) u^k c^(k^2), where u is
    e^(w h x) and c is e^(-w h^2 / 2): two exponentials a track and axis instead of nine.
    """
    x, y, inverse, narrowing = near[0], near[1], near[2], near[3]
    middle_x, u_x, middle_y, u_y = scratch[0], scratch[1], scratch[2], scratch[3]
    for track in range(num_near):
        w = inverse[track]
        along = GRID_STEP_MM * w
        middle_x[track] = w * (0.5 / math.pi) * compute_exponential(-0.5 * w * x[track] * x[track])
        middle_y[track] = compute_exponential(-0.5 * w * y[track] * y[track])
        u_x[track] = compute_exponential(along * x[track])
        u_y[track] = compute_exponential(along * y[track])
    for axis in range(2):
        middle, u = scratch[2 * axis], scratch[2 * axis + 1]
        _fill_side(middle, u, near[axis], narrowing, num_near, scratch[4:], lines[axis], 1)
        for track in range(num_near):
            u[track] = 1.0 / u[track]
        _fill_side(middle, u, near[axis], narrowing, num_near, scratch[4:], lines[axis], -1)


@compiled(fastmath=True)
def _fill_side(middle, u, at, narrowing, num_near, scratch, lines, side):  # type: ignore[no-untyped-def]
    value, step = scratch[0], scratch[1]
    for track in range(num_near):
        value[track] = middle[track]
        step[track] = narrowing[track] * u[track]
    half = NUM_GRID // 2
    for k in range(half + 1):
        line = lines[half + side * k]
        coordinate = GRID_MM[half + side * k]
        for track in range(num_near):
            is_seen = (abs(at[track] - coordinate) <= WINDOW_MM) & (value[track] > SMALLEST_FACTOR)
            line[track] = np.float32(value[track] if is_seen else 0.0)
        for track in range(num_near):
            value[track] *= step[track]
            step[track] *= narrowing[track] * narrowing[track]


@compiled(fastmath=True)
def _sum_lines(lines, num_lines, sums):  # type: ignore[no-untyped-def]
    """Sum S1 and S2 at the grid points; a track's Gaussian is a product of two grid lines."""
    for i in range(NUM_GRID):
        for j in range(0, NUM_GRID, 3):
            s_0 = s_1 = s_2 = q_0 = q_1 = q_2 = np.float32(0.0)
            for line in range(num_lines):
                p_x = lines[0, i, line]
                p_0 = p_x * lines[1, j, line]
                p_1 = p_x * lines[1, j + 1, line]
                p_2 = p_x * lines[1, j + 2, line]
                s_0 += p_0
                s_1 += p_1
                s_2 += p_2
                q_0 += p_0 * p_0
                q_1 += p_1 * p_1
                q_2 += p_2 * p_2
            sums[0, i, j], sums[0, i, j + 1], sums[0, i, j + 2] = s_0, s_1, s_2
            sums[1, i, j], sums[1, i, j + 1], sums[1, i, j + 2] = q_0, q_1, q_2


@compiled()
def _evaluate_grid_point(near, num_near, x, y):  # type: ignore[no-untyped-def]
    """Return K at one grid point, 0 where S1 is too small."""
    s = q = 0.0
    for track in range(num_near):
        dx = near[0, track] - x
        dy = near[1, track] - y
        if abs(dx) > WINDOW_MM or abs(dy) > WINDOW_MM:
            continue
        w = near[2, track]
        p = w / (2.0 * math.pi) * compute_exponential(-0.5 * w * dx * dx)
        p = p * compute_exponential(-0.5 * w * dy * dy)
        s += p
        q += p * p
    return s - q / s if s >= MIN_DENSITY else 0.0

"""The kernel density estimate of an event's tracks along the beam line.

Its definition is the reference's (docs/PHYSICS.md, "Kernel"). At each bin centre the tracks are
points in the transverse plane. The density there is K(x, y) = S1 - S2 / S1 with S1 = sum p, S2 =
sum p^2 and p a track's Gaussian, so that one track alone gives nothing. The estimate is the largest
K and the place where it is found: the best point of a 9 x 9 grid, then Newton's method on log K
with its analytic derivatives. PV-Finder's own (uc-lhcb/pv-finder, ana/) climbs from the same grid
point with MINUIT.

Nothing but IEEE additions, multiplications, divisions and square roots in a fixed order is used
(numba keeps the order as long as `fastmath` is off, and the exponential is written out below), so
that a set of toy events has the same content on every machine.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from sweep.data.toy_event import Tracks
from sweep.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MIN_MM

WINDOW_MM = 0.5
"""A track says nothing further than this from it, in x or in y."""

LIMIT_MM = 0.55
"""The maximum is looked for within +- this."""

NUM_GRID = 9
GRID_FIRST_MM = -0.4
GRID_STEP_MM = 0.1
MIN_DENSITY = 1e-9
"""The estimate is 0 where S1 is below this, in 1 / mm^2."""

SIGMA_MM = 0.05
SIGMA_PER_CHI2_MM = 0.0125
MAX_GOOD_CHI2 = 6.0
"""Tracks with chi2 / 3 above 2 are drawn wider: 0.05 + 0.0125 (chi2 - 2) mm."""

MAX_STEPS = 40
MAX_HALVINGS = 12
MAX_STEP_MM = 0.1
LAST_STEP_MM = 1e-4
"""A full Newton step this short leaves an error of some 1e-7 mm: no other is needed."""

SMALLEST_STEP_MM = 1e-7
MIN_CURVATURE = 1e-6

LINE_LENGTH = 12
"""Grid lines are padded from 9 to this, which fills whole vector registers."""

GRID_MM = GRID_FIRST_MM + GRID_STEP_MM * np.arange(LINE_LENGTH)


def compute_kernel(
    tracks: Tracks,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the density estimate of one event and where it is found.

    Releases the GIL: threads that call it run side by side.

    Returns:
        The estimate in 1 / mm^2 (N equal tracks give (N - 1) * 63.7), x in mm and y in mm, each
        shape (4000,); all three are 0 where fewer than two tracks pass within 0.5 mm of the beam
        line in x and y, or where S1 is below 1e-9.
    """
    kernel, best_x_mm, best_y_mm = _compute_kernel(*vars(tracks).values())
    return kernel, best_x_mm, best_y_mm


# numba infers the types of what it compiles: these functions carry none
@numba.njit(nogil=True, cache=True, fastmath=False)
def _compute_kernel(x_mm, y_mm, z_mm, slope_x, slope_y, chi2):  # type: ignore[no-untyped-def]
    num_tracks = len(x_mm)
    inverse = _invert_variances(chi2)
    near_x = np.empty(num_tracks)
    near_y = np.empty(num_tracks)
    near_inverse = np.empty(num_tracks)
    kernel = np.zeros(NUM_BINS)
    best_x = np.zeros(NUM_BINS)
    best_y = np.zeros(NUM_BINS)
    lines = np.empty((2, num_tracks, LINE_LENGTH))
    sums = np.empty((2, NUM_GRID, NUM_GRID))
    reach = LIMIT_MM + WINDOW_MM
    for index in range(NUM_BINS):
        z = Z_MIN_MM + (index + 0.5) * BIN_WIDTH_MM
        num_near = 0
        num_central = 0
        for track in range(num_tracks):
            x = x_mm[track] + slope_x[track] * (z - z_mm[track])
            y = y_mm[track] + slope_y[track] * (z - z_mm[track])
            if abs(x) < reach and abs(y) < reach:
                near_x[num_near] = x
                near_y[num_near] = y
                near_inverse[num_near] = inverse[track]
                num_near += 1
                if abs(x) < WINDOW_MM and abs(y) < WINDOW_MM:
                    num_central += 1
        if num_central < 2:
            continue
        _fill_grid(near_x, near_y, near_inverse, num_near, lines, sums)
        x, y, found = _find_grid_maximum(sums)
        if found <= 0.0:
            continue
        x, y, value = _climb(near_x, near_y, near_inverse, num_near, x, y)
        kernel[index] = value
        best_x[index] = x
        best_y[index] = y
    return kernel, best_x, best_y


@numba.njit(nogil=True, cache=True, inline="always")
def _exponential(argument):  # type: ignore[no-untyped-def]
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


@numba.njit(nogil=True, cache=True)
def _invert_variances(chi2):  # type: ignore[no-untyped-def]
    """Return 1 / sigma^2 of each track."""
    inverse = np.empty(len(chi2))
    for track in range(len(chi2)):
        sigma = SIGMA_MM
        if chi2[track] > MAX_GOOD_CHI2:
            sigma += (chi2[track] - 2.0) * SIGMA_PER_CHI2_MM
        inverse[track] = 1.0 / (sigma * sigma)
    return inverse


@numba.njit(nogil=True, cache=True)
def _fill_grid_line(values, coordinate, inverse, scale):  # type: ignore[no-untyped-def]
    """Fill one track's Gaussian, cut at the window, at the grid coordinates of one axis."""
    for i in range(LINE_LENGTH):
        distance = coordinate - GRID_MM[i]
        inside = 1.0 if abs(distance) <= WINDOW_MM else 0.0
        argument = -0.5 * inverse * distance * distance * inside
        values[i] = inside * scale * _exponential(argument)


@numba.njit(nogil=True, cache=True)
def _fill_grid(track_x, track_y, inverse, num_tracks, lines, sums):  # type: ignore[no-untyped-def]
    """Fill S1 and S2 at the grid points; a track's Gaussian is a product of two grid lines.

    Three columns at a time, so that their six sums stay in registers.
    """
    num_lines = 0
    edge = -GRID_FIRST_MM + WINDOW_MM
    for track in range(num_tracks):
        if abs(track_x[track]) <= edge and abs(track_y[track]) <= edge:
            w = inverse[track]
            _fill_grid_line(lines[0, num_lines], track_x[track], w, w / (2.0 * math.pi))
            _fill_grid_line(lines[1, num_lines], track_y[track], w, 1.0)
            num_lines += 1
    for i in range(NUM_GRID):
        for j in range(0, NUM_GRID, 3):
            s_0 = s_1 = s_2 = q_0 = q_1 = q_2 = 0.0
            for line in range(num_lines):
                p_x = lines[0, line, i]
                p_0 = p_x * lines[1, line, j]
                p_1 = p_x * lines[1, line, j + 1]
                p_2 = p_x * lines[1, line, j + 2]
                s_0 += p_0
                s_1 += p_1
                s_2 += p_2
                q_0 += p_0 * p_0
                q_1 += p_1 * p_1
                q_2 += p_2 * p_2
            sums[0, i, j], sums[0, i, j + 1], sums[0, i, j + 2] = s_0, s_1, s_2
            sums[1, i, j], sums[1, i, j + 1], sums[1, i, j + 2] = q_0, q_1, q_2


@numba.njit(nogil=True, cache=True)
def _find_grid_maximum(sums):  # type: ignore[no-untyped-def]
    """Find the grid point with the largest K: x, y and K there, 0 where there is none."""
    best = 0.0
    best_x = 0.0
    best_y = 0.0
    for i in range(NUM_GRID):
        for j in range(NUM_GRID):
            if sums[0, i, j] < MIN_DENSITY:
                continue
            value = sums[0, i, j] - sums[1, i, j] / sums[0, i, j]
            if value > best:
                best = value
                best_x = GRID_MM[i]
                best_y = GRID_MM[j]
    return best_x, best_y, best


@numba.njit(nogil=True, cache=True)
def _evaluate(track_x, track_y, inverse, num_tracks, x, y):  # type: ignore[no-untyped-def]
    """Return K, the gradient of log K and its Hessian (xx, xy, yy)."""
    s = sx = sy = sxx = sxy = syy = 0.0  # sum p and its derivatives
    q = qx = qy = qxx = qxy = qyy = 0.0  # sum p^2 and its derivatives
    for track in range(num_tracks):
        dx = track_x[track] - x
        dy = track_y[track] - y
        if abs(dx) > WINDOW_MM or abs(dy) > WINDOW_MM:
            continue
        w = inverse[track]
        p = w / (2.0 * math.pi) * _exponential(-0.5 * w * (dx * dx + dy * dy))
        ux = w * dx
        uy = w * dy
        pp = p * p
        s += p
        sx += p * ux
        sy += p * uy
        sxx += p * (ux * ux - w)
        sxy += p * ux * uy
        syy += p * (uy * uy - w)
        q += pp
        qx += 2.0 * pp * ux
        qy += 2.0 * pp * uy
        qxx += pp * (4.0 * ux * ux - 2.0 * w)
        qxy += 4.0 * pp * ux * uy
        qyy += pp * (4.0 * uy * uy - 2.0 * w)
    if s < MIN_DENSITY:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    r = q / s
    k = s - r
    if k <= 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    rx = (qx - r * sx) / s
    ry = (qy - r * sy) / s
    gx = (sx - rx) / k
    gy = (sy - ry) / k
    hxx = (sxx - (qxx - 2.0 * rx * sx - r * sxx) / s) / k - gx * gx
    hxy = (sxy - (qxy - rx * sy - ry * sx - r * sxy) / s) / k - gx * gy
    hyy = (syy - (qyy - 2.0 * ry * sy - r * syy) / s) / k - gy * gy
    return k, gx, gy, hxx, hxy, hyy


@numba.njit(nogil=True, cache=True)
def _climb(track_x, track_y, inverse, num_tracks, x, y):  # type: ignore[no-untyped-def]
    """Climb from (x, y) to a maximum of K inside the limits, by Newton steps that never go down."""
    k, gx, gy, hxx, hxy, hyy = _evaluate(track_x, track_y, inverse, num_tracks, x, y)
    for _ in range(MAX_STEPS):
        if k <= 0.0:
            break
        step_x, step_y = _choose_step(x, y, gx, gy, hxx, hxy, hyy)
        length = max(abs(step_x), abs(step_y))
        if length < SMALLEST_STEP_MM:
            break
        scale = min(1.0, MAX_STEP_MM / length)
        for _ in range(MAX_HALVINGS):
            new_x = min(max(x + scale * step_x, -LIMIT_MM), LIMIT_MM)
            new_y = min(max(y + scale * step_y, -LIMIT_MM), LIMIT_MM)
            trial = _evaluate(track_x, track_y, inverse, num_tracks, new_x, new_y)
            if trial[0] > k or scale * length < SMALLEST_STEP_MM:
                break
            scale *= 0.5
        if trial[0] <= k:
            break
        x = new_x
        y = new_y
        k, gx, gy, hxx, hxy, hyy = trial
        if scale == 1.0 and length < LAST_STEP_MM:
            break
    return x, y, k


@numba.njit(nogil=True, cache=True)
def _choose_step(x, y, gx, gy, hxx, hxy, hyy):  # type: ignore[no-untyped-def]
    """Choose the step |H|^-1 g: Newton's near a maximum, uphill where a curvature is positive.

    |H| has the eigenvectors of H and the absolute eigenvalues. A coordinate that is held by its
    limit stays.
    """
    hold_x = (x >= LIMIT_MM and gx > 0.0) or (x <= -LIMIT_MM and gx < 0.0)
    hold_y = (y >= LIMIT_MM and gy > 0.0) or (y <= -LIMIT_MM and gy < 0.0)
    if hold_x and hold_y:
        return 0.0, 0.0
    if hold_x:
        return 0.0, gy / max(abs(hyy), MIN_CURVATURE)
    if hold_y:
        return gx / max(abs(hxx), MIN_CURVATURE), 0.0
    mean = 0.5 * (hxx + hyy)
    half = 0.5 * (hxx - hyy)
    radius = math.sqrt(half * half + hxy * hxy)
    inverse_high = 1.0 / max(abs(mean + radius), MIN_CURVATURE)
    inverse_low = 1.0 / max(abs(mean - radius), MIN_CURVATURE)
    if radius == 0.0:
        return gx * inverse_high, gy * inverse_high
    # |H|^-1 = middle * 1 + spread * (H - mean) / radius
    middle = 0.5 * (inverse_high + inverse_low)
    spread = 0.5 * (inverse_high - inverse_low) / radius
    step_x = middle * gx + spread * (half * gx + hxy * gy)
    step_y = middle * gy + spread * (hxy * gx - half * gy)
    return step_x, step_y

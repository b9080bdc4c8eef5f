"""The kernel density estimate of an event's tracks along the beam line.

Its definition is the reference's (docs/PHYSICS.md, "Kernel"). At each bin centre the tracks are
points in the transverse plane. The density there is K(x, y) = S1 - S2 / S1 with S1 = sum p, S2 =
sum p^2 and p a track's Gaussian, so that one track alone gives nothing. The estimate is the largest
K and the place where it is found: the best point of a 9 x 9 grid, then Newton's method on log K
with its analytic derivatives. PV-Finder's own (uc-lhcb/pv-finder, ana/) climbs from the same grid
point with MINUIT.

Nothing but IEEE additions, multiplications, divisions and square roots in a fixed order is used
(numba keeps the order as long as `fastmath` is off, and the exponential is written out) where it
could be seen in the result, so that a set of toy events has the same content on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sweep.compiled import compiled
from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MIN_MM
from sweep.data.kernel_grid import (
    GRID_STEP_MM,
    MIN_DENSITY,
    NUM_GRID,
    REGISTER_LENGTH,
    SIGMA_MM,
    WINDOW_MM,
    compute_exponential,
    find_grid_maximum,
    pad_tracks,
)
from sweep.data.toy_event import Tracks

LIMIT_MM = 0.55
"""The maximum is looked for within +- this."""

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

GATHERED_MM = 0.15
"""How far a climb goes before it looks anew for the tracks around it."""


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
    columns = map(np.ascontiguousarray, vars(tracks).values())  # it is compiled for each layout
    kernel, best_x_mm, best_y_mm = _compute_kernel(*columns)
    return kernel, best_x_mm, best_y_mm


# numba infers the types of what it compiles: these functions carry none
@compiled(fastmath=False)
def _compute_kernel(x_mm, y_mm, z_mm, slope_x, slope_y, chi2):  # type: ignore[no-untyped-def]
    num_tracks = len(x_mm)
    inverse = _invert_variances(chi2)
    narrowing = np.empty(num_tracks)
    for track in range(num_tracks):
        narrowing[track] = compute_exponential(-0.5 * inverse[track] * GRID_STEP_MM * GRID_STEP_MM)
    room = num_tracks + REGISTER_LENGTH
    near = np.empty((4, room))
    beside = np.empty((11, room))
    scratch = np.empty((6, room))
    lines = np.empty((2, NUM_GRID, room), dtype=np.float32)
    sums = np.empty((2, NUM_GRID, NUM_GRID), dtype=np.float32)
    estimate = np.zeros((3, NUM_BINS))
    reach = LIMIT_MM + WINDOW_MM
    for index in range(NUM_BINS):
        z = Z_MIN_MM + (index + 0.5) * BIN_WIDTH_MM
        num_near = 0
        num_central = 0
        for track in range(num_tracks):
            x = x_mm[track] + slope_x[track] * (z - z_mm[track])
            y = y_mm[track] + slope_y[track] * (z - z_mm[track])
            if abs(x) < reach and abs(y) < reach:
                near[0, num_near] = x
                near[1, num_near] = y
                near[2, num_near] = inverse[track]
                near[3, num_near] = narrowing[track]
                num_near += 1
                if abs(x) < WINDOW_MM and abs(y) < WINDOW_MM:
                    num_central += 1
        if num_central < 2:
            continue
        num_near = pad_tracks(near, num_near)
        x, y, is_positive = find_grid_maximum(near, num_near, scratch, lines, sums)
        if not is_positive:
            continue
        x, y, value = _climb(near, num_near, beside, x, y)
        estimate[0, index] = value
        estimate[1, index] = x
        estimate[2, index] = y
    return estimate[0], estimate[1], estimate[2]


@compiled()
def _invert_variances(chi2):  # type: ignore[no-untyped-def]
    """Return 1 / sigma^2 of each track."""
    inverse = np.empty(len(chi2))
    for track in range(len(chi2)):
        sigma = SIGMA_MM
        if chi2[track] > MAX_GOOD_CHI2:
            sigma += (chi2[track] - 2.0) * SIGMA_PER_CHI2_MM
        inverse[track] = 1.0 / (sigma * sigma)
    return inverse


@compiled()
def _evaluate(beside, num_tracks, x, y):  # type: ignore[no-untyped-def]
    """Return K, the gradient of log K and its Hessian (xx, xy, yy).

    The terms first, which fills whole vector registers, then their sums in the tracks' order.
    """
    track_x, track_y, inverse = beside[0], beside[1], beside[2]
    p_at, ux_at, uy_at = beside[3], beside[4], beside[5]
    for track in range(num_tracks):
        dx = track_x[track] - x
        dy = track_y[track] - y
        inside = 1.0 if (abs(dx) <= WINDOW_MM) & (abs(dy) <= WINDOW_MM) else 0.0
        w = inverse[track]
        p_at[track] = inside * (
            w / (2.0 * math.pi) * compute_exponential(inside * (-0.5 * w * (dx * dx + dy * dy)))
        )
        ux_at[track] = w * dx
        uy_at[track] = w * dy
    a, b, c, d, e = beside[6], beside[7], beside[8], beside[9], beside[10]
    for track in range(num_tracks):
        p, w, ux, uy = p_at[track], inverse[track], ux_at[track], uy_at[track]
        a[track] = p * ux
        b[track] = p * uy
        c[track] = p * (ux * ux - w)
        d[track] = p * ux * uy
        e[track] = p * (uy * uy - w)
    s, sx, sy, sxx, sxy, syy = _sum_up(beside, num_tracks)  # sum p and its derivatives
    for track in range(num_tracks):
        p, w, ux, uy = p_at[track], inverse[track], ux_at[track], uy_at[track]
        pp = p * p
        p_at[track] = pp
        a[track] = 2.0 * pp * ux
        b[track] = 2.0 * pp * uy
        c[track] = pp * (4.0 * ux * ux - 2.0 * w)
        d[track] = 4.0 * pp * ux * uy
        e[track] = pp * (4.0 * uy * uy - 2.0 * w)
    q, qx, qy, qxx, qxy, qyy = _sum_up(beside, num_tracks)  # sum p^2 and its derivatives
    return _combine(s, sx, sy, sxx, sxy, syy, q, qx, qy, qxx, qxy, qyy)


@compiled()
def _sum_up(beside, num_tracks):  # type: ignore[no-untyped-def]
    """Sum the terms of the tracks, in their order."""
    p_at, a, b, c, d, e = beside[3], beside[6], beside[7], beside[8], beside[9], beside[10]
    p = px = py = pxx = pxy = pyy = 0.0
    for track in range(num_tracks):
        p += p_at[track]
        px += a[track]
        py += b[track]
        pxx += c[track]
        pxy += d[track]
        pyy += e[track]
    return p, px, py, pxx, pxy, pyy


@compiled()
def _combine(s, sx, sy, sxx, sxy, syy, q, qx, qy, qxx, qxy, qyy):  # type: ignore[no-untyped-def]
    """Return K, the gradient of log K and its Hessian, of the sums of p and of p^2."""
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


@compiled()
def _gather(near, num_near, beside, x, y):  # type: ignore[no-untyped-def]
    """Copy the tracks that say something within `GATHERED_MM` of (x, y); returns how many."""
    number = 0
    reach = WINDOW_MM + GATHERED_MM
    for track in range(num_near):
        if abs(near[0, track] - x) <= reach and abs(near[1, track] - y) <= reach:
            beside[0, number] = near[0, track]
            beside[1, number] = near[1, track]
            beside[2, number] = near[2, track]
            number += 1
    return pad_tracks(beside, number)


@compiled()
def _climb(near, num_near, beside, x, y):  # type: ignore[no-untyped-def]
    """Climb from (x, y) to a maximum of K inside the limits, by Newton steps that never go down."""
    center_x, center_y = x, y
    number = _gather(near, num_near, beside, x, y)
    k, gx, gy, hxx, hxy, hyy = _evaluate(beside, number, x, y)
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
            if max(abs(new_x - center_x), abs(new_y - center_y)) > 0.99 * GATHERED_MM:
                center_x, center_y = new_x, new_y
                number = _gather(near, num_near, beside, new_x, new_y)
            trial = _evaluate(beside, number, new_x, new_y)
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


@compiled()
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

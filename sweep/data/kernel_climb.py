"""Climbs to the maxima of the density in many bins at once.

A lane is a place (x, y) in a bin. A processor takes several lanes in one instruction, while each
lane's sums run over the tracks in their order, so that a set of events has the same content on
every machine. Rows of lanes lie in one array at fixed distances: a compiler then knows that none
overlap.
"""

from __future__ import annotations

import math

from sweep.data.kernel_grid import (
    HALF,
    MIN_DENSITY,
    NOTHING,
    NUM_TRACK_ROWS,
    ONE,
    compute_exponential,
)
from sweep.machine.compiled import compiled

LIMIT_MM = 0.55
"""The maximum is looked for within +- this."""

MAX_STEPS = 40
MAX_HALVINGS = 12
MAX_STEP_MM = 0.1
LAST_STEP_MM = 3e-3
"""A Newton step this short leaves an error of some 1e-5 mm, and K is known there without a sum."""

SMALLEST_STEP_MM = 1e-7
MIN_CURVATURE = 1e-6

GATHERED_MM = 0.1
"""How far a climb goes before it looks anew for the tracks around it."""

MAX_LANES = 64
"""At most half of a block's bins climb at once, from two places each."""

REGISTER_LENGTH = 8
"""Numbers in a vector register: lanes are filled up to a multiple, or the rest goes one by one."""

X, Y, BIN = range(0, 3 * MAX_LANES, MAX_LANES)
"""Where the rows of places begin in `lanes`; a bin is counted from the block's first one."""

S, SX, SY, SXX, SXY, SYY = range(3 * MAX_LANES, 9 * MAX_LANES, MAX_LANES)
"""The sum of p and its derivatives."""

A, AX, AY, AXX, AXY, AYY = range(9 * MAX_LANES, 15 * MAX_LANES, MAX_LANES)
"""The sum of p_i p_j over pairs of tracks, and its derivatives."""

NUM_LANE_ROWS = 15

(
    AT_X,
    AT_Y,
    AT_BIN,
    K,
    STEP_X,
    STEP_Y,
    LENGTH,
    SCALE,
    TRIAL_X,
    TRIAL_Y,
    CENTER_X,
    CENTER_Y,
    STEPS,
    HALVINGS,
) = range(14)
"""Rows of what is known of each climb."""
NUM_CLIMB_ROWS = 14


# numba infers the types of what it compiles: these functions carry none
@compiled(inline="always")
def sum_up(tracks, num_tracks, lanes, num_lanes):  # type: ignore[no-untyped-def]
    """Fill the sums over the tracks at each lane's place."""
    num_lanes += -num_lanes % REGISTER_LENGTH
    for row in range(S, NUM_LANE_ROWS * MAX_LANES, MAX_LANES):
        for lane in range(num_lanes):
            lanes[row + lane] = NOTHING
    for track in range(num_tracks):
        x_mm, y_mm, step_x, step_y = (
            tracks[0, track], tracks[1, track], tracks[2, track], tracks[3, track],
        )  # fmt: skip
        w, height = tracks[4, track], tracks[5, track] * tracks[5, track]
        reach = tracks[6, track]
        half = -HALF * w
        for lane in range(num_lanes):
            dx = x_mm + step_x * lanes[BIN + lane] - lanes[X + lane]
            dy = y_mm + step_y * lanes[BIN + lane] - lanes[Y + lane]
            inside = ONE if (abs(dx) <= reach) & (abs(dy) <= reach) else NOTHING
            p = inside * height * compute_exponential(inside * (half * (dx * dx + dy * dy)))
            ux, uy = w * dx, w * dy
            px, py = p * ux, p * uy
            pxx, pxy, pyy = px * ux - w * p, px * uy, py * uy - w * p
            s, sx, sy = lanes[S + lane], lanes[SX + lane], lanes[SY + lane]
            sxx, sxy, syy = lanes[SXX + lane], lanes[SXY + lane], lanes[SYY + lane]
            lanes[A + lane] += p * s
            lanes[AX + lane] += px * s + p * sx
            lanes[AY + lane] += py * s + p * sy
            lanes[AXX + lane] += pxx * s + (px * sx + px * sx) + p * sxx
            lanes[AXY + lane] += pxy * s + (px * sy + py * sx) + p * sxy
            lanes[AYY + lane] += pyy * s + (py * sy + py * sy) + p * syy
            lanes[S + lane] = s + p
            lanes[SX + lane] = sx + px
            lanes[SY + lane] = sy + py
            lanes[SXX + lane] = sxx + pxx
            lanes[SXY + lane] = sxy + pxy
            lanes[SYY + lane] = syy + pyy


@compiled(inline="always")
def combine(lanes, lane):  # type: ignore[no-untyped-def]
    """Return K, the gradient of log K and its Hessian (xx, xy, yy) at a lane's place."""
    s, a = float(lanes[S + lane]), float(lanes[A + lane])
    if s < MIN_DENSITY or a <= 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    per_s, per_a = 1.0 / s, 1.0 / a
    sx, sy = lanes[SX + lane] * per_s, lanes[SY + lane] * per_s
    ax, ay = lanes[AX + lane] * per_a, lanes[AY + lane] * per_a
    hxx = lanes[AXX + lane] * per_a - ax * ax - lanes[SXX + lane] * per_s + sx * sx
    hxy = lanes[AXY + lane] * per_a - ax * ay - lanes[SXY + lane] * per_s + sx * sy
    hyy = lanes[AYY + lane] * per_a - ay * ay - lanes[SYY + lane] * per_s + sy * sy
    return 2.0 * a * per_s, ax - sx, ay - sy, hxx, hxy, hyy


@compiled(inline="always")
def climb(tracks, num_tracks, beside, lanes, climbs, active, number):  # type: ignore[no-untyped-def]
    """Climb from each place to a maximum of K inside the limits.

    By Newton steps that never go down; all climbs take a step, then all that go on the next.

    Args:
        tracks: Of the block.
        beside: Room for as many.
        climbs: Rows of what is known: those of x, y and bin hold the places, at the end those of
            x, y and K the maxima.
        active: Room for the number of each climb.
        number: Of places.
    """
    for i in range(number):
        active[i] = i
        climbs[TRIAL_X, i], climbs[TRIAL_Y, i] = climbs[AT_X, i], climbs[AT_Y, i]
        climbs[K, i], climbs[STEPS, i] = 0.0, 0.0
        climbs[HALVINGS, i] = MAX_HALVINGS  # the place itself is taken as a step is
    num_beside = -1
    while number > 0:
        if num_beside < 0 or _has_left(climbs, active, number):
            num_beside = _gather(tracks, num_tracks, beside, climbs, active, number)
        for lane in range(number):
            i = active[lane]
            lanes[X + lane], lanes[Y + lane] = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
            lanes[BIN + lane] = climbs[AT_BIN, i]
        sum_up(beside, num_beside, lanes, number)
        num_left = 0
        for lane in range(number):
            i = active[lane]
            if _go_on(climbs, i, combine(lanes, lane)):
                active[num_left] = i
                num_left += 1
        number = num_left


@compiled(inline="always")
def _go_on(climbs, i, trial):  # type: ignore[no-untyped-def]
    """Take a climb's step or shorten it; says whether it has another place to try."""
    k, gx, gy, hxx, hxy, hyy = trial
    if k <= climbs[K, i]:
        climbs[HALVINGS, i] += 1.0
        climbs[SCALE, i] *= 0.5
        _set_trial(climbs, i)
        return climbs[HALVINGS, i] < MAX_HALVINGS
    x, y = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
    climbs[AT_X, i], climbs[AT_Y, i], climbs[K, i] = x, y, k
    step_x, step_y, curvature = _choose_step(x, y, gx, gy, hxx, hxy, hyy)
    length = max(abs(step_x), abs(step_y))
    climbs[STEP_X, i], climbs[STEP_Y, i] = step_x, step_y
    climbs[SCALE, i] = min(1.0, MAX_STEP_MM / length)
    climbs[STEPS, i] += 1.0
    climbs[HALVINGS, i] = 0.0
    _set_trial(climbs, i)
    if length >= LAST_STEP_MM or (curvature > 0.0 and length > SMALLEST_STEP_MM):
        return climbs[STEPS, i] < MAX_STEPS
    climbs[AT_X, i], climbs[AT_Y, i] = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
    gain = gx * (climbs[TRIAL_X, i] - x) + gy * (climbs[TRIAL_Y, i] - y)
    climbs[K, i] = k * (1.0 + 0.5 * gain)
    return False


@compiled(inline="always")
def _set_trial(climbs, i):  # type: ignore[no-untyped-def]
    x = climbs[AT_X, i] + climbs[SCALE, i] * climbs[STEP_X, i]
    y = climbs[AT_Y, i] + climbs[SCALE, i] * climbs[STEP_Y, i]
    climbs[TRIAL_X, i] = min(max(x, -LIMIT_MM), LIMIT_MM)
    climbs[TRIAL_Y, i] = min(max(y, -LIMIT_MM), LIMIT_MM)


@compiled(inline="always")
def _has_left(climbs, active, number):  # type: ignore[no-untyped-def]
    """Say whether a climb is about to leave what its tracks were gathered for."""
    for lane in range(number):
        i = active[lane]
        far_x = abs(climbs[TRIAL_X, i] - climbs[CENTER_X, i])
        far_y = abs(climbs[TRIAL_Y, i] - climbs[CENTER_Y, i])
        if max(far_x, far_y) > 0.99 * GATHERED_MM:
            return True
    return False


@compiled(inline="always")
def _gather(tracks, num_tracks, beside, climbs, active, number):  # type: ignore[no-untyped-def]
    """Copy the tracks that say something within `GATHERED_MM` of a place; returns how many."""
    for lane in range(number):
        i = active[lane]
        climbs[CENTER_X, i], climbs[CENTER_Y, i] = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
    num_beside = 0
    for track in range(num_tracks):
        reach = tracks[6, track] + GATHERED_MM
        for lane in range(number):
            i = active[lane]
            dx = tracks[0, track] + tracks[2, track] * climbs[AT_BIN, i] - climbs[TRIAL_X, i]
            dy = tracks[1, track] + tracks[3, track] * climbs[AT_BIN, i] - climbs[TRIAL_Y, i]
            if abs(dx) <= reach and abs(dy) <= reach:
                for row in range(NUM_TRACK_ROWS):
                    beside[row, num_beside] = tracks[row, track]
                num_beside += 1
                break
    return num_beside


@compiled(inline="always")
def _choose_step(x, y, gx, gy, hxx, hxy, hyy):  # type: ignore[no-untyped-def]
    """Choose the step |H|^-1 g: Newton's near a maximum, uphill where a curvature is positive.

    |H| has the eigenvectors of H and the absolute eigenvalues. A coordinate that is held by its
    limit stays.
    """
    hold_x = (x >= LIMIT_MM and gx > 0.0) or (x <= -LIMIT_MM and gx < 0.0)
    hold_y = (y >= LIMIT_MM and gy > 0.0) or (y <= -LIMIT_MM and gy < 0.0)
    if hold_x and hold_y:
        return 0.0, 0.0, -1.0
    if hold_x:
        return 0.0, gy / max(abs(hyy), MIN_CURVATURE), hyy
    if hold_y:
        return gx / max(abs(hxx), MIN_CURVATURE), 0.0, hxx
    mean = 0.5 * (hxx + hyy)
    half = 0.5 * (hxx - hyy)
    radius = math.sqrt(half * half + hxy * hxy)
    inverse_high = 1.0 / max(abs(mean + radius), MIN_CURVATURE)
    inverse_low = 1.0 / max(abs(mean - radius), MIN_CURVATURE)
    if radius == 0.0:
        return gx * inverse_high, gy * inverse_high, mean
    # |H|^-1 = middle * 1 + spread * (H - mean) / radius
    middle = 0.5 * (inverse_high + inverse_low)
    spread = 0.5 * (inverse_high - inverse_low) / radius
    step_x = middle * gx + spread * (half * gx + hxy * gy)
    step_y = middle * gy + spread * (hxy * gx - half * gy)
    return step_x, step_y, mean + radius

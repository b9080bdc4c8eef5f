"""Climbs to the maxima of the density in many bins at once, and computes it at many places at once.

A lane is a place (x, y, z). A processor takes several lanes in one instruction, while each lane's
sums run over the tracks in their order, so that a place has the same bits alone and among others.
Rows of lanes lie in one array at fixed distances: a compiler then knows that none overlap.
"""

from __future__ import annotations

import math

from sweep.data.kernel_grid import MIN_DENSITY, WINDOW_MM, compute_root, raise_root
from sweep.machine.compiled import compiled

LIMIT_MM = 0.55
"""The maximum is looked for within +- this."""

MAX_STEPS = 40
MAX_HALVINGS = 12
MAX_STEP_MM = 0.1
LAST_STEP_MM = 1e-4
"""A full Newton step this short leaves an error of some 1e-7 mm: no other is needed."""

SMALLEST_STEP_MM = 1e-7
MIN_CURVATURE = 1e-6

GATHERED_MM = 0.1
"""How far a climb goes before it looks anew for the tracks around it."""

NUM_TRACK_ROWS = 8
"""Place, slopes, 1 / sigma^2, that / (2 pi), and how far from the beam line the grid sees it."""

MAX_LANES = 96
"""Room for the points of a grid."""

REGISTER_LENGTH = 4
"""Numbers in a vector register: lanes are filled up to a multiple, or the rest goes one by one."""

X, Y, Z = 0, MAX_LANES, 2 * MAX_LANES
"""Where the rows of places begin in `lanes`, and after them the sums of p and its derivatives."""

S, SX, SY, SXX, SXY, SYY = range(3 * MAX_LANES, 9 * MAX_LANES, MAX_LANES)
Q, QX, QY, QXX, QXY, QYY = range(9 * MAX_LANES, 15 * MAX_LANES, MAX_LANES)
"""Of p^2, less a factor: its derivatives are 2, 2, 2, 4, 2 times these."""

P, UX, UY, ARGUMENT = range(15 * MAX_LANES, 19 * MAX_LANES, MAX_LANES)
"""Of one track."""

NUM_LANE_ROWS = 19

(
    AT_X,
    AT_Y,
    AT_Z,
    K,
    GX,
    GY,
    HXX,
    HXY,
    HYY,
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
) = range(19)
"""Rows of what is known of each climb."""
NUM_CLIMB_ROWS = 19


# numba infers the types of what it compiles: these functions carry none
@compiled()
def sum_up(tracks, num_tracks, lanes, num_lanes):  # type: ignore[no-untyped-def]
    """Fill the sums over the tracks at each lane's place.

    In short loops: a processor then works on several lanes at a time.

    Args:
        tracks: Rows of x, y, z, slopes in x and y, 1 / sigma^2, and that / (2 pi).
    """
    num_lanes += -num_lanes % REGISTER_LENGTH
    for row in range(S, P, MAX_LANES):
        for lane in range(num_lanes):
            lanes[row + lane] = 0.0
    for track in range(num_tracks):
        x_mm, y_mm, z_mm = tracks[0, track], tracks[1, track], tracks[2, track]
        slope_x, slope_y = tracks[3, track], tracks[4, track]
        w, height = tracks[5, track], tracks[6, track]
        half = -0.5 * w
        for lane in range(num_lanes):
            along = lanes[Z + lane] - z_mm
            dx = x_mm + slope_x * along - lanes[X + lane]
            dy = y_mm + slope_y * along - lanes[Y + lane]
            inside = 1.0 if (abs(dx) <= WINDOW_MM) & (abs(dy) <= WINDOW_MM) else 0.0
            lanes[ARGUMENT + lane] = inside * (half * (dx * dx + dy * dy))
            lanes[P + lane] = inside * height
            lanes[UX + lane] = w * dx
            lanes[UY + lane] = w * dy
        for lane in range(num_lanes):
            lanes[ARGUMENT + lane] = compute_root(lanes[ARGUMENT + lane])
        for lane in range(num_lanes):
            lanes[P + lane] *= raise_root(lanes[ARGUMENT + lane])
        for lane in range(num_lanes):
            p, ux, uy = lanes[P + lane], lanes[UX + lane], lanes[UY + lane]
            uxx, uyy, px = ux * ux, uy * uy, p * ux
            lanes[S + lane] += p
            lanes[SX + lane] += px
            lanes[SY + lane] += p * uy
            lanes[SXX + lane] += p * (uxx - w)
            lanes[SXY + lane] += px * uy
            lanes[SYY + lane] += p * (uyy - w)
            pp = p * p
            ppx = pp * ux
            lanes[Q + lane] += pp
            lanes[QX + lane] += ppx
            lanes[QY + lane] += pp * uy
            lanes[QXX + lane] += pp * (uxx + uxx - w)
            lanes[QXY + lane] += ppx * uy
            lanes[QYY + lane] += pp * (uyy + uyy - w)


@compiled(error_model="numpy")
def combine(lanes, lane):  # type: ignore[no-untyped-def]
    """Return K, the gradient of log K and its Hessian (xx, xy, yy) at a lane's place."""
    s = lanes[S + lane]
    if s < MIN_DENSITY:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    r = lanes[Q + lane] / s
    k = s - r
    if k <= 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    sx, sy = lanes[SX + lane], lanes[SY + lane]
    sxx, sxy, syy = lanes[SXX + lane], lanes[SXY + lane], lanes[SYY + lane]
    qx, qy = 2.0 * lanes[QX + lane], 2.0 * lanes[QY + lane]
    qxx, qxy, qyy = 2.0 * lanes[QXX + lane], 4.0 * lanes[QXY + lane], 2.0 * lanes[QYY + lane]
    rx = (qx - r * sx) / s
    ry = (qy - r * sy) / s
    gx = (sx - rx) / k
    gy = (sy - ry) / k
    hxx = (sxx - (qxx - 2.0 * rx * sx - r * sxx) / s) / k - gx * gx
    hxy = (sxy - (qxy - rx * sy - ry * sx - r * sxy) / s) / k - gx * gy
    hyy = (syy - (qyy - 2.0 * ry * sy - r * syy) / s) / k - gy * gy
    return k, gx, gy, hxx, hxy, hyy


@compiled(error_model="numpy")
def climb(tracks, num_tracks, beside, lanes, climbs, active, number):  # type: ignore[no-untyped-def]
    """Climb from each place to a maximum of K inside the limits.

    By Newton steps that never go down; all climbs take a step, then all that go on the next.

    Args:
        tracks: Of all the places, as `sum_up` takes them.
        beside: Room for as many.
        climbs: Rows of what is known; those of x, y, z hold the places, and of x, y, K the result.
        active: Room for the number of each climb.
        number: Of places.
    """
    for i in range(number):
        active[i] = i
        climbs[TRIAL_X, i], climbs[TRIAL_Y, i] = climbs[AT_X, i], climbs[AT_Y, i]
        climbs[K, i], climbs[STEPS, i] = -1.0, 0.0  # the place itself is taken as a step is
        climbs[SCALE, i], climbs[LENGTH, i] = 1.0, math.inf
    num_beside = -1
    while number > 0:
        if num_beside < 0 or _has_left(climbs, active, number):
            num_beside = _gather(tracks, num_tracks, beside, climbs, active, number)
        for lane in range(number):
            i = active[lane]
            lanes[X + lane], lanes[Y + lane] = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
            lanes[Z + lane] = climbs[AT_Z, i]
        sum_up(beside, num_beside, lanes, number)
        num_left = 0
        for lane in range(number):
            i = active[lane]
            if _go_on(climbs, i, combine(lanes, lane)):
                active[num_left] = i
                num_left += 1
        number = num_left


@compiled(error_model="numpy")
def _go_on(climbs, i, trial):  # type: ignore[no-untyped-def]
    """Take a climb's step or shorten it; says whether it has another place to try."""
    step_mm = climbs[SCALE, i] * climbs[LENGTH, i]
    if not (trial[0] > climbs[K, i] or step_mm < SMALLEST_STEP_MM):
        climbs[HALVINGS, i] += 1.0
        climbs[SCALE, i] *= 0.5
        _set_trial(climbs, i)
        return climbs[HALVINGS, i] < MAX_HALVINGS
    if trial[0] <= climbs[K, i]:
        return False
    climbs[AT_X, i], climbs[AT_Y, i] = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
    for row in range(6):
        climbs[K + row, i] = trial[row]
    is_last = climbs[SCALE, i] == 1.0 and climbs[LENGTH, i] < LAST_STEP_MM
    climbs[STEPS, i] += 1.0
    if trial[0] <= 0.0 or is_last or climbs[STEPS, i] > MAX_STEPS:
        return False
    x, y = climbs[AT_X, i], climbs[AT_Y, i]
    step_x, step_y = _choose_step(x, y, trial[1], trial[2], trial[3], trial[4], trial[5])
    length = max(abs(step_x), abs(step_y))
    if length < SMALLEST_STEP_MM:
        return False
    climbs[STEP_X, i], climbs[STEP_Y, i], climbs[LENGTH, i] = step_x, step_y, length
    climbs[SCALE, i] = min(1.0, MAX_STEP_MM / length)
    climbs[HALVINGS, i] = 0.0
    _set_trial(climbs, i)
    return True


@compiled(error_model="numpy")
def _set_trial(climbs, i):  # type: ignore[no-untyped-def]
    x = climbs[AT_X, i] + climbs[SCALE, i] * climbs[STEP_X, i]
    y = climbs[AT_Y, i] + climbs[SCALE, i] * climbs[STEP_Y, i]
    climbs[TRIAL_X, i] = min(max(x, -LIMIT_MM), LIMIT_MM)
    climbs[TRIAL_Y, i] = min(max(y, -LIMIT_MM), LIMIT_MM)


@compiled(error_model="numpy")
def _has_left(climbs, active, number):  # type: ignore[no-untyped-def]
    """Say whether a climb is about to leave what its tracks were gathered for."""
    for lane in range(number):
        i = active[lane]
        far_x = abs(climbs[TRIAL_X, i] - climbs[CENTER_X, i])
        far_y = abs(climbs[TRIAL_Y, i] - climbs[CENTER_Y, i])
        if max(far_x, far_y) > 0.99 * GATHERED_MM:
            return True
    return False


@compiled(error_model="numpy")
def _gather(tracks, num_tracks, beside, climbs, active, number):  # type: ignore[no-untyped-def]
    """Copy the tracks that say something within `GATHERED_MM` of a place; returns how many."""
    for lane in range(number):
        i = active[lane]
        climbs[CENTER_X, i], climbs[CENTER_Y, i] = climbs[TRIAL_X, i], climbs[TRIAL_Y, i]
    reach = WINDOW_MM + GATHERED_MM
    num_beside = 0
    for track in range(num_tracks):
        for lane in range(number):
            i = active[lane]
            along = climbs[AT_Z, i] - tracks[2, track]
            dx = tracks[0, track] + tracks[3, track] * along - climbs[TRIAL_X, i]
            dy = tracks[1, track] + tracks[4, track] * along - climbs[TRIAL_Y, i]
            if abs(dx) <= reach and abs(dy) <= reach:
                copy_track(tracks, track, beside, num_beside)
                num_beside += 1
                break
    return num_beside


@compiled()
def copy_track(tracks, track, others, number):  # type: ignore[no-untyped-def]
    """Copy a track to the place of that number."""
    for row in range(NUM_TRACK_ROWS):
        others[row, number] = tracks[row, track]


@compiled(error_model="numpy")
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

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

from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MIN_MM
from sweep.data.kernel_climb import (
    AT_X,
    AT_Y,
    AT_Z,
    LIMIT_MM,
    MAX_LANES,
    NUM_CLIMB_ROWS,
    NUM_LANE_ROWS,
    NUM_TRACK_ROWS,
    K,
    Q,
    S,
    X,
    Y,
    climb,
    copy_track,
)
from sweep.data.kernel_grid import (
    GRID_MM,
    MIN_DENSITY,
    NUM_GRID,
    NUM_POINTS,
    PART_LENGTH,
    PART_SIZE,
    S2,
    SIGMA_MM,
    SMALLEST_ARGUMENT,
    WINDOW_MM,
    compute_exponential,
    find_candidates,
    follow_tracks,
    go_to_next_bin,
)
from sweep.data.toy_event import Tracks
from sweep.machine.compiled import compiled

SIGMA_PER_CHI2_MM = 0.0125
MAX_GOOD_CHI2 = 6.0
"""Tracks with chi2 / 3 above 2 are drawn wider: 0.05 + 0.0125 (chi2 - 2) mm."""

BLOCK_BINS = 32
"""Neighbours whose tracks are looked for together, and whose maxima are climbed to together.

It divides the number of bins, and is at most `MAX_LANES`.
"""

FOLLOWED_BINS = 16
"""Bins after which the tracks' Gaussians are begun anew. In 15 bins a track of the steepest slope
(`MAX_TAN_THETA`) comes 0.84 mm nearer, so that one seen at 0.74 mm began at e^-499 of its height:
what `_fall` of `sweep.data.kernel_grid` still tells from nothing."""

SLACK_MM = 1e-9
"""Far above a rounding."""


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
@compiled(error_model="numpy")
def _compute_kernel(x_mm, y_mm, z_mm, slope_x, slope_y, chi2):  # type: ignore[no-untyped-def]
    num_tracks = len(x_mm)
    tracks = np.empty((NUM_TRACK_ROWS, num_tracks))
    _describe_tracks(tracks, x_mm, y_mm, z_mm, slope_x, slope_y, chi2)
    around = np.empty((NUM_TRACK_ROWS, num_tracks))
    beside = np.empty((NUM_TRACK_ROWS, num_tracks))
    seen = np.empty((NUM_TRACK_ROWS, num_tracks))
    parts = np.empty((num_tracks // PART_LENGTH + 1) * PART_SIZE)
    lines = np.zeros((2, NUM_GRID * PART_LENGTH), dtype=np.float32)
    sums = np.empty(2 * S2, dtype=np.float32)
    found = np.empty(NUM_POINTS, dtype=np.int64)
    lanes = np.zeros(NUM_LANE_ROWS * MAX_LANES)
    climbs = np.empty((NUM_CLIMB_ROWS, BLOCK_BINS))
    bins = np.empty(BLOCK_BINS, dtype=np.int64)
    active = np.empty(BLOCK_BINS, dtype=np.int64)
    estimate = np.zeros((3, NUM_BINS))
    for first in range(0, NUM_BINS, BLOCK_BINS):
        num_around, num_seen = _find_tracks(tracks, first, around, seen)
        if num_around < 2:
            continue
        room = parts, lines, sums, found, lanes
        number = _find_starts(around, num_around, seen, num_seen, first, climbs, bins, room)
        climb(around, num_around, beside, lanes, climbs, active, number)
        for i in range(number):
            estimate[0, bins[i]] = climbs[K, i]
            estimate[1, bins[i]] = climbs[AT_X, i]
            estimate[2, bins[i]] = climbs[AT_Y, i]
    return estimate[0], estimate[1], estimate[2]


@compiled()
def _find_starts(around, num_around, seen, num_seen, first, climbs, bins, room):  # type: ignore[no-untyped-def]
    """Fill in where the climbs of a block begin, and their bins; returns how many there are."""
    parts, lines, sums, found, lanes = room
    number = 0
    for index in range(first, first + BLOCK_BINS):
        z = Z_MIN_MM + (index + 0.5) * BIN_WIDTH_MM
        if (index - first) % FOLLOWED_BINS == 0:
            follow_tracks(seen, num_seen, z, parts)
        if _count_central(around, num_around, z) > 1:
            num_found, is_positive = find_candidates(seen, num_seen, z, parts, lines, sums, found)
            if num_found > 1 or not is_positive:
                is_positive = _choose_candidate(around, num_around, z, lanes, found, num_found)
            if is_positive:
                climbs[AT_X, number] = GRID_MM[found[0] // NUM_GRID]
                climbs[AT_Y, number] = GRID_MM[found[0] % NUM_GRID]
                climbs[AT_Z, number] = z
                bins[number] = index
                number += 1
        go_to_next_bin(num_seen, parts)
    return number


@compiled()
def _describe_tracks(tracks, x_mm, y_mm, z_mm, slope_x, slope_y, chi2):  # type: ignore[no-untyped-def]
    """Fill 1 / sigma^2 of each track and what follows of it."""
    for track in range(len(chi2)):
        tracks[0, track], tracks[1, track], tracks[2, track] = x_mm[track], y_mm[track], z_mm[track]
        tracks[3, track], tracks[4, track] = slope_x[track], slope_y[track]
        sigma = SIGMA_MM
        if chi2[track] > MAX_GOOD_CHI2:
            sigma += (chi2[track] - 2.0) * SIGMA_PER_CHI2_MM
        w = 1.0 / (sigma * sigma)
        tracks[5, track] = w
        tracks[6, track] = w / (2.0 * math.pi)
        # beyond it every quick Gaussian is below SMALLEST_FACTOR
        reach = math.sqrt(-2.0 * SMALLEST_ARGUMENT / w)
        tracks[7, track] = GRID_MM[NUM_GRID - 1] + min(reach, WINDOW_MM)


@compiled(error_model="numpy")
def _find_tracks(tracks, first, around, seen):  # type: ignore[no-untyped-def]
    """Copy the tracks that say something in a block: anywhere, and on the grid."""
    begin = Z_MIN_MM + (first + 0.5) * BIN_WIDTH_MM
    end = begin + (BLOCK_BINS - 1) * BIN_WIDTH_MM
    num_around = num_seen = 0
    reach = LIMIT_MM + WINDOW_MM + SLACK_MM
    for track in range(tracks.shape[1]):
        x_begin = tracks[0, track] + tracks[3, track] * (begin - tracks[2, track])
        x_end = tracks[0, track] + tracks[3, track] * (end - tracks[2, track])
        y_begin = tracks[1, track] + tracks[4, track] * (begin - tracks[2, track])
        y_end = tracks[1, track] + tracks[4, track] * (end - tracks[2, track])
        nearest = max(
            max(min(x_begin, x_end), -max(x_begin, x_end)),
            max(min(y_begin, y_end), -max(y_begin, y_end)),
        )
        if nearest < reach:
            copy_track(tracks, track, around, num_around)
            num_around += 1
        if nearest < tracks[7, track] + SLACK_MM:
            copy_track(tracks, track, seen, num_seen)
            num_seen += 1
    return num_around, num_seen


@compiled(error_model="numpy")
def _count_central(around, num_around, z):  # type: ignore[no-untyped-def]
    """Count the tracks that pass close to the beam line."""
    number = 0
    for track in range(num_around):
        along = z - around[2, track]
        x = around[0, track] + around[3, track] * along
        y = around[1, track] + around[4, track] * along
        number += (abs(x) < WINDOW_MM) & (abs(y) < WINDOW_MM)
    return number


@compiled(error_model="numpy")
def _choose_candidate(around, num_around, z, lanes, found, num_found):  # type: ignore[no-untyped-def]
    """Put the candidate with the largest K first, the first of equal ones.

    As defined, track by track in their order. Returns whether that K is positive.
    """
    for lane in range(num_found):
        lanes[X + lane] = GRID_MM[found[lane] // NUM_GRID]
        lanes[Y + lane] = GRID_MM[found[lane] % NUM_GRID]
        lanes[S + lane] = lanes[Q + lane] = 0.0
    for track in range(num_around):
        along = z - around[2, track]
        x = around[0, track] + around[3, track] * along
        y = around[1, track] + around[4, track] * along
        half, height = -0.5 * around[5, track], around[6, track]
        for lane in range(num_found):
            dx = x - lanes[X + lane]
            dy = y - lanes[Y + lane]
            inside = 1.0 if (abs(dx) <= WINDOW_MM) & (abs(dy) <= WINDOW_MM) else 0.0
            p = inside * (height * compute_exponential(inside * (half * dx * dx)))
            p = p * compute_exponential(inside * (half * dy * dy))
            lanes[S + lane] += p
            lanes[Q + lane] += p * p
    best = 0.0
    for lane in range(num_found):
        s = lanes[S + lane]
        value = s - lanes[Q + lane] / s if s >= MIN_DENSITY else 0.0
        if value > best:
            best = value
            found[0] = found[lane]
    return best > 0.0

"""How one toy event is drawn: what is drawn, from which distribution.

A parametric stand-in for PV-Finder's Pythia and toy VELO chain (docs/PHYSICS.md, "Toy events"). Its
first constants were those of ten published events; where one was changed its line says so: it was
set against 5,000 events and 100 events' tracks of the real chain. Draws are rounded to 1e-7, far
below any effect, so that the last bit of a machine's logarithm or cosine is not seen and a set has
the same content everywhere. A change of any constant, of the order of the draws, or of
the kernel, is a new `TOY_VERSION` (`sweep.data.asked`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.vertices import Vertices

MEAN_VERTICES = 7.6
MEAN_EMPTY_VERTICES = 2.9  # at first 18 % of the full ones; 10.5 vertices in all in the real chain
BEAM_WIDTH_MM = 0.055
BEAM_CENTER_Z_MM = 100.0
BEAM_LENGTH_Z_MM = 63.0
TRACKS_SHAPE = 1.5
TRACKS_MEAN = 23.2  # at first 25.5; 173 tracks an event in the real chain
MEDIAN_TAN_THETA = 0.077  # at first 0.079; 0.0695 in the real chain
SPREAD_LN_TAN_THETA = 0.95
MAX_TAN_THETA = 0.56
PT_MIN_GEV = 0.05
PT_SHAPE = 2.0
PT_SCALE_GEV = 0.22
IMPACT_FLOOR_MM = 0.025
IMPACT_SCATTERING_MM_GEV = 0.0155  # at first 0.0185; closest approach to the beam is smaller
GHOST_SHARE = 0.10
GHOST_SPREAD_MM = 0.15  # at first 0.25; closest approach to the beam is smaller
MAX_DISTANCE_MM = 0.5  # tracks further from the beam are not made, as in the real chain
SECONDARY_SHARE = 0.06
SECONDARY_FLIGHT_MM = 8.0
CHI2_SCALE = 1.43
MAX_CHI2 = 30.0  # nor those with a worse fit; that of ghosts is flat below it
ACCEPTANCE = 0.575  # at first 0.52, with more tracks
HIDDEN_SHARE = 0.055  # of vertices have no track in acceptance: they fly the other way
MIN_TRACKS_CATEGORY_1 = 5
ROUNDING_DIGITS = 7


@dataclass(frozen=True)
class Tracks:
    """Straight tracks of one event.

    Attributes:
        x_mm: x at `z_mm`, shape (T,).
        y_mm: y at `z_mm`, shape (T,).
        z_mm: Reference position of each track, shape (T,).
        slope_x: dx/dz, shape (T,).
        slope_y: dy/dz, shape (T,).
        chi2: Fit chi-squared, not divided by its 3 degrees of freedom, shape (T,).
    """

    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    z_mm: NDArray[np.float64]
    slope_x: NDArray[np.float64]
    slope_y: NDArray[np.float64]
    chi2: NDArray[np.float64]


def draw_event(seed: int, index: int) -> tuple[Tracks, Vertices]:
    """Draw one event's vertices and tracks.

    Args:
        seed: Seed of the whole set, at least 0.
        index: Number of the event in its set, at least 0; event and seed decide everything, so an
            event is the same in a set of any size, made by any number of threads.

    Returns:
        The tracks (possibly none) and the vertices of this one event.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
    num_full = int(rng.poisson(MEAN_VERTICES))
    num_empty = int(rng.poisson(MEAN_EMPTY_VERTICES))
    num_vertices = num_full + num_empty
    position = rng.normal(size=(3, num_vertices))
    x, y = BEAM_WIDTH_MM * position[:2]
    z = BEAM_CENTER_Z_MM + BEAM_LENGTH_Z_MM * position[2]
    means = rng.gamma(TRACKS_SHAPE, TRACKS_MEAN / TRACKS_SHAPE, size=num_full)
    multiplicity = np.maximum(1, rng.poisson(means))
    is_hidden = rng.uniform(size=num_full) < HIDDEN_SHARE
    accepted = rng.binomial(multiplicity, np.where(is_hidden, 0.0, ACCEPTANCE))
    owner = np.repeat(np.arange(num_full), multiplicity)
    tracks = _draw_tracks(rng, x[owner], y[owner], z[owner])
    num_tracks = np.concatenate([accepted, np.zeros(num_empty, dtype=np.int64)])
    category = np.where(num_tracks >= MIN_TRACKS_CATEGORY_1, 1, 0)
    category[num_full:] = -1
    vertices = Vertices(
        z.astype(np.float32),
        num_tracks.astype(np.int16),
        category.astype(np.int8),
        np.array([0, num_vertices], dtype=np.int64),
    )
    return tracks, vertices


def _draw_tracks(
    rng: np.random.Generator,
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    z_mm: NDArray[np.float64],
) -> Tracks:
    """Draw one track through each given point, smeared by its momentum, its kind and its origin."""
    num_tracks = len(x_mm)
    tan_theta = _draw_tan_theta(rng, num_tracks)
    phi = rng.uniform(0.0, 2.0 * math.pi, size=num_tracks)
    pt_gev = PT_MIN_GEV + rng.gamma(PT_SHAPE, PT_SCALE_GEV, size=num_tracks)
    spread_mm = np.hypot(IMPACT_FLOOR_MM, IMPACT_SCATTERING_MM_GEV / pt_gev)
    is_ghost = rng.uniform(size=num_tracks) < GHOST_SHARE
    smear = spread_mm * rng.normal(size=(2, num_tracks))
    smear += np.where(is_ghost, GHOST_SPREAD_MM, 0.0) * rng.normal(size=(2, num_tracks))
    is_secondary = rng.uniform(size=num_tracks) < SECONDARY_SHARE
    flight_mm = rng.exponential(SECONDARY_FLIGHT_MM, size=num_tracks)
    chi2 = CHI2_SCALE * rng.chisquare(2.0, size=num_tracks)
    chi2 = np.where(is_ghost, rng.uniform(0.0, MAX_CHI2, size=num_tracks), chi2)
    columns = np.stack(
        [
            x_mm + smear[0],
            y_mm + smear[1],
            z_mm + np.where(is_secondary, flight_mm, 0.0),
            tan_theta * np.cos(phi),
            tan_theta * np.sin(phi),
            chi2,
        ]
    )
    # closest approach to the beam line is the component across the track's direction
    distance_mm = np.abs(columns[0] * np.sin(phi) - columns[1] * np.cos(phi))
    kept = (distance_mm < MAX_DISTANCE_MM) & (chi2 < MAX_CHI2)
    return Tracks(*np.round(columns[:, kept], ROUNDING_DIGITS))


def _draw_tan_theta(rng: np.random.Generator, num_tracks: int) -> NDArray[np.float64]:
    """Draw from the log-normal, again where it is beyond the cut."""
    tan_theta = np.full(num_tracks, np.inf)
    while (beyond := tan_theta > MAX_TAN_THETA).any():
        tan_theta[beyond] = MEDIAN_TAN_THETA * np.exp(
            SPREAD_LN_TAN_THETA * rng.normal(size=int(beyond.sum()))
        )
    return tan_theta

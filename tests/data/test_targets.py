"""Targets are those of docs/PHYSICS.md, "Target" without the reference's faults at the edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweep.data.geometry import compute_bin_centers_mm
from sweep.data.targets import compute_resolution_mm, fill_targets, mask_target


def fill_target(z_mm: np.ndarray, num_tracks: np.ndarray) -> np.ndarray:
    """The histogram of vertices that are all wanted."""
    return fill_targets(z_mm, num_tracks, np.ones(len(z_mm), dtype=np.bool_))[0]


@pytest.mark.parametrize(
    ("num_tracks", "sigma_mm"), [(0, 0.1), (3, 0.1), (5, 0.25), (10, 0.1445), (40, 0.0525)]
)
def test_resolution_follows_the_published_fit(num_tracks: int, sigma_mm: float) -> None:
    """The table of docs/PHYSICS.md, "Target"."""
    assert compute_resolution_mm(num_tracks) == pytest.approx(sigma_mm, abs=6e-4)


@pytest.mark.parametrize(("num_tracks", "area"), [(3, 1.5), (10, 1.04), (20, 1.75), (80, 4.41)])
def test_narrow_vertices_have_enlarged_areas(num_tracks: int, area: float) -> None:
    """A vertex sharper than 0.15 mm keeps its height by a larger area."""
    target = fill_target(np.array([100.0]), np.array([num_tracks]))
    assert target.sum() == pytest.approx(area, rel=0.005)


def test_a_vertex_fills_eleven_bins_around_its_own() -> None:
    """The window is five bins on each side of floor((z + 99.95) * 10)."""
    target = fill_target(np.array([100.02]), np.array([5]))
    assert np.flatnonzero(target).tolist() == list(range(1994, 2005))


def test_close_vertices_add() -> None:
    """Two vertices give the sum of each alone."""
    z, tracks = np.array([50.0, 50.3]), np.array([8, 12])
    alone = fill_target(z[:1], tracks[:1]) + fill_target(z[1:], tracks[1:])
    np.testing.assert_allclose(fill_target(z, tracks), alone, rtol=1e-12)


@pytest.mark.parametrize(
    ("z_mm", "filled"), [(-99.94, range(0, 6)), (299.9, range(3993, 4000)), (-99.96, ()), (320, ())]
)
def test_the_ends_of_the_histogram_clip(z_mm: float, filled: range) -> None:
    """A window that leaves the histogram neither wraps to the other end nor drops the vertex."""
    target = fill_target(np.array([z_mm]), np.array([5]))
    assert np.flatnonzero(target).tolist() == list(filled)


def test_no_vertex_is_an_empty_target() -> None:
    """An event may have nothing to find."""
    assert not fill_target(np.empty(0), np.empty(0, dtype=np.int64)).any()


def test_only_bins_of_other_vertices_are_masked() -> None:
    """The mask needs the other above 0.01 and the target below 0.01, both strictly."""
    target = np.array([0.0, 0.005, 0.0101, 0.0, 0.5], dtype=np.float32)
    other = np.array([0.02, 0.02, 0.02, 0.0099, 0.5], dtype=np.float32)
    assert np.isnan(mask_target(target, other)).tolist() == [True, True, False, False, False]


def test_real_targets_are_reproduced(shared_data: Path) -> None:
    """From the generated vertices of real events the stored float16 targets and masks come back."""
    with np.load(shared_data / "pvfinder_toy_val.npz", allow_pickle=False) as archive:
        data = {
            key: archive[key] for key in ("y", "pv_z", "pv_tracks", "pv_category", "pv_offsets")
        }
    for event in range(50):
        rows = slice(data["pv_offsets"][event], data["pv_offsets"][event + 1])
        z, tracks = data["pv_z"][rows], data["pv_tracks"][rows]
        wanted = data["pv_category"][rows] == 1
        target, other = fill_targets(z, tracks, wanted).astype(np.float32)
        ours, theirs = mask_target(target, other), data["y"][event].astype(np.float32)
        assert np.mean(np.isnan(ours) != np.isnan(theirs)) < 5e-4
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        np.testing.assert_allclose(ours[both], theirs[both], rtol=2e-3, atol=2e-4)
    assert len(compute_bin_centers_mm()) == 4000

"""Reflections of events are exact: reflected tracks and vertices give what the function gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.geometry import Z_MAX_MM, Z_MIN_MM
from sweep.data.kernel import compute_kernel
from sweep.data.targets import fill_targets, mask_target
from sweep.data.toy_event import Tracks, draw_event
from sweep.training.augmentation import (
    EXCHANGE_XY,
    MIRROR_X,
    MIRROR_Y,
    NUM_REFLECTIONS,
    TURN_Z,
    Reflections,
    reflect,
)

CPU = torch.device("cpu")


def reflect_tracks(tracks: Tracks, reflection: int) -> Tracks:
    """Reflect the tracks themselves."""
    x, y, z, slope_x, slope_y = (
        getattr(tracks, name) for name in ("x_mm", "y_mm", "z_mm", "slope_x", "slope_y")
    )
    if reflection & TURN_Z:
        z, slope_x, slope_y = Z_MIN_MM + Z_MAX_MM - z, -slope_x, -slope_y
    if reflection & MIRROR_X:
        x, slope_x = -x, -slope_x
    if reflection & MIRROR_Y:
        y, slope_y = -y, -slope_y
    if reflection & EXCHANGE_XY:
        x, y, slope_x, slope_y = y, x, slope_y, slope_x
    return dataclasses.replace(tracks, x_mm=x, y_mm=y, z_mm=z, slope_x=slope_x, slope_y=slope_y)


def compute_features(tracks: Tracks) -> Tensor:
    """Give the features (4, 4000) of tracks in double precision."""
    kernel, x_mm, y_mm = compute_kernel(tracks)
    return torch.from_numpy(np.stack([kernel, kernel * kernel, 2 * x_mm, 2 * y_mm]))


def compute_target(z_mm: NDArray[np.float32], num_tracks: NDArray[np.int16]) -> Tensor:
    """Give the masked target (4000,) of vertices, those with 5 tracks or more to be found."""
    target, other = fill_targets(z_mm, num_tracks, num_tracks >= 5).astype(np.float32)
    return torch.from_numpy(mask_target(target, other))


@pytest.mark.parametrize("reflection", [TURN_Z, MIRROR_X, MIRROR_Y, EXCHANGE_XY, 15])
def test_features_are_those_of_reflected_tracks(reflection: int) -> None:
    """Reflecting an event's tracks gives its reflected features, in 98 of 100 bins.

    In the others neighbours are at different maxima, of which the density's search, from left to
    right in blocks of bins, may know either.
    """
    tracks, _vertices = draw_event(seed=5, index=3)
    x_BCL = compute_features(tracks)[None]
    found, _ = reflect(x_BCL, torch.zeros(1, 4000), torch.tensor([reflection]))
    expected = compute_features(reflect_tracks(tracks, reflection))
    is_close = torch.isclose(found[0], expected, rtol=1e-3, atol=1e-3).all(dim=0)
    assert is_close.float().mean() > 0.98
    assert not torch.allclose(x_BCL[0], expected, atol=1e-3)


@pytest.mark.parametrize("index", range(4))
def test_targets_are_those_of_reflected_vertices(index: int) -> None:
    """A turned target is, where not masked, that of the vertices at the other side; of the bins
    that are asked for it masks few."""
    _tracks, vertices = draw_event(seed=6, index=index)
    order = np.argsort(vertices.z_mm)
    z_mm, num_tracks = vertices.z_mm[order], vertices.num_tracks[order]
    apart = np.diff(z_mm, prepend=-1e3) > 1.3  # a window within another's is another test
    z_mm, num_tracks = z_mm[apart], num_tracks[apart]
    y_BL = compute_target(z_mm, num_tracks)[None]
    x_BCL = torch.zeros(1, 4, 4000)
    _, turned_BL = reflect(x_BCL, y_BL, torch.tensor([TURN_Z]))
    expected = compute_target((Z_MIN_MM + Z_MAX_MM - z_mm).astype(np.float32), num_tracks)
    is_asked = ~turned_BL[0].isnan()
    torch.testing.assert_close(turned_BL[0][is_asked], expected[is_asked], atol=1e-4, rtol=1e-4)
    num_lost = int((~expected.isnan() & ~is_asked).sum())
    assert 0 < num_lost <= 2 * len(z_mm)


def test_windows_that_overlap_are_nearly_those_of_reflected_vertices() -> None:
    """Two vertices within a millimetre: the bin that one window has more differs by its little."""
    z_mm, num_tracks = np.array([50.02, 50.73], np.float32), np.array([6, 30], np.int16)
    y_BL = compute_target(z_mm, num_tracks)[None]
    _, turned_BL = reflect(torch.zeros(1, 4, 4000), y_BL, torch.tensor([TURN_Z]))
    expected = compute_target((Z_MIN_MM + Z_MAX_MM - z_mm).astype(np.float32), num_tracks)
    difference = (turned_BL[0] - expected).nan_to_num().abs()
    assert 1e-3 < float(difference.max()) < 0.03


def test_each_event_has_its_own_reflection() -> None:
    """A batch of all sixteen: each event is reflected as alone, 0 changes nothing."""
    generator = torch.Generator().manual_seed(1)
    x_BCL = torch.rand(1, 4, 40, generator=generator).expand(NUM_REFLECTIONS, -1, -1)
    y_BL = torch.rand(1, 40, generator=generator).expand(NUM_REFLECTIONS, -1)
    every_B = torch.arange(NUM_REFLECTIONS)
    found_BCL, found_BL = reflect(x_BCL, y_BL, every_B)
    assert torch.equal(found_BCL[0], x_BCL[0])
    assert torch.equal(found_BL[0], y_BL[0])
    assert len({event.numpy().tobytes() for event in found_BCL}) == NUM_REFLECTIONS
    for number in every_B.tolist():
        alone, _ = reflect(x_BCL[:1], y_BL[:1], every_B[number : number + 1])
        assert torch.equal(alone[0], found_BCL[number])


def test_reflections_are_known_by_the_step() -> None:
    """Draws depend on seed and step alone, differ from step to step, and leave the share alone."""
    steps = [torch.tensor(number) for number in range(200)]
    first, again, other, few = (
        torch.stack([reflections.choose_B(step, 32) for step in steps])
        for reflections in (
            Reflections(1.0, 3, CPU),
            Reflections(1.0, 3, CPU),
            Reflections(1.0, 4, CPU),
            Reflections(0.25, 3, CPU),
        )
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    counts = first.flatten().bincount(minlength=NUM_REFLECTIONS).double() / first.numel()
    torch.testing.assert_close(counts, torch.full((16,), 1 / 16).double(), atol=0.02, rtol=0)
    assert 0.18 < float((few != 0).double().mean()) < 0.29

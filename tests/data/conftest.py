"""A cache of its own for every test, and small course files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweep.data.geometry import NUM_BINS, NUM_FEATURES

WriteNpz = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory in place of the user's."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("SWEEP_CACHE", str(directory))
    return directory


def make_arrays(num_events: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make X and y (float32), mostly zero, exact in float16, with some bins masked."""
    rng = np.random.default_rng(seed)
    x = np.zeros((num_events, NUM_FEATURES, NUM_BINS), dtype=np.float32)
    y = np.zeros((num_events, NUM_BINS), dtype=np.float32)
    x[:, :, 500:600] = rng.integers(0, 1024, size=(num_events, NUM_FEATURES, 100)) / 1024
    y[:, 500:600] = rng.integers(0, 64, size=(num_events, 100)) / 64
    y[:, 100:110] = np.nan
    return x, y


@pytest.fixture
def write_npz(tmp_path: Path) -> WriteNpz:
    """Write arrays (by default 6 seeded events) as a compressed archive and return its path."""

    def write(name: str = "Set_1.npz", /, **arrays: np.ndarray) -> Path:
        if not arrays:
            arrays = dict(zip(("X", "y"), make_arrays(6), strict=True))
        np.savez_compressed(tmp_path / name, **arrays)
        return tmp_path / name

    return write

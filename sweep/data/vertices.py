"""The generated primary vertices of a set of events, where the source kept them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERTEX_KEYS = ("pv_z", "pv_tracks", "pv_category", "pv_offsets")


@dataclass(frozen=True)
class Vertices:
    """Generated primary vertices of N events, one row a vertex, V rows in all.

    Attributes:
        z_mm: True position along the beam, float32, shape (V,).
        num_tracks: Charged particles in acceptance (docs/PHYSICS.md, "Vertices"), int16,
            shape (V,).
        category: 1 with at least 5 of them, 0 with fewer, -1 with fewer than two prompt tracks;
            int8, shape (V,).
        offsets: Event i owns rows `offsets[i]:offsets[i + 1]`; int64, shape (N + 1,).
    """

    z_mm: NDArray[np.float32]
    num_tracks: NDArray[np.int16]
    category: NDArray[np.int8]
    offsets: NDArray[np.int64]

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[np.generic]], num_events: int
    ) -> Vertices | None:
        """Build from the arrays `pv_z`, `pv_tracks`, `pv_category`, `pv_offsets` of a file.

        Returns:
            The vertices, or None when an array is missing or they do not fit together.
        """
        if any(key not in arrays for key in VERTEX_KEYS):
            return None
        z, tracks, category, offsets = (np.asarray(arrays[key]) for key in VERTEX_KEYS)
        if offsets.shape != (num_events + 1,) or offsets.dtype.kind not in "iu":
            return None
        if (
            offsets[0] != 0
            or offsets[-1] != len(z)
            or np.any(np.diff(offsets.astype(np.int64)) < 0)
        ):
            return None
        if not len(z) == len(tracks) == len(category):
            return None
        return cls(
            z.astype(np.float32),
            tracks.astype(np.int16),
            category.astype(np.int8),
            offsets.astype(np.int64),
        )

    @classmethod
    def join(cls, parts: Sequence[Vertices]) -> Vertices:
        """Put the events of several, at least one, one after the other."""
        counts_N = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            np.concatenate([part.z_mm for part in parts]),
            np.concatenate([part.num_tracks for part in parts]),
            np.concatenate([part.category for part in parts]),
            np.concatenate([[0], np.cumsum(counts_N)]).astype(np.int64),
        )

    def take_event(self, event: int) -> Vertices:
        """Give those of one event."""
        start, stop = self.offsets[event : event + 2].tolist()
        return Vertices(
            self.z_mm[start:stop],
            self.num_tracks[start:stop],
            self.category[start:stop],
            np.array([0, stop - start]),
        )

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the four arrays under the names that `from_arrays` reads."""
        return dict(
            zip(VERTEX_KEYS, (self.z_mm, self.num_tracks, self.category, self.offsets), strict=True)
        )

    def count_by_event(self, category: int) -> NDArray[np.int64]:
        """Count the vertices of one category in each event."""
        running = np.concatenate([[0], np.cumsum(self.category == category)])
        return np.asarray(running[self.offsets[1:]] - running[self.offsets[:-1]], dtype=np.int64)

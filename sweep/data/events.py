"""A set of events as everything else sees it: indexable, identified by content, mapped from disk.

Suffixes: B event of a batch, N event of a set, C feature, L bin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweep.data.geometry import NUM_BINS, NUM_FEATURES
from sweep.data.progress import Progress
from sweep.data.store import EventStore
from sweep.data.vertices import Vertices


class EventSet:
    """An immutable list of events that may join several stores and may be a part of them.

    Nothing is read until it is asked for. A set can be sent to another process (pickled): only
    paths and indices travel, and all processes share one copy of the arrays in memory.
    """

    def __init__(self, stores: Sequence[EventStore], rows: NDArray[np.int64] | None = None) -> None:
        """Join stores.

        Args:
            rows: Which events to keep, in which order, as indices into the joined stores, shape
                (N,); all by default.
        """
        self._stores = tuple(stores)
        self._starts = np.cumsum([0, *(store.num_events for store in stores)], dtype=np.int64)
        self._rows = np.arange(self._starts[-1], dtype=np.int64) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"EventSet({len(self)} events from {', '.join(self.labels)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """Where the events came from, for people, one entry a store."""
        return tuple(store.label for store in self._stores)

    @property
    def dtypes(self) -> tuple[str, str]:
        """Types of features and targets on disk: `float16`, `float32` or `float16, float32`."""
        x_names = sorted({store.x_NCL.dtype.name for store in self._stores})
        y_names = sorted({store.y_NL.dtype.name for store in self._stores})
        return ", ".join(x_names), ", ".join(y_names)

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """Content hash of each event's features, taken as float16; shape (N,).

        The same event has the same hash whatever float dtype its file has, and whatever its
        target is.
        """
        return np.concatenate([store.hashes for store in self._stores])[self._rows]

    @cached_property
    def fingerprint(self) -> str:
        """Identify the content (features, targets, masks, order) by 16 hex digits."""
        digests = np.concatenate([store.digests for store in self._stores])[self._rows]
        content = np.ascontiguousarray(digests, dtype="<u8").tobytes()
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    @cached_property
    def num_generated_vertices(self) -> NDArray[np.int64] | None:
        """Generated category-1 vertices of each event, shape (N,); None where not all are known."""
        counts = []
        for store in self._stores:
            if store.vertices is None:
                return None
            counts.append(store.vertices.count_by_event(1))
        return np.concatenate(counts)[self._rows]

    def load_vertices(self) -> Vertices | None:
        """Read the generated vertices of the events, in their order; None where not all are known.

        Returns:
            The vertices of all categories; `offsets` has shape (N + 1,).
        """
        known = [store.vertices for store in self._stores]
        parts = []
        for row in self._rows.tolist():
            number = int(np.searchsorted(self._starts, row, side="right")) - 1
            vertices = known[number]
            if vertices is None:
                return None
            parts.append(vertices.take_event(row - int(self._starts[number])))
        return Vertices.join(parts)

    def take(self, indices: ArrayLike) -> EventSet:
        """Select events.

        Args:
            indices: Which, in which order, each in [0, len(self)); may be empty; shape (K,).

        Returns:
            A set of K events that shares the stores.

        Raises:
            IndexError: When an index is out of range.
        """
        return EventSet(self._stores, self._find_rows(indices))

    def join(self, other: EventSet) -> EventSet:
        """Append another set; the stores are shared."""
        moved = other._rows + self._starts[-1]
        return EventSet((*self._stores, *other._stores), np.concatenate((self._rows, moved)))

    def load(self, indices: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read events into memory.

        Args:
            indices: Which, in which order, each in [0, len(self)), shape (B,).

        Returns:
            x_BCL, shape (B, 4, 4000), and y_BL, shape (B, 4000), NaN where masked: fresh contiguous
            float32 arrays that the caller may change.

        Raises:
            IndexError: When an index is out of range.
        """
        rows = self._find_rows(indices)
        x_BCL = np.empty((len(rows), NUM_FEATURES, NUM_BINS), dtype=np.float32)
        y_BL = np.empty((len(rows), NUM_BINS), dtype=np.float32)
        for number, store in enumerate(self._stores):
            first, last = self._starts[number], self._starts[number + 1]
            kept = np.flatnonzero((rows >= first) & (rows < last))
            for row in kept:
                x_BCL[row] = store.x_NCL[rows[row] - first]
                y_BL[row] = store.y_NL[rows[row] - first]
        return x_BCL, y_BL

    def iterate(
        self, num_events: int, progress: Progress | None = None
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Read all events in order, so many at a time, as `load` does."""
        for start in range(0, len(self), num_events):
            stop = min(start + num_events, len(self))
            yield self.load(np.arange(start, stop))
            if progress is not None:
                progress(stop, len(self))

    def _find_rows(self, indices: ArrayLike) -> NDArray[np.int64]:
        chosen = np.asarray(indices, dtype=np.int64).reshape(-1)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise IndexError(
                f"events: index out of range, got {chosen.min()} to {chosen.max()}, "
                f"expected 0 to {len(self) - 1}"
            )
        return self._rows[chosen]

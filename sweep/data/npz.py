"""Course files: `.npz` archives with `X` (N, 4, 4000) and `y` (N, 4000), read as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sweep.data.archive import Archive
from sweep.data.geometry import NUM_BINS, NUM_FEATURES
from sweep.data.npy import ArrayHeader
from sweep.data.vertices import VERTEX_KEYS, Vertices
from sweep.errors import DataError

CHUNK_EVENTS = 64
X_SHAPE = (NUM_FEATURES, NUM_BINS)
Y_SHAPE = (NUM_BINS,)
MAX_VERTICES_PER_EVENT = 1000


class NpzEvents:
    """The events of one archive, as an `EventReader`; its headers are checked."""

    parts: tuple[Path, ...] = ()

    def __init__(
        self,
        path: Path,
        x_key: str | None = None,
        y_key: str | None = None,
        scratch: Path | None = None,
        *,
        needs_target: bool = True,
    ) -> None:
        """Read the headers of the two arrays, and of others only to find them by their shape.

        Args:
            x_key: Name of the features; by default `X`, else the one array of shape (N, 4, 4000).
            y_key: Name of the targets; by default `y`, else the one array of shape (N, 4000).
            scratch: Directory for unnamed copies of arrays in Fortran order.
            needs_target: Whether the targets are looked for; only `read_features` does without.

        Raises:
            DataError: When the file is no archive, encrypted or damaged, claims more than it can
                hold, holds pickled objects under these names, has no such arrays, or they do not
                fit each other.
        """
        self._archive = Archive(path)
        self._scratch = scratch
        arrays = {"X": (x_key, X_SHAPE)} | ({"y": (y_key, Y_SHAPE)} if needs_target else {})
        chosen = [self._choose_array(usual, *rule) for usual, rule in arrays.items()]
        self._keys, headers = [key for key, _ in chosen], [header for _, header in chosen]
        self.num_events = headers[0].shape[0]
        if headers[-1].shape[0] != self.num_events:
            raise DataError(
                f"{path}: {' and '.join(self._keys)} differ in length, got {self.num_events} and "
                f"{headers[-1].shape[0]} events, expected as many; make the file again"
            )
        if self.num_events == 0:
            raise DataError(f"{path}: no events, got 0, expected at least 1; give another file")
        for key, header in chosen:
            self._archive.check_claim(key, header)
        self.dtypes = (headers[0].dtype, headers[-1].dtype)
        self.num_scratch_bytes = sum(
            header.num_value_bytes for header in headers if header.fortran_order
        )

    def read_chunks(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Unpack the events in order, as stored, at most 64 at a time."""
        x_rows, y_rows = map(self._read_rows, self._keys)
        yield from zip(x_rows, y_rows, strict=True)

    def read_features(self) -> Iterator[NDArray[Any]]:
        """Unpack the features alone, in order, as stored, at most 64 events at a time."""
        yield from self._read_rows(self._keys[0])

    def verify(self) -> None:
        """Unpack the arrays for their checksums alone."""
        for key in self._keys:
            for _ in self._read_rows(key):
                pass

    def _read_rows(self, key: str) -> Iterator[NDArray[Any]]:
        return self._archive.read_rows(key, CHUNK_EVENTS, self._scratch)

    def read_vertices(self) -> Vertices | None:
        """Read `pv_z`, `pv_tracks`, `pv_category` and `pv_offsets`, where the file has them all.

        Returns:
            The vertices; None where one is missing, or is no list of numbers as long as they are.

        Raises:
            DataError: When the archive is damaged.
        """
        headers = {
            key: self._archive.find_header(key) for key in VERTEX_KEYS if key in self._archive.keys
        }
        most = MAX_VERTICES_PER_EVENT * self.num_events
        if len(headers) < len(VERTEX_KEYS) or not all(
            header
            and header.dtype.kind in "fiu"
            and len(header.shape) == 1
            and header.shape[0] <= most + 1
            for header in headers.values()
        ):
            return None
        arrays = {key: self._archive.read_array(key) for key in VERTEX_KEYS}
        return Vertices.from_arrays(arrays, self.num_events)

    def _choose_array(
        self, usual: str, asked: str | None, tail: tuple[int, ...]
    ) -> tuple[str, ArrayHeader]:
        """Find an array by option, by its usual name, or by its shape."""
        where, keys = self._archive.path, self._archive.keys
        rule = "(N, " + ", ".join(str(length) for length in tail) + ")"
        if asked is not None and asked not in keys:
            raise DataError(
                f"{where}: unknown key, got {asked}, expected one of "
                f"{self._archive.list_arrays()}; choose with --{usual.lower()}-key"
            )
        key = asked or (usual if usual in keys else self._find_by_shape(tail))
        if key is None:
            raise DataError(
                f"{where}: unknown keys, got {self._archive.list_arrays()}, expected {usual} or "
                f"exactly one array of shape {rule}; name it with --{usual.lower()}-key"
            )
        header = self._archive.read_header(key)
        if header.dtype.hasobject:
            raise DataError(
                f"{where}: {key} holds pickled objects, got dtype {header.dtype}, expected "
                "floats; objects are never unpickled, save it as a plain float array"
            )
        if header.shape[1:] != tail or len(header.shape) != 1 + len(tail):
            raise DataError(
                f"{where}: {key}: wrong shape, got {header.shape}, expected {rule}; "
                f"the file has {self._archive.list_arrays()}"
            )
        if header.dtype.kind != "f":
            raise DataError(
                f"{where}: {key}: wrong type, got {header.dtype}, expected float16, float32 "
                "or float64; convert it with astype"
            )
        return key, header

    def _find_by_shape(self, tail: tuple[int, ...]) -> str | None:
        """Find the only array of a shape; None where there are none, or several."""
        headers = {key: self._archive.find_header(key) for key in self._archive.keys}
        fitting = [
            key
            for key, header in headers.items()
            if header and header.shape[1:] == tail and len(header.shape) == 1 + len(tail)
        ]
        return fitting[0] if len(fitting) == 1 else None

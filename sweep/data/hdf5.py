"""PV-Finder's HDF5 files, turned into the four features and the masked target.

The files are stored in uc-lhcb/pv-finder's `model/origdata*.py` and read in its
`model/collectdata*.py` (docs/PHYSICS.md, "Files"; docs/PHYSICS.md, "Mask").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sweep.config import Variant
from sweep.data.geometry import FEATURE_PER_MM, NUM_BINS
from sweep.data.hdf5_file import (
    check_array,
    find_array,
    list_content,
    list_keys,
    open_file,
    read_rows,
)
from sweep.data.npz import CHUNK_EVENTS
from sweep.data.sizes import check_expansion
from sweep.data.targets import mask_target
from sweep.errors import DataError

FEATURE_KEYS: dict[Variant, tuple[str, ...]] = {
    "kernel": ("kernel", "Xmax", "Ymax"),
    "poca": ("poca_KDE_A", "poca_KDE_B", "poca_KDE_A_xMax", "poca_KDE_A_yMax"),
}
TARGET_KEYS = ("pv", "pv_other")
STORED_POSITION_SCALE = 2500.0 * FEATURE_PER_MM
"""Stored x and y are mm / 2500 (docs/PHYSICS.md, "Files")."""

MAX_BLOCK_EVENTS = 4096
"""Read at once where they are packed together: 64 MB an array, as float32."""


class Hdf5Events:
    """The events of one PV-Finder file, as an `EventReader`; its arrays are checked."""

    num_scratch_bytes = 0

    def __init__(
        self, path: Path, variant: Variant | None = None, *, needs_target: bool = True
    ) -> None:
        """Choose the variant and look at its arrays; others may be as they are.

        Args:
            variant: `kernel` gives [KDE, KDE^2, 2x, 2y], `poca` gives [KDE_A, KDE_B, 2x, 2y]; by
                default `kernel` where the file has both.
            needs_target: Whether the targets are looked for; only `read_features` does without.

        Raises:
            DataError: When a writer holds the file, it is damaged, has not the keys, their shapes
                do not fit, or not all of their values are there.
        """
        self._path = path
        with open_file(path) as file:
            self._target_keys = TARGET_KEYS if needs_target else ()
            self._variant = self._choose_variant(variant, file)
            self._keys = self._list_keys(self._variant)
            arrays = {key: find_array(file, path, key) for key in self._keys}
            first = arrays[self._keys[0]]
            num_events = int(first.shape[0]) if first.shape else 0
            for key, array in arrays.items():
                if array.shape != (num_events, NUM_BINS) or array.dtype.kind != "f":
                    raise DataError(
                        f"{path}: {key}: wrong shape, got {array.shape} {array.dtype}, expected "
                        f"({num_events or 'N'}, {NUM_BINS}) floats; make the file again"
                    )
            if num_events == 0:
                raise DataError(f"{path}: no events, got 0, expected at least 1; give another file")
            self.parts = self._check_arrays(file)
            self.num_events = num_events
            self.dtypes = (first.dtype, arrays[self._keys[-1]].dtype)

    def read_chunks(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Read the events in order.

        Yields:
            x_BCL (B, 4, 4000), as wide as the densities are stored, and y_BL (B, 4000), float32,
            with B at most 64; what the type cannot hold is infinite.

        Raises:
            DataError: When the file is damaged, or a source of it went away meanwhile.
        """
        for *features, target, other in self._read_columns():
            yield self._stack_features(features), mask_target(target, other)

    def read_features(self) -> Iterator[NDArray[Any]]:
        """Read the features alone, in order, at most 64 events at a time; raises as above."""
        for columns in self._read_columns():
            num_targets = len(self._target_keys)
            yield self._stack_features(columns[: len(columns) - num_targets])

    def _read_columns(self) -> Iterator[list[NDArray[np.float32]]]:
        """Read all arrays side by side, at most 64 events at a time."""
        with open_file(self._path) as file:
            arrays = [find_array(file, self._path, key) for key in self._keys]
            rows_of_chunks = [array.chunks[0] for array in arrays if array.chunks]
            block = min(MAX_BLOCK_EVENTS, max(CHUNK_EVENTS, *rows_of_chunks, 0))
            for start in range(0, self.num_events, block):
                rows = slice(start, start + block)
                columns = [read_rows(array, rows, self._path) for array in arrays]
                for first in range(0, len(columns[0]), CHUNK_EVENTS):
                    yield [column[first : first + CHUNK_EVENTS] for column in columns]
            self._check_arrays(file)

    def verify(self) -> None:
        """Do nothing: HDF5 checks what checksums there are while it reads."""

    def read_vertices(self) -> None:
        """Return None: these files keep their vertices in a form plain h5py does not read."""
        return

    def _check_arrays(self, file: h5py.File) -> tuple[Path, ...]:
        """Make sure that all values are there; return the other files that some of them are in."""
        parts: set[Path] = set()
        num_bytes = 0
        for key in self._keys:
            array = find_array(file, self._path, key)
            parts |= check_array(array, f"{self._path}: {key}") | {
                Path(array.file.filename).resolve()
            }
            num_bytes += int(array.nbytes)
        parts |= {self._path.resolve()}
        check_expansion(str(self._path), num_bytes, sum(part.stat().st_size for part in parts))
        return tuple(sorted(parts - {self._path.resolve()}))

    def _stack_features(self, arrays: list[NDArray[np.float32]]) -> NDArray[Any]:
        *densities, x_pos, y_pos = arrays
        first = densities[0]
        with np.errstate(over="ignore", invalid="ignore"):  # the check of the events refuses it
            second = densities[1] if self._variant == "poca" else first * first
            features = (first, second, STORED_POSITION_SCALE * x_pos, STORED_POSITION_SCALE * y_pos)
            return np.stack(features, axis=1).astype(self.dtypes[0])

    def _list_keys(self, variant: Variant) -> tuple[str, ...]:
        return (*FEATURE_KEYS[variant], *self._target_keys)

    def _choose_variant(self, asked: Variant | None, file: h5py.File) -> Variant:
        keys = list_keys(file, self._path)
        for variant in (asked,) if asked else ("kernel", "poca"):
            if keys.issuperset(self._list_keys(variant)):
                return variant
        expected = " or ".join(
            ", ".join(self._list_keys(variant)) for variant in ((asked,) if asked else FEATURE_KEYS)
        )
        raise DataError(
            f"{self._path}: unknown keys, got {list_content(file)}, expected {expected}; "
            "give a PV-Finder file or choose another --variant"
        )

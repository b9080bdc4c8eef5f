"""PV-Finder's HDF5 files, turned into the four features and the masked target (PHYSICS 2.4, 5).

The files are stored in uc-lhcb/pv-finder's `model/origdata*.py` and read in its
`model/collectdata*.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweep.data.npz import CHUNK_EVENTS, list_shapes
from sweep.data.targets import mask_target
from sweep.errors import DataError
from sweep.geometry import NUM_BINS

if TYPE_CHECKING:
    import h5py

Variant = Literal["kernel", "poca"]
"""Which estimate of the track density an HDF5 file's features are taken from."""

FEATURE_KEYS: dict[Variant, tuple[str, ...]] = {
    "kernel": ("kernel", "Xmax", "Ymax"),
    "poca": ("poca_KDE_A", "poca_KDE_B", "poca_KDE_A_xMax", "poca_KDE_A_yMax"),
}
TARGET_KEYS = ("pv", "pv_other")
POSITION_SCALE = 5000.0
"""Stored x and y are mm / 2500; times this they are the feature, 2 x mm (PHYSICS 5)."""

DAMAGE = (OSError, KeyError, RuntimeError, ValueError)
"""What h5py raises at a damaged file, or at a link to nothing, whichever way it comes upon it."""

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


class Hdf5Events:
    """The events of one PV-Finder file, its keys and shapes checked, its content not yet.

    Attributes:
        num_events: Number of events N, at least 1.
        dtypes: dtypes of features and targets as stored in the file.
    """

    def __init__(self, path: Path, variant: Variant | None = None) -> None:
        """Read the shapes and choose the variant.

        Args:
            path: The file.
            variant: `kernel` gives [KDE, KDE^2, 2x, 2y], `poca` gives [KDE_A, KDE_B, 2x, 2y]; by
                default `kernel` where the file has both.

        Raises:
            DataError: When the file is damaged, has not the keys, or their shapes do not fit.
        """
        self._path = path
        shapes = self._read_shapes()
        self._variant = self._choose_variant(variant, set(shapes), shapes)
        keys = (*FEATURE_KEYS[self._variant], *TARGET_KEYS)
        num_events = shapes[keys[0]][0][0] if shapes[keys[0]][0] else 0
        for key in keys:
            shape, dtype = shapes[key]
            if shape != (num_events, NUM_BINS) or dtype.kind != "f":
                raise DataError(
                    f"{path}: {key}: wrong shape, got {shape} {dtype}, expected "
                    f"({num_events or 'N'}, {NUM_BINS}) floats; make the file again"
                )
        if num_events == 0:
            raise DataError(f"{path}: no events, got 0, expected at least 1; give another file")
        self.num_events: int = num_events
        self.dtypes = (shapes[keys[0]][1], shapes["pv"][1])

    def read_chunks(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Read the events in order.

        Yields:
            x_BCL (B, 4, 4000), as wide as the densities are stored, and y_BL (B, 4000), float32,
            with B at most 64; what the type cannot hold is infinite.

        Raises:
            DataError: When the file is damaged.
        """
        with self._open() as file:
            for start in range(0, self.num_events, CHUNK_EVENTS):
                rows = slice(start, start + CHUNK_EVENTS)
                x_BCL = self._read_features(file, rows)
                target, other = (self._read(file, key, rows) for key in TARGET_KEYS)
                yield x_BCL, mask_target(target, other)

    def verify(self) -> None:
        """Do nothing: HDF5 checks what checksums there are while it reads."""

    def read_vertices(self) -> None:
        """Return None: these files keep their vertices in a form plain h5py does not read."""
        return

    def _open(self) -> h5py.File:
        import h5py

        try:
            return h5py.File(self._path, "r")
        except OSError as exc:
            raise _describe_damage(self._path, exc) from exc

    def _read_shapes(self) -> dict[str, tuple[Any, Any]]:
        """Read shape and dtype of each array at the top of the file."""
        with self._open() as file:
            try:
                return {
                    key: (file[key].shape, file[key].dtype)
                    for key in file
                    if hasattr(file[key], "shape")
                }
            except DAMAGE as exc:
                raise _describe_damage(self._path, exc) from exc

    def _read_features(self, file: h5py.File, rows: slice) -> NDArray[Any]:
        *densities, x_pos, y_pos = (
            self._read(file, key, rows) for key in FEATURE_KEYS[self._variant]
        )
        first = densities[0]
        with np.errstate(over="ignore", invalid="ignore"):  # the check of the events refuses it
            second = densities[1] if self._variant == "poca" else first * first
            features = (first, second, POSITION_SCALE * x_pos, POSITION_SCALE * y_pos)
            return np.stack(features, axis=1).astype(self.dtypes[0])

    def _read(self, file: h5py.File, key: str, rows: slice) -> NDArray[np.float32]:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.asarray(file[key][rows], dtype=np.float32)
        except DAMAGE as exc:
            raise _describe_damage(self._path, exc) from exc

    def _choose_variant(
        self, asked: Variant | None, keys: set[str], shapes: dict[str, tuple[Any, Any]]
    ) -> Variant:
        for variant in (asked,) if asked else ("kernel", "poca"):
            if keys.issuperset((*FEATURE_KEYS[variant], *TARGET_KEYS)):
                return variant
        expected = " or ".join(
            ", ".join((*FEATURE_KEYS[variant], *TARGET_KEYS))
            for variant in ((asked,) if asked else FEATURE_KEYS)
        )
        found = list_shapes({key: shape for key, (shape, _) in shapes.items()})
        raise DataError(
            f"{self._path}: unknown keys, got {found}, expected {expected}; "
            "give a PV-Finder file or choose another --variant"
        )


def _describe_damage(path: Path, exc: Exception) -> DataError:
    reason = str(exc).splitlines()[0].strip("'\"") if str(exc) else type(exc).__name__
    return DataError(
        f"{path}: the HDF5 file is cut short or damaged, got {reason}, expected a whole file; "
        "copy or download it again"
    )

"""Course files: `.npz` archives with `X` (N, 4, 4000) and `y` (N, 4000), read as a stream.

`numpy.load` would unpack a whole member into memory; here both members are unpacked side by side,
a few events at a time. Pickled objects are refused by their header and never loaded.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.vertices import VERTEX_KEYS, Vertices
from sweep.errors import DataError
from sweep.geometry import NUM_BINS, NUM_FEATURES

CHUNK_EVENTS = 64
X_SHAPE = (NUM_FEATURES, NUM_BINS)
Y_SHAPE = (NUM_BINS,)
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    SyntaxError,  # a header that is no Python literal
    tokenize.TokenError,  # a header with an open bracket
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
    OSError,
)


@dataclass(frozen=True)
class ArrayHeader:
    """What a member of an archive says about itself.

    Attributes:
        shape: Its shape.
        dtype: Its dtype.
        fortran_order: Whether its first index runs fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool


class NpzEvents:
    """The events of one archive, its headers read and checked, its content not yet.

    Attributes:
        num_events: Number of events N, at least 1.
        dtypes: dtypes of features and targets as stored in the file.
    """

    def __init__(self, path: Path, x_key: str | None = None, y_key: str | None = None) -> None:
        """Read the headers and choose the arrays.

        Args:
            path: The archive.
            x_key: Name of the features; by default `X`, else the one array of shape (N, 4, 4000).
            y_key: Name of the targets; by default `y`, else the one array of shape (N, 4000).

        Raises:
            DataError: When the file is no archive or cut short, holds pickled objects under these
                names, has no such arrays, or they do not fit each other.
        """
        self._path = path
        self._headers = read_headers(path)
        self._x_key = self._choose_key("X", x_key, X_SHAPE)
        self._y_key = self._choose_key("y", y_key, Y_SHAPE)
        x_header, y_header = self._headers[self._x_key], self._headers[self._y_key]
        if x_header.shape[0] != y_header.shape[0]:
            raise DataError(
                f"{path}: {self._x_key} and {self._y_key} differ in length, got "
                f"{x_header.shape[0]} and {y_header.shape[0]} events, expected as many; "
                "make the file again"
            )
        if x_header.shape[0] == 0:
            raise DataError(f"{path}: no events, got 0, expected at least 1; give another file")
        self.num_events = x_header.shape[0]
        self.dtypes = (x_header.dtype, y_header.dtype)

    def read_chunks(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Unpack the events in order.

        Yields:
            x_BCL (B, 4, 4000) and y_BL (B, 4000) with B at most 64, as stored.

        Raises:
            DataError: When the archive is damaged.
        """
        try:
            with (
                zipfile.ZipFile(self._path) as archive,
                archive.open(f"{self._x_key}.npy") as x_file,
                archive.open(f"{self._y_key}.npy") as y_file,
            ):
                yield from zip(_read_rows(x_file), _read_rows(y_file), strict=True)
        except DAMAGE as exc:
            raise _describe_damage(self._path, exc) from exc

    def verify(self) -> None:
        """Unpack both arrays for their checksums alone.

        Raises:
            DataError: When the archive is damaged.
        """
        for _ in self.read_chunks():
            pass

    def read_vertices(self) -> Vertices | None:
        """Read `pv_z`, `pv_tracks`, `pv_category` and `pv_offsets`, where the file has them all.

        Raises:
            DataError: When the archive is damaged.
        """
        if not all(
            key in self._headers and not self._headers[key].dtype.hasobject for key in VERTEX_KEYS
        ):
            return None
        try:
            with np.load(self._path, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in VERTEX_KEYS}
        except DAMAGE as exc:
            raise _describe_damage(self._path, exc) from exc
        return Vertices.from_arrays(arrays, self.num_events)

    def _choose_key(self, usual: str, asked: str | None, tail: tuple[int, ...]) -> str:
        """Find an array by option, by its usual name, or by its shape."""
        rule = "(N, " + ", ".join(str(length) for length in tail) + ")"
        fitting = [key for key, header in self._headers.items() if header.shape[1:] == tail]
        fitting = [key for key in fitting if len(self._headers[key].shape) == 1 + len(tail)]
        if asked is not None and asked not in self._headers:
            raise DataError(
                f"{self._path}: unknown key, got {asked}, expected one of {self._list_keys()}; "
                f"choose with --{usual.lower()}-key"
            )
        key = asked or (usual if usual in self._headers else None)
        if key is None and len(fitting) == 1:
            key = fitting[0]
        if key is None:
            raise DataError(
                f"{self._path}: unknown keys, got {self._list_keys()}, expected {usual} or exactly "
                f"one array of shape {rule}; name it with --{usual.lower()}-key"
            )
        header = self._headers[key]
        if header.dtype.hasobject:
            raise DataError(
                f"{self._path}: {key} holds pickled objects, got dtype {header.dtype}, expected "
                "floats; objects are never unpickled, save it as a plain float array"
            )
        if key not in fitting:
            raise DataError(
                f"{self._path}: {key}: wrong shape, got {header.shape}, expected {rule}; "
                f"the file has {self._list_keys()}"
            )
        if header.dtype.kind != "f":
            raise DataError(
                f"{self._path}: {key}: wrong type, got {header.dtype}, expected float16, float32 "
                "or float64; convert it with astype"
            )
        return key

    def _list_keys(self) -> str:
        return list_shapes({key: header.shape for key, header in self._headers.items()})


def list_shapes(shapes: dict[str, tuple[int, ...]]) -> str:
    """Write names with their shapes in one line, for messages; `no arrays` when there are none."""
    return ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "no arrays"


def read_headers(path: Path) -> dict[str, ArrayHeader]:
    """Read what an archive holds without unpacking it.

    Args:
        path: An existing file.

    Returns:
        The header of each `.npy` member, by its name without the suffix.

    Raises:
        DataError: When the file is no zip archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        headers[name.removesuffix(".npy")] = _read_header(member)
            return headers
    except DAMAGE as exc:
        raise _describe_damage(path, exc) from exc


def _read_header(member: IO[bytes]) -> ArrayHeader:
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"array format version {version}")
    return ArrayHeader(*_reorder(read(member)))


def _reorder(header: tuple[Any, ...]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    shape, fortran_order, dtype = header
    return shape, dtype, fortran_order


def _read_rows(member: IO[bytes]) -> Iterator[NDArray[Any]]:
    """Yield the rows of one member, at most 64 at a time; reading to the end checks its CRC."""
    header = _read_header(member)
    if header.fortran_order:  # its rows are scattered over the member: no stream
        array = np.frombuffer(_read_exactly(member, None), dtype=header.dtype)
        array = array.reshape(header.shape, order="F")
        for start in range(0, len(array), CHUNK_EVENTS):
            yield array[start : start + CHUNK_EVENTS]
        return
    row_bytes = int(np.prod(header.shape[1:])) * header.dtype.itemsize
    for start in range(0, header.shape[0], CHUNK_EVENTS):
        num_rows = min(CHUNK_EVENTS, header.shape[0] - start)
        content = _read_exactly(member, num_rows * row_bytes)
        yield np.frombuffer(content, dtype=header.dtype).reshape(num_rows, *header.shape[1:])
    if member.read(1):
        raise ValueError("more bytes than the header says")


def _read_exactly(member: IO[bytes], num_bytes: int | None) -> bytes:
    if num_bytes is None:
        return member.read()
    content = io.BytesIO()
    while content.tell() < num_bytes:
        part = member.read(num_bytes - content.tell())
        if not part:
            raise EOFError("fewer bytes than the header says")
        content.write(part)
    return content.getvalue()


def _describe_damage(path: Path, exc: Exception) -> DataError:
    try:
        with open(path, "rb") as handle:
            is_zip = handle.read(4) == b"PK\x03\x04"
    except OSError as fault:
        return DataError(
            f"{path}: cannot be read, got {fault.strerror}, expected a readable file; "
            "check the path and its permissions"
        )
    if is_zip:
        return DataError(
            f"{path}: the archive is cut short or damaged, got {exc}, expected a whole .npz; "
            "copy or download it again"
        )
    return DataError(
        f"{path}: not an archive, got a file that is neither .npz nor PV-Finder HDF5, expected one "
        "of them; give the file that holds the events"
    )

"""Zip archives of arrays (`.npz`): only what is asked for is read, as a stream.

`numpy.load` would unpack a whole array into memory, and believes its header. Here a header is read
when its array is asked for and compared with what the archive holds; values come a few rows at a
time, and pickled objects never.
"""

from __future__ import annotations

import contextlib
import errno
import io
import lzma
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.npy import ArrayHeader, read_header
from sweep.data.sizes import check_expansion, check_room
from sweep.errors import DataError

FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,  # encrypted, or NotImplementedError: packed as zipfile cannot unpack
    OSError,
)
"""What reading a damaged archive, or one of another kind, raises."""

BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
STEP_BYTES = 1 << 20
SMALL_STEP_BYTES = 64
"""Read at once. Unpackers of other methods know no bound: 64 bytes of bzip2 can become 90 MB."""

BLOCK_BYTES = 256 << 20
"""Memory for the rows of an array in Fortran order, which are gathered from all over it."""

KNOWN_BEGINNINGS = {
    b"\x93NUMPY": "a single array (.npy)",
    b"root\x00": "a ROOT file",  # a version below 2**24 follows
    b"\x1f\x8b": "a gzip file",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf": "a 7-Zip file",
    b"CDF": "a NetCDF file",
    b"version https://git-lfs": "a pointer of Git LFS",
}


class Archive:
    """The arrays of one archive, its table of contents read, the arrays not yet."""

    def __init__(self, path: Path) -> None:
        """Read the table of contents.

        Raises:
            DataError: when the file is no zip archive, cannot be read, or is damaged.
        """
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
            self._num_bytes = path.stat().st_size
        except FAULTS as exc:
            raise self._describe(None, exc) from exc
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._doubtful: set[str] = set()
        for entry in entries:
            if entry.filename.endswith(".npy"):
                key = entry.filename.removesuffix(".npy")
                former = self._entries.get(key, entry)
                if (former.CRC, former.file_size) != (entry.CRC, entry.file_size):
                    self._doubtful.add(key)
                self._entries[key] = entry

    @property
    def keys(self) -> list[str]:
        """Names of the arrays, without `.npy`; whether they are arrays is not known yet."""
        return list(self._entries)

    def read_header(self, key: str) -> ArrayHeader:
        """Read the header of one array.

        Raises:
            DataError: when it is damaged, encrypted, of an unknown form, or not the only one of
                its name.
        """
        if key in self._doubtful:
            raise DataError(
                f"{self.path}: {key} is there twice, got arrays that differ, expected one of that "
                "name; make the file again"
            )
        with self._naming_faults(key), self._open(key) as member:
            return read_header(member)

    def find_header(self, key: str) -> ArrayHeader | None:
        """Read the header of an array that nobody asked for by name; None where there is none."""
        try:
            with self._open(key) as member:
                return read_header(member)
        except FAULTS:
            return None

    def list_arrays(self) -> str:
        """Write all names with their shapes in one line, for messages."""
        headers = {key: self.find_header(key) for key in self._entries}
        return list_shapes({key: header and header.shape for key, header in headers.items()})

    def check_claim(self, key: str, header: ArrayHeader) -> None:
        """Compare what a header claims with what the archive holds.

        Raises:
            DataError: when the values cannot be there.
        """
        entry = self._entries[key]
        with self._naming_faults(key):
            num_bytes = header.num_header_bytes + header.num_value_bytes
            if entry.file_size != num_bytes:
                raise EOFError(f"{entry.file_size} bytes where its header announces {num_bytes}")
            if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != num_bytes:
                raise EOFError(f"{entry.compress_size} stored bytes for {num_bytes}")
            if entry.header_offset + entry.compress_size > self._num_bytes:
                raise EOFError("an array that goes on beyond the end of the file")
        check_expansion(f"{self.path}: {key}", num_bytes, entry.compress_size)

    def read_rows(
        self, key: str, num_rows: int, scratch: Path | None = None
    ) -> Iterator[NDArray[Any]]:
        """Unpack an array in order.

        Args:
            key: Name of an array, not of objects, with at least one dimension.
            num_rows: Rows at a time, at least 1.
            scratch: Directory for an unnamed copy of an array in Fortran order, whose rows are
                scattered; the system's by default.

        Yields:
            The rows, at most `num_rows` at a time, as stored. Reading to the end checks the CRC.

        Raises:
            DataError: when the array cannot be there as announced, is damaged, or the scratch
                directory has no room.
        """
        header = self.read_header(key)
        self.check_claim(key, header)
        with self._naming_faults(key), self._open(key) as member:
            _read_exactly(member, header.num_header_bytes)
            if header.fortran_order and len(header.shape) > 1:
                yield from self._read_scattered(member, header, num_rows, scratch)
                return
            row_bytes = math.prod(header.shape[1:]) * header.dtype.itemsize
            for start in range(0, header.shape[0], num_rows):
                size = min(num_rows, header.shape[0] - start)
                content = _read_exactly(member, size * row_bytes)
                yield np.frombuffer(content, dtype=header.dtype).reshape(size, *header.shape[1:])
            _read_end(member)

    def read_array(self, key: str) -> NDArray[Any]:
        """Unpack a small array whole; the caller has looked at its header first.

        Raises:
            DataError: as `read_rows`.
        """
        rows = list(self.read_rows(key, max(1, self.read_header(key).shape[0])))
        return rows[0] if rows else np.empty(0)

    def _read_scattered(
        self, member: IO[bytes], header: ArrayHeader, num_rows: int, scratch: Path | None
    ) -> Iterator[NDArray[Any]]:
        """Copy the values to a file that has no name, and gather rows from it, block by block."""
        directory = scratch or Path(tempfile.gettempdir())
        check_room(directory, header.num_value_bytes, f"a copy of {self.path} in order of rows")
        with tempfile.TemporaryFile(dir=directory) as copy:
            shutil.copyfileobj(member, copy, _get_step(member))
            copy.flush()
            scattered: NDArray[Any] = np.memmap(
                copy, dtype=header.dtype, mode="r", shape=header.shape, order="F"
            )
            row_bytes = math.prod(header.shape[1:]) * header.dtype.itemsize
            block = max(num_rows, BLOCK_BYTES // row_bytes // num_rows * num_rows)
            for first in range(0, header.shape[0], block):
                rows = np.ascontiguousarray(scattered[first : first + block])
                for start in range(0, len(rows), num_rows):
                    yield rows[start : start + num_rows]

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[IO[bytes]]:
        entry = self._entries[key]
        with zipfile.ZipFile(self.path) as archive, archive.open(entry) as member:
            if (
                isinstance(member, zipfile.ZipExtFile)
                and entry.compress_type not in BOUNDED_METHODS
            ):
                member.MIN_READ_SIZE = SMALL_STEP_BYTES
            yield member

    @contextlib.contextmanager
    def _naming_faults(self, key: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as exc:
            raise self._describe(key, exc) from exc

    def _describe(self, key: str | None, exc: Exception) -> DataError:
        """Say which kind of fault this is: unreadable, of an unknown form, or damaged."""
        where = f"{self.path}: {key}" if key else str(self.path)
        if refusal := find_refusal(where, exc):
            return refusal
        if key and self._entries[key].flag_bits & 1:
            return DataError(
                f"{where} is encrypted, got an archive with a password, expected plain arrays; "
                "unpack it and save them with numpy.savez"
            )
        if isinstance(exc, RuntimeError):
            return DataError(
                f"{where}: of a form that is not known here, got {exc}, expected an archive as "
                "numpy.savez writes it; save it so"
            )
        beginning = _read_beginning(self.path)
        if beginning.startswith((b"PK\x03\x04", b"PK\x05\x06")) or key:
            return DataError(
                f"{where}: the archive is cut short or damaged, got {exc or type(exc).__name__}, "
                "expected a whole .npz; copy or download it again"
            )
        known = [name for magic, name in KNOWN_BEGINNINGS.items() if beginning.startswith(magic)]
        got = known[0] if known else "another file" if beginning else "an empty file"
        return DataError(
            f"{where}: not an archive, got {got}, expected .npz or PV-Finder HDF5; give the file "
            "that holds the events"
        )


def find_refusal(where: Path | str, exc: Exception) -> DataError | None:
    """Say what the system refused; None where it is the content that cannot be read."""
    if not isinstance(exc, OSError) or exc.errno in (None, errno.EINVAL):
        return None
    return DataError(
        f"{where}: cannot be read, got {exc.strerror}, expected a readable file; check the path, "
        "its permissions and the disk"
    )


def list_shapes(shapes: dict[str, Any]) -> str:
    """Write names with their shapes in one line, for messages; `no arrays` when there are none.

    Args:
        shapes: Shape, or what else there is to say, by name; None for what is no array.
    """
    named = [f"{key} {'(no array)' if shape is None else shape}" for key, shape in shapes.items()]
    more = [f"and {len(named) - 20} more"] if len(named) > 20 else []
    return ", ".join(named[:20] + more) or "no arrays"


def _get_step(member: IO[bytes]) -> int:
    is_bounded = getattr(member, "MIN_READ_SIZE", 0) > SMALL_STEP_BYTES
    return STEP_BYTES if is_bounded else SMALL_STEP_BYTES


def _read_exactly(member: IO[bytes], num_bytes: int) -> bytes:
    content, step = io.BytesIO(), _get_step(member)
    while content.tell() < num_bytes:
        part = member.read(min(step, num_bytes - content.tell()))
        if not part:
            raise EOFError("fewer bytes than the header says")
        content.write(part)
    return content.getvalue()


def _read_end(member: IO[bytes]) -> None:
    if member.read(1):
        raise ValueError("more bytes than the header says")


def _read_beginning(path: Path) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read(32)
    except OSError:
        return b""

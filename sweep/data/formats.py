"""Open files of events, whatever their format: checked and cached once, mapped ever after."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sweep.config import Variant
from sweep.data.cache import get_cache_dir
from sweep.data.checks import EventChecker
from sweep.data.events import EventSet
from sweep.data.npz import NpzEvents
from sweep.data.paths import check_paths
from sweep.data.progress import Progress
from sweep.data.store import STORE_VERSION, EventChunk, EventStore, open_store, write_store
from sweep.data.vertices import Vertices
from sweep.errors import DataError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
FIRST_USER_BLOCK = 512


class EventReader(Protocol):
    """What the reader of a format offers; making it looks at a file and refuses what is wrong.

    Every method raises a DataError where the file is damaged.

    Attributes:
        num_events: Number of events N, at least 1.
        dtypes: dtypes of features and targets as stored in the file.
        num_scratch_bytes: Room that reading takes in the cache, beside the copy.
        parts: Other files that hold some of the events.
    """

    num_events: int
    dtypes: tuple[np.dtype[Any], np.dtype[Any]]
    num_scratch_bytes: int
    parts: tuple[Path, ...]

    def read_chunks(self) -> Iterator[EventChunk]:
        """Read the events in order, x_BCL (B, 4, 4000) and y_BL (B, 4000), a few at a time."""

    def read_features(self) -> Iterator[NDArray[np.floating[Any]]]:
        """Read x_BCL alone, in order, a few events at a time."""

    def verify(self) -> None:
        """Read what checksums there are, because a value was impossible."""

    def read_vertices(self) -> Vertices | None:
        """Read the true vertices, where the file has them."""


def open_events(
    paths: Sequence[Path],
    *,
    x_key: str | None = None,
    y_key: str | None = None,
    variant: Variant | None = None,
    progress: Progress | None = None,
) -> EventSet:
    """Open files of events and join them, in the order given.

    The first opening of a file checks all of it and keeps a copy in the cache, as plain arrays that
    later openings map into memory. The copy belongs to the file's path, size and time of change and
    to the keys asked for; a changed file is read again.

    Args:
        paths: Course archives (`.npz` with `X` and `y`) or PV-Finder HDF5 files, at least one.
        x_key: Name of the features in an archive; found by name and shape by default.
        y_key: Name of the targets in an archive; found by name and shape by default.
        variant: Features of an HDF5 file: `kernel` or `poca`; `kernel` where it has both.

    Returns:
        The events; float16 sources are kept as float16, all others as float32.

    Raises:
        DataError: When a file is missing, unreadable, open for writing, no archive, damaged, of
            the wrong shape, claims more than it holds or than the cache has room for, has unknown
            keys or pickled objects, or holds NaN or inf in X, or inf, negative or only NaN in y.
            Nothing is cached then.
    """
    if not paths:
        raise DataError("data: no file given, expected at least one; name it with --data")
    return EventSet([_open_file(Path(path), x_key, y_key, variant, progress) for path in paths])


def _open_file(
    path: Path,
    x_key: str | None,
    y_key: str | None,
    variant: Variant | None,
    progress: Progress | None,
) -> EventStore:
    """Find the store of one file, or make it."""
    name = _name_store(path, (x_key, y_key, variant))

    def convert() -> EventStore:
        reader = _open_reader(path, x_key, y_key, variant)
        keeps = [np.dtype("<f2" if dtype.itemsize == 2 else "<f4") for dtype in reader.dtypes]
        return write_store(
            name,
            path.name,
            reader.num_events,
            (keeps[0], keeps[1]),
            _read_checked(path, reader),
            read_vertices=reader.read_vertices,
            parts=reader.parts,
            num_scratch_bytes=reader.num_scratch_bytes,
            progress=progress,
        )

    return open_store(name, convert)


def _name_store(path: Path, options: tuple[str | None, ...]) -> str:
    """Name the store after the file's identity; a missing file is found here."""
    check_paths([path])
    status = path.stat()
    identity = [str(path.resolve()), status.st_size, status.st_mtime_ns, STORE_VERSION, *options]
    content = json.dumps(identity).encode()
    return f"file-{hashlib.blake2b(content, digest_size=12).hexdigest()}"


@dataclass(frozen=True)
class Features:
    """Events whose targets nobody asks for: read in order, a few at a time, and not cached.

    Attributes:
        num_events: Of all files.
    """

    paths: tuple[Path, ...]
    readers: tuple[EventReader, ...]

    @property
    def num_events(self) -> int:
        """Number of events of all files."""
        return sum(reader.num_events for reader in self.readers)

    def read(self) -> Iterator[NDArray[np.float32]]:
        """Read x_BCL (B, 4, 4000), checked, of one file after the other.

        Raises:
            DataError: When a file is damaged, or a feature is NaN or infinite.
        """
        for path, reader in zip(self.paths, self.readers, strict=True):
            checker = EventChecker(str(path))
            for x_BCL in reader.read_features():
                with _verifying(reader):
                    checker.check_features(x_BCL)
                yield np.array(x_BCL, dtype=np.float32)


def open_features(
    paths: Sequence[Path], *, x_key: str | None = None, variant: Variant | None = None
) -> Features:
    """Open files of events for their features alone: they need no targets.

    Args:
        paths, x_key, variant: As `open_events` takes them.

    Raises:
        DataError: When a file is missing, unreadable, of another form, or its header is wrong.
    """
    check_paths(paths)
    readers = (_open_reader(path, x_key, None, variant, needs_target=False) for path in paths)
    return Features(tuple(paths), tuple(readers))


def _open_reader(
    path: Path,
    x_key: str | None,
    y_key: str | None,
    variant: Variant | None,
    *,
    needs_target: bool = True,
) -> EventReader:
    """Tell the format of a file by how it begins, and look at what it holds."""
    try:
        is_hdf5 = _is_hdf5(path)
    except OSError as exc:
        raise DataError(
            f"{path}: cannot be read, got {exc.strerror}, expected a readable file; "
            "check its permissions"
        ) from exc
    if not is_hdf5:
        scratch = get_cache_dir() if needs_target else None
        return NpzEvents(path, x_key, y_key, scratch, needs_target=needs_target)
    if x_key is not None or y_key is not None:
        raise DataError(
            f"{path}: unknown key, got {x_key or y_key}, expected no key names for an HDF5 file; "
            "choose its features with --variant"
        )
    from sweep.data.hdf5 import Hdf5Events  # late: few need h5py

    return Hdf5Events(path, variant, needs_target=needs_target)


def _is_hdf5(path: Path) -> bool:
    """Say whether a file begins as HDF5 does, at its start or behind a user block."""
    with open(path, "rb") as handle:
        offset = 0
        while len(magic := handle.read(len(HDF5_MAGIC))) == len(HDF5_MAGIC):
            if magic == HDF5_MAGIC:
                return True
            offset = 2 * offset or FIRST_USER_BLOCK
            handle.seek(offset)
    return False


def _read_checked(path: Path, reader: EventReader) -> Iterator[EventChunk]:
    checker = EventChecker(str(path))
    for x_BCL, y_BL in reader.read_chunks():
        with _verifying(reader):
            checker.check(x_BCL, y_BL)
        yield x_BCL, y_BL
    checker.finish()


@contextlib.contextmanager
def _verifying(reader: EventReader) -> Iterator[None]:
    """Tell a damaged file, which unpacks to nonsense, from wrong values."""
    try:
        yield
    except DataError:
        reader.verify()
        raise

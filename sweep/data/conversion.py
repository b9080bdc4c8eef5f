"""Write events as a course archive, the one format that every other program can read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Literal

import numpy as np

from sweep.data.events import EventSet
from sweep.data.npy import write_header
from sweep.errors import DataError
from sweep.geometry import NUM_BINS, NUM_FEATURES
from sweep.progress import Progress
from sweep.storage.files import write_file

CHUNK_EVENTS = 256
FileType = Literal["float16", "float32"]


def convert_events(
    events: EventSet,
    path: Path,
    *,
    dtype: FileType = "float16",
    progress: Progress | None = None,
) -> None:
    """Write events as one compressed archive with `X` and `y`, whole or not at all.

    Generated vertices are not written. The same events in the same type give the same bytes.

    Args:
        dtype: Type of both arrays; float16 keeps three digits.

    Raises:
        DataError: When the name does not end in .npz, the directory cannot be written, the disk is
            full, or a value is too large for the type.
    """
    check_archive_path(path)

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as handle:
            _write_archive(handle, events, np.dtype(dtype), str(path), progress)

    try:
        write_file(path, write)
    except OSError as exc:
        raise DataError(
            f"{path}: cannot be written, got {exc.strerror}; make room or choose another directory"
        ) from exc


def check_archive_path(path: Path) -> None:
    """Check before long work that an archive can be given this name.

    Raises:
        DataError: When the name does not end in .npz, its directory does not exist, or something
            has the name already: a lossy copy must not take an original's place.
    """
    if path.suffix != ".npz":
        raise DataError(f"{path}: unknown format, got {path.suffix!r}, expected .npz; rename it")
    if not path.parent.is_dir():
        raise DataError(f"{path}: no such directory, got {path.parent}; make it first")
    if path.exists():
        raise DataError(f"{path}: exists already, got a file, expected a new name; choose another")


def _write_archive(
    handle: IO[bytes],
    events: EventSet,
    dtype: np.dtype[np.floating],
    where: str,
    progress: Progress | None,
) -> None:
    """Write both members in chunks; each loads both arrays, which the page cache makes cheap."""
    num_events = len(events)
    shapes = {"X": (num_events, NUM_FEATURES, NUM_BINS), "y": (num_events, NUM_BINS)}
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for position, (key, shape) in enumerate(shapes.items()):
            entry = zipfile.ZipInfo(f"{key}.npy")  # its date is fixed: same events, same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                write_header(member, dtype, shape)
                for chunk in events.iterate(CHUNK_EVENTS, progress):
                    values = chunk[position]
                    with np.errstate(over="ignore"):
                        stored = values.astype(dtype)
                    if np.isinf(stored).any():
                        raise DataError(
                            f"{where}: {key}: value too large, got {np.nanmax(np.abs(values))}, "
                            f"expected at most {np.finfo(dtype).max} for {dtype}; write float32"
                        )
                    member.write(stored.data)

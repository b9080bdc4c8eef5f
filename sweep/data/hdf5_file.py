"""HDF5 files opened, and their arrays made sure of, before a value is taken from them.

HDF5 answers with fill values, and no error, wherever a value was never written or its source is
gone. Such a zero looks like any other, so an array is read only when all of it is there. What a
file holds beside the arrays asked for is not looked at.
"""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5s, h5z
from numpy.typing import NDArray

from sweep.data.archive import find_refusal, list_shapes
from sweep.data.sizes import check_expansion, format_bytes
from sweep.errors import DataError

FAULTS = (OSError, KeyError, RuntimeError, ValueError)
"""What h5py raises at a damaged file, or at a link to nothing, whichever way it comes upon it."""

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Of a file system that knows no locks: nobody can hold one there."""

HELD = (errno.EAGAIN, errno.EACCES)
MAX_CHUNK_BYTES = 1 << 30
MAX_DEPTH = 8
"""Virtual datasets that are made of virtual datasets, at most."""


def open_file(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises:
        DataError: when a writer holds it, it cannot be read, or it is damaged.
    """
    try:
        try:
            return h5py.File(path, "r")
        except OSError as exc:
            if exc.errno not in WITHOUT_LOCKS:
                raise
            return h5py.File(path, "r", locking=False)
    except OSError as exc:
        raise _describe_open_fault(path, exc) from exc


def _describe_open_fault(path: Path, exc: OSError) -> DataError:
    reason = summarise(exc)
    if exc.errno in HELD and "unable to lock file" in reason:
        return DataError(
            f"{path}: another program has it open for writing, got a lock that it holds, expected "
            "a file that nobody writes; wait until it is closed, or read a copy"
        )
    if "already open for" in reason:
        return DataError(
            f"{path}: another program writes it, or was stopped while it did, got the mark of an "
            "open file, expected a closed one; wait for it, or take a dead one's mark away with "
            "h5clear -s"
        )
    return describe_fault(path, exc)


def describe_fault(where: Path | str, exc: Exception) -> DataError:
    """Say what reading a file failed at: the system, or the file's content."""
    return find_refusal(where, exc) or DataError(
        f"{where}: the HDF5 file is cut short or damaged, got {summarise(exc)}, expected a whole "
        "file; copy or download it again"
    )


def summarise(exc: Exception) -> str:
    """Give the first line of what h5py says, without the quotes of a KeyError."""
    return str(exc).splitlines()[0].strip("'\"") if str(exc) else type(exc).__name__


def list_keys(file: h5py.File, where: Path) -> set[str]:
    """Give the names at the top of a file.

    Raises:
        DataError: when its table of contents is damaged.
    """
    try:
        return set(file)
    except FAULTS as exc:
        raise describe_fault(where, exc) from exc


def list_content(file: h5py.File) -> str:
    """Write what stands at the top of a file in one line, for messages."""
    shapes: dict[str, Any] = {}
    for key in file:
        try:
            shapes[key] = getattr(file[key], "shape", None)
        except FAULTS:
            shapes[key] = None
    return list_shapes(shapes)


def find_array(file: h5py.File, where: Path, key: str) -> h5py.Dataset:
    """Find an array by its name, through links.

    Raises:
        DataError: when the link leads nowhere, or to no array.
    """
    try:
        found = file[key]
    except FAULTS as exc:
        raise _describe_lost_array(file, where, key, exc) from exc
    if not isinstance(found, h5py.Dataset):
        raise DataError(
            f"{where}: {key} is no array, got a {type(found).__name__.lower()}, expected an array; "
            "give a PV-Finder file"
        )
    return found


def _describe_lost_array(file: h5py.File, where: Path, key: str, exc: Exception) -> DataError:
    """Say what is wrong with a link; what is none of two kinds is damaged."""
    link = file.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        source = _find_source(where, link.filename, f"{where}: {key}")
        open_file(source).close()  # says what is wrong with it
    elif link is None:
        return DataError(
            f"{where}: {key} is missing, got {list_content(file)}, expected an array of that name; "
            "make the file again"
        )
    elif not isinstance(link, h5py.SoftLink):
        return describe_fault(where, exc)
    return DataError(
        f"{where}: {key} is a link that leads nowhere, got {link.path} ({summarise(exc)}), "
        "expected an array; bring back what it leads to"
    )


def check_array(array: h5py.Dataset, where: str, depth: int = 0) -> set[Path]:
    """Make sure that every value of an array is there, and can be read.

    Returns:
        The other files that hold values of it.

    Raises:
        DataError: when values were never written, are in a file that is gone, packed by a filter
            that is not here, or more than the file can hold; when the file is damaged.
    """
    try:
        return _check_layout(array, where, depth)
    except FAULTS as exc:
        raise describe_fault(where, exc) from exc


def _check_layout(array: h5py.Dataset, where: str, depth: int) -> set[Path]:
    layout = array.id.get_create_plist().get_layout()
    if array.external:
        raise DataError(
            f"{where}: keeps its values outside of HDF5, got {array.external[0][0]}, expected them "
            "in the file; copy it with h5repack"
        )
    if layout == h5d.VIRTUAL:
        return _check_sources(array, where, depth)
    _check_filters(array, where)
    if layout == h5d.CHUNKED:
        _check_chunks(array, where)
    stored = int(array.id.get_storage_size())
    if stored == 0:
        raise _describe_gap(where, f"none of its {format_bytes(array.nbytes)}")
    size = Path(array.file.filename).stat().st_size
    if stored > size:
        raise describe_fault(
            where, ValueError(f"{format_bytes(stored)} in a file of {format_bytes(size)}")
        )
    check_expansion(where, array.nbytes, stored)
    return set()


def _check_filters(array: h5py.Dataset, where: str) -> None:
    properties = array.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(number)
        if not h5z.filter_avail(code):
            label = f"{code} {name.decode(errors='replace')}".strip()
            raise DataError(
                f"{where}: packed by a filter that is not here, got filter {label}, expected one "
                "that HDF5 itself has; unpack it where it was made, with h5repack -f GZIP=1"
            )


def _check_chunks(array: h5py.Dataset, where: str) -> None:
    num_bytes = math.prod(array.chunks) * array.dtype.itemsize
    if num_bytes > MAX_CHUNK_BYTES:
        raise DataError(
            f"{where}: chunks too large to read, got {format_bytes(num_bytes)} each, expected at "
            f"most {format_bytes(MAX_CHUNK_BYTES)}; lay it out anew with h5repack -l CHUNK"
        )
    expected = math.prod(
        -(-length // chunk) for length, chunk in zip(array.shape, array.chunks, strict=True)
    )
    found = int(array.id.get_num_chunks())
    if found < expected:
        raise _describe_gap(where, f"{found} of {expected} chunks")


def _describe_gap(where: str, got: str) -> DataError:
    return DataError(
        f"{where}: not all values were written, got {got}, expected all; HDF5 would show zeros "
        "instead: finish the file, or write the zeros if they are meant"
    )


def _check_sources(array: h5py.Dataset, where: str, depth: int) -> set[Path]:
    """Make sure of each source of a virtual dataset, and that together they leave no hole."""
    if depth >= MAX_DEPTH:
        raise DataError(
            f"{where}: a virtual dataset of itself, got {depth} inside each other, expected an "
            "end; write the values into one file"
        )
    covered = h5s.create_simple(array.shape)
    covered.select_none()
    parts: set[Path] = set()
    for number, source in enumerate(array.virtual_sources()):
        place = f"{where}: source {number} ({source.file_name}:{source.dset_name})"
        _cover(covered, source.vspace, place)
        parts |= _check_source(array, source, place, depth)
    if covered.get_select_npoints() < array.size:
        raise _describe_gap(where, f"sources for {covered.get_select_npoints()} of {array.size}")
    return parts


def _cover(covered: h5s.SpaceID, space: h5s.SpaceID, place: str) -> None:
    if space.get_select_type() == h5s.SEL_ALL:
        covered.select_all()
        return
    if not space.is_regular_hyperslab() or h5s.UNLIMITED in _flatten(space):
        raise DataError(
            f"{place}: a virtual dataset that grows, got no fixed part for it, expected one; write "
            "the values into one file"
        )
    if covered.get_select_type() != h5s.SEL_ALL:
        start, stride, count, block = space.get_regular_hyperslab()
        covered.select_hyperslab(start, count, stride, block, op=h5s.SELECT_OR)


def _flatten(space: h5s.SpaceID) -> set[int]:
    return {number for part in space.get_regular_hyperslab() for number in part}


def _check_source(array: h5py.Dataset, source: Any, place: str, depth: int) -> set[Path]:
    """Open what HDF5 would open in silence, and see that it has what is taken from it."""
    path = Path(array.file.filename)
    if source.file_name != ".":
        path = _find_source(path, source.file_name, place)
    with open_file(path) as file:
        found = find_array(file, path, source.dset_name)
        if source.src_space.get_select_type() == h5s.SEL_ALL:
            fits = found.size == source.vspace.get_select_npoints()
        else:
            last = source.src_space.get_select_bounds()[1]
            fits = len(last) == found.ndim and all(np.less(last, found.shape))
        if not fits:
            raise _describe_gap(place, f"an array of shape {found.shape}, which is too small")
        return {path.resolve()} | check_array(found, place, depth + 1)


def _find_source(path: Path, name: str, place: str) -> Path:
    """Look for a source where HDF5 does: as named, then beside the file that names it."""
    beside = path.parent
    named = Path(name)
    places = (named, beside / named.name) if named.is_absolute() else (beside / named, named)
    for candidate in places:
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{place}: the file that holds its values is gone, got no {name}, expected it beside "
        f"{path.name}; bring it back"
    )


def read_rows(array: h5py.Dataset, rows: slice, where: Path) -> NDArray[np.float32]:
    """Read rows of an array as float32; what it cannot hold is infinite.

    Raises:
        DataError: when the file is damaged or cannot be read.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(array[rows], dtype=np.float32)
    except FAULTS as exc:
        raise describe_fault(where, exc) from exc

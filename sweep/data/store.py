"""Cache stores: checked events as plain arrays on disk, so that many workers map one copy.

A store is a directory that holds `x.npy`, `y.npy`, `hashes.npy`, `digests.npy`, `meta.json` and,
where known, the generated vertices. It is written in a scratch folder, synced, and renamed: a store
that exists is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.cache import check_owner, get_cache_dir, lock_store
from sweep.data.geometry import NUM_BINS, NUM_FEATURES
from sweep.data.npy import read_header, write_header
from sweep.data.progress import Progress
from sweep.data.sizes import check_room
from sweep.data.vertices import VERTEX_KEYS, Vertices
from sweep.errors import DataError
from sweep.files.foreign import parse_json, read_text
from sweep.files.shared import follow_folder, make_shared_folder
from sweep.storage.files import flush, open_scratch

STORE_VERSION = 1
"""Raised when the layout or the meaning of a store changes; older stores are then not looked at."""


EventChunk = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
"""x_BCL (B, 4, 4000) and y_BL (B, 4000), already checked."""


@dataclass(frozen=True)
class EventStore:
    """One store on disk; its arrays are mapped when first used and are read-only.

    Attributes:
        label: Where the events came from, for people.
        num_events: Number of events N, at least 1.
    """

    path: Path
    label: str
    num_events: int

    @cached_property
    def x_NCL(self) -> NDArray[np.floating[Any]]:
        """Features, shape (N, 4, 4000), float16 or float32, memory-mapped."""
        return self._map("x.npy")

    @cached_property
    def y_NL(self) -> NDArray[np.floating[Any]]:
        """Targets, shape (N, 4000), float16 or float32, NaN where masked, memory-mapped."""
        return self._map("y.npy")

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """Hash of each event's features as float16, shape (N,)."""
        return np.array(self._map("hashes.npy"), dtype=np.uint64)

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        """Hash of each event's features, target and mask as float32, shape (N,)."""
        return np.array(self._map("digests.npy"), dtype=np.uint64)

    @cached_property
    def vertices(self) -> Vertices | None:
        """Generated vertices, or None where the source did not keep them."""
        arrays = {
            key: np.array(self._map(f"{key}.npy"))
            for key in VERTEX_KEYS
            if (self.path / f"{key}.npy").is_file()
        }
        return Vertices.from_arrays(arrays, self.num_events)

    def __reduce__(self) -> tuple[type[EventStore], tuple[Path, str, int]]:
        """Travel to another process as a path: the arrays are mapped anew there."""
        return (EventStore, (self.path, self.label, self.num_events))

    def _map(self, name: str) -> NDArray[Any]:
        """Map one array; a file shorter than its header says is a ValueError."""
        try:
            with open(self.path / name, "rb") as handle:
                header = read_header(handle)
                if header.dtype.hasobject or header.fortran_order or header.num_value_bytes == 0:
                    raise ValueError(f"{name}: not an array of a store")
                return np.memmap(
                    handle,
                    dtype=header.dtype,
                    mode="r",
                    offset=header.num_header_bytes,
                    shape=header.shape,
                )
        except FileNotFoundError as exc:
            raise DataError(
                f"{self.path}: the cached events are gone, expected {name}; run the command again, "
                "it makes them anew"
            ) from exc


def find_store(name: str) -> EventStore | None:
    """Find a finished store in the cache.

    Returns:
        The store, or None where there is none, it is damaged (shorter than it should be), or
        another file that its events came from has changed.

    Raises:
        DataError: When it is another user's and may not be read, or must not be trusted.
    """
    path = get_cache_dir() / "events" / name
    check_owner(path)
    try:
        meta = parse_json(read_text(path / "meta.json"))
        store = EventStore(path, str(meta["source"]), int(meta["num_events"]))
        shapes = {store.x_NCL.shape[1:], store.y_NL.shape[1:]}
        lengths = {len(a) for a in (store.x_NCL, store.y_NL, store.hashes, store.digests)}
        is_current = meta["version"] == STORE_VERSION and meta.get("parts", []) == _identify(
            Path(part[0]) for part in meta.get("parts", [])
        )
    except PermissionError as exc:
        raise DataError(
            f"{path}: cached events of another user, got {exc.strerror!r} for {exc.filename}, "
            "expected them to be readable; ask their owner for `chmod -R g+rX`, or set SWEEP_CACHE "
            "to another directory"
        ) from exc
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, EOFError, DataError):
        return None
    is_whole = shapes == {(NUM_FEATURES, NUM_BINS), (NUM_BINS,)} and lengths == {store.num_events}
    return store if is_whole and is_current else None


def _identify(parts: Iterable[Path]) -> list[list[str | int]]:
    """Give the path, size and time of change of each file, as they are kept in a store."""
    states = [(part, part.stat()) for part in parts]
    return [[str(part), state.st_size, state.st_mtime_ns] for part, state in states]


def open_store(name: str, write: Callable[[], EventStore]) -> EventStore:
    """Find a store in the cache, or have it written: once, however many ask for it.

    Raises:
        DataError: As `find_store`, `lock_store` and `write`.
    """
    store = find_store(name)
    if store is None:
        with lock_store(name):
            store = find_store(name) or write()
    return store


def write_store(
    name: str,
    label: str,
    num_events: int,
    dtypes: tuple[np.dtype[Any], np.dtype[Any]],
    chunks: Iterable[EventChunk],
    *,
    read_vertices: Callable[[], Vertices | None] = lambda: None,
    parts: Iterable[Path] = (),
    num_scratch_bytes: int = 0,
    progress: Progress | None = None,
) -> EventStore:
    """Write a store, whole or not at all.

    Args:
        name: Name of the store; a store of that name that exists already wins.
        label: Where the events come from, for people.
        dtypes: float16 or float32 for features and for targets, as they are to be kept.
        chunks: Checked events, in order. What they raise passes through and leaves nothing behind.
        read_vertices: Gives the generated vertices of all events, where they are known; called
            once all chunks have been consumed.
        parts: Files that hold some of the events, beside the one that the store is named after.
        num_scratch_bytes: Room that reading the chunks takes in the cache.

    Raises:
        DataError: When the disk has not the room, or the cache cannot be written.
    """
    final = get_cache_dir() / "events" / name
    event_bytes = NUM_BINS * (NUM_FEATURES * dtypes[0].itemsize + dtypes[1].itemsize)
    try:
        identities = _identify(parts)
        make_shared_folder(final.parent)
        check_room(final.parent, num_events * event_bytes + num_scratch_bytes, "the cached events")
        with open_scratch(final.parent) as scratch:
            temporary = scratch / "store"
            temporary.mkdir()
            _fill(temporary, num_events, dtypes, chunks, progress)
            vertices = read_vertices()
            for key, array in (vertices.to_arrays() if vertices else {}).items():
                _write_array(temporary / f"{key}.npy", array)
            meta = {
                "version": STORE_VERSION,
                "source": label,
                "num_events": num_events,
                "parts": identities,
            }
            with open(temporary / "meta.json", "wb") as handle:
                handle.write(json.dumps(meta).encode())
                _sync(handle)
            for path in (scratch, temporary, *temporary.iterdir()):
                follow_folder(path)  # those may use it who may use the cache
            _put_in_place(temporary, final)
    except OSError as exc:
        raise DataError(
            f"{final.parent}: the events could not be cached, got {exc.strerror or exc}; make room "
            "or set SWEEP_CACHE to another directory"
        ) from exc
    return EventStore(final, label, num_events)


def hash_features(x_BCL: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    """Hash each event's features (B, 4, 4000) as float16, whatever their float type; shape (B,)."""
    with np.errstate(over="ignore"):
        half_BCL = np.ascontiguousarray(x_BCL, dtype="<f2").view("<u2").copy()
    half_BCL[half_BCL == 0x8000] = 0  # -0.0 is 0.0
    return np.array([_hash_bytes(event.data) for event in half_BCL], dtype=np.uint64)


def hash_content(
    x_BCL: NDArray[np.floating[Any]], y_BL: NDArray[np.floating[Any]]
) -> NDArray[np.uint64]:
    """Hash everything in each event as float32: features, target and mask.

    Args:
        x_BCL: Features as they are kept, shape (B, 4, 4000).
        y_BL: Targets as they are kept, shape (B, 4000); all NaN count as the same.

    Returns:
        Digests, shape (B,).
    """
    single_BCL = np.ascontiguousarray(x_BCL, dtype="<f4")
    single_BL = np.array(y_BL, dtype="<f4", order="C")
    single_BL[np.isnan(single_BL)] = np.nan
    digests = [_hash_bytes(x.data, y.data) for x, y in zip(single_BCL, single_BL, strict=True)]
    return np.array(digests, dtype=np.uint64)


def compute_blank_hash() -> np.uint64:
    """Compute the hash of an event whose features are all zero, which overlap tests ignore."""
    x_BCL = np.zeros((1, NUM_FEATURES, NUM_BINS), dtype=np.float16)
    return np.uint64(hash_features(x_BCL)[0])


def _hash_bytes(*parts: memoryview) -> int:
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        state.update(part)
    return int.from_bytes(state.digest(), "little")


def _fill(
    directory: Path,
    num_events: int,
    dtypes: tuple[np.dtype[Any], np.dtype[Any]],
    chunks: Iterable[EventChunk],
    progress: Progress | None,
) -> None:
    """Write x, y and both hashes, chunk by chunk (plain writes: a full disk is then an error)."""
    hashes: list[NDArray[np.uint64]] = []
    digests: list[NDArray[np.uint64]] = []
    done = 0
    with open(directory / "x.npy", "wb") as x_file, open(directory / "y.npy", "wb") as y_file:
        write_header(x_file, dtypes[0], (num_events, NUM_FEATURES, NUM_BINS))
        write_header(y_file, dtypes[1], (num_events, NUM_BINS))
        for x_BCL, y_BL in chunks:
            kept_x_BCL = np.ascontiguousarray(x_BCL, dtype=dtypes[0])
            kept_y_BL = np.ascontiguousarray(y_BL, dtype=dtypes[1])
            hashes.append(hash_features(x_BCL))
            digests.append(hash_content(kept_x_BCL, kept_y_BL))
            x_file.write(kept_x_BCL.data)
            y_file.write(kept_y_BL.data)
            done += len(x_BCL)
            if progress is not None:
                progress(done, num_events)
        _sync(x_file)
        _sync(y_file)
    if done != num_events:
        raise RuntimeError(f"store: {done} events written, {num_events} announced")
    _write_array(directory / "hashes.npy", np.concatenate(hashes))
    _write_array(directory / "digests.npy", np.concatenate(digests))


def _put_in_place(temporary: Path, final: Path) -> None:
    """Rename the finished directory; where another writer was first, theirs stays."""
    if final.exists() and find_store(final.name) is None:
        shutil.rmtree(final)
    try:
        os.rename(temporary, final)
    except OSError as exc:
        if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) or not final.is_dir():
            raise
    flush(final.parent)


def _write_array(path: Path, array: NDArray[np.generic]) -> None:
    with open(path, "wb") as handle:
        np.lib.format.write_array(handle, array, allow_pickle=False)
        _sync(handle)


def _sync(handle: IO[bytes]) -> None:
    handle.flush()
    os.fsync(handle.fileno())

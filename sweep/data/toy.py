"""Toy events made on this machine: drawn, tracked, histogrammed, cached.

They need no file and are what a sweep trains on when none is given (docs/PHYSICS.md, "Toy
events"). Each event depends on the recipe, the seed and its number only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sweep.data.asked import TOY_VERSION
from sweep.data.events import EventSet
from sweep.data.geometry import FEATURE_PER_MM
from sweep.data.store import (
    STORE_VERSION,
    EventChunk,
    EventStore,
    find_store,
    open_store,
    write_store,
)
from sweep.data.targets import fill_targets, mask_target
from sweep.data.toy_event import draw_event
from sweep.data.vertices import Vertices
from sweep.errors import DataError

KDE_SCALE = 2500.0
"""Feature 0 is the density estimate over this (docs/PHYSICS.md, "Features")."""

CHUNK_EVENTS = 128
NUM_CHUNKS_AHEAD = 1
"""Made while one is written, so that no core waits for the disk and the hashes."""

ToyEvent = tuple[NDArray[np.float16], NDArray[np.float16], Vertices]


def open_toy_events(
    num_events: int,
    seed: int,
    *,
    version: int = TOY_VERSION,
    progress: Callable[[int, int], None] | None = None,
) -> EventSet:
    """Open toy events, making them first where the cache does not hold them yet.

    The cache knows them by recipe, seed and number. All cores this process may use take part in
    making them; the result does not depend on how many there are.

    Args:
        num_events: How many, at least 1.
        seed: Seed of the set, at least 0; the first events of a larger set are those of a smaller.
        version: Which `TOY_VERSION` they are of; those of an earlier one are made no more.

    Raises:
        DataError: When a number is out of range, the cache cannot be written, or it does not hold
            the events of an earlier version.
    """
    if num_events < 1:
        raise DataError(f"events: got {num_events}, expected at least 1; ask for more")
    if seed < 0:
        raise DataError(f"seed: got {seed}, expected 0 or more; choose another")
    name = _name_store(num_events, seed, version)

    def make() -> EventStore:
        if version != TOY_VERSION:
            raise DataError(
                f"toy events: {num_events} of seed {seed} are not in the cache, got version "
                f"{version}, expected {TOY_VERSION}, as none of before are made; set SWEEP_CACHE "
                "to where the sweep began, or begin a new one with --sweep"
            )
        made: list[Vertices] = []
        half = np.dtype("<f2")
        return write_store(
            name,
            f"toy version {TOY_VERSION}, seed {seed}",
            num_events,
            (half, half),
            _make_chunks(num_events, seed, made),
            read_vertices=lambda: Vertices.join(made),
            progress=progress,
        )

    return EventSet([open_store(name, make)])


def is_cached(num_events: int, seed: int, version: int) -> bool:
    """Say whether toy events are in the cache, so that `open_toy_events` need not make them."""
    return find_store(_name_store(num_events, seed, version)) is not None


def make_toy_event(seed: int, index: int) -> ToyEvent:
    """Make one toy event.

    Returns:
        x_CL (4, 4000): [KDE / 2500, its square, 2 x_mm, 2 y_mm]; y_L (4000,), NaN where masked;
        and the event's generated vertices.
    """
    # numba compiles or loads on import; only those who make events pay for it
    from sweep.data.kernel import compute_kernel

    tracks, vertices = draw_event(seed, index)
    kernel, x_mm, y_mm = compute_kernel(tracks)
    density = kernel / KDE_SCALE
    x_CL = np.stack([density, density * density, FEATURE_PER_MM * x_mm, FEATURE_PER_MM * y_mm])
    target, other = fill_targets(vertices.z_mm, vertices.num_tracks, vertices.category == 1).astype(
        np.float32
    )
    return x_CL.astype(np.float16), mask_target(target, other).astype(np.float16), vertices


def _name_store(num_events: int, seed: int, version: int) -> str:
    return f"toy-v{STORE_VERSION}-recipe{version}-seed{seed}-events{num_events}"


def _make_chunks(num_events: int, seed: int, made: list[Vertices]) -> Iterator[EventChunk]:
    """Yield the events in order; note their vertices in `made`."""
    num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    with ThreadPoolExecutor(num_threads or os.cpu_count()) as pool:
        waiting: deque[list[Future[ToyEvent]]] = deque()
        for start in range(0, num_events, CHUNK_EVENTS):
            indices = range(start, min(start + CHUNK_EVENTS, num_events))
            waiting.append([pool.submit(make_toy_event, seed, index) for index in indices])
            if len(waiting) > NUM_CHUNKS_AHEAD:
                yield _stack(waiting.popleft(), made)
        while waiting:
            yield _stack(waiting.popleft(), made)


def _stack(events: list[Future[ToyEvent]], made: list[Vertices]) -> EventChunk:
    """Wait for the events of one chunk and put them together."""
    x_BCL, y_BL, vertices = zip(*(event.result() for event in events), strict=True)
    made.extend(vertices)
    return np.stack(x_BCL), np.stack(y_BL)

"""Hands events to a network batch by batch, from the memory-mapped store or the device itself.

A training is handed the batch's place among the events where those are on the device, else the
events as they were read: either is what its step begins with, and all that differs between steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.events import EventSet
from sweep.data.geometry import NUM_BINS, NUM_FEATURES

RESIDENT_SHARE = 0.4
"""Share of a GPU's free memory that the events of one set may take to be kept there."""
NUM_RESIDENT = 4
"""Sets that are kept there for the trainings to come: those of two sweeps."""


class Batches:
    """Events of one set in batches.

    Args:
        batch_size: Largest number of events in a batch. The events are laid out evenly over as
            few batches as that takes, so that sizes differ by one at most and none holds a single
            event, which a norm over events could not take: 33 in batches of 16 are three of 11.
        device: Where the batches shall be. A GPU with room keeps all events.
        num_seen: Events of a shuffled pass, others each time; None for all.
    """

    def __init__(
        self,
        events: EventSet,
        batch_size: int,
        device: torch.device,
        num_seen: int | None = None,
    ) -> None:
        self.events = events
        self.num_events = len(events)
        self.num_seen = min(num_seen or self.num_events, self.num_events)
        self.batch_size = batch_size
        self.device = device
        self._resident = keep_on_device(events, device) if device.type == "cuda" else None

    def __len__(self) -> int:
        """Number of batches in a shuffled pass."""
        return _count_batches(self.num_seen, self.batch_size)

    def shuffle(self, seed: int, epoch: int, num_skipped: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Give a pass's events once, in an order that only the seed and the epoch decide.

        Args:
            num_skipped: Batches at the beginning to leave out, because they were given before.

        Yields:
            What `open` makes a batch of: places of events on the device, or the events.
        """
        order = np.random.default_rng([seed, epoch]).permutation(self.num_events)
        return self._serve(order[: self.num_seen], len(self), num_skipped)

    def in_order(
        self, first: int = 0, end: int | None = None, batch_size: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give events once, in the set's order; shapes as `open`.

        Args:
            first, end: Which of them; all by default.
            batch_size: Instead of the batches' own.
        """
        order = np.arange(first, self.num_events if end is None else end)
        num_batches = _count_batches(len(order), batch_size or self.batch_size)
        return (self.open(*given) for given in self._serve(order, num_batches))

    def open(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Make a batch on the device of what `shuffle` gave.

        Returns:
            x_BCL (B, 4, 4000) and y_BL (B, 4000), float32, NaN where masked.
        """
        x, y = given if self._resident is None else (part[given[0]] for part in self._resident)
        return (
            x.to(self.device, torch.float32, non_blocking=True),
            y.to(self.device, torch.float32, non_blocking=True),
        )

    def _serve(
        self, order: NDArray[np.int64], num_batches: int, num_skipped: int = 0
    ) -> Iterator[tuple[Tensor, ...]]:
        """Lay events out evenly over the batches of a pass; the larger ones come first."""
        if not len(order):
            return
        if self._resident is not None:
            places = torch.from_numpy(order).to(self.device)
            yield from zip(places.tensor_split(num_batches)[num_skipped:])
            return
        parts = np.array_split(order, num_batches)[num_skipped:]
        if not parts:
            return
        with ThreadPoolExecutor(max_workers=1) as reader:
            coming = reader.submit(self._load, parts[0])
            for following in [*parts[1:], None]:
                given = coming.result()
                if following is not None:
                    coming = reader.submit(self._load, following)
                yield given

    def _load(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        x_BCL, y_BL = self.events.load(indices)
        x, y = torch.from_numpy(x_BCL), torch.from_numpy(y_BL)
        return (x.pin_memory(), y.pin_memory()) if self.device.type == "cuda" else (x, y)


_kept: deque[tuple[EventSet, torch.device, tuple[Tensor, Tensor]]] = deque(maxlen=NUM_RESIDENT)


def keep_on_device(events: EventSet, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Give the events of a set as they are kept on a device, for all trainings of this process.

    Returns:
        x_NCL (N, 4, 4000) and y_NL (N, 4000), in half precision only if stored so; None where they
        do not fit.
    """
    for known, place, resident in _kept:
        if known is events and place == device:
            return resident
    copied = _copy(events, device)
    if copied is not None:
        _kept.append((events, device, copied))
    return copied


def drop_kept() -> None:
    """Keep no events for trainings to come, since one needs all of the device."""
    _kept.clear()


def _copy(events: EventSet, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Copy all events to a GPU where they fit; done when this returns."""
    is_half = events.dtypes == ("float16", "float16")
    dtype = torch.float16 if is_half else torch.float32
    needed = len(events) * (NUM_FEATURES + 1) * NUM_BINS * dtype.itemsize
    free, _total = torch.cuda.mem_get_info(device)
    if needed > RESIDENT_SHARE * free:
        return None
    x_NCL = torch.empty((len(events), NUM_FEATURES, NUM_BINS), dtype=dtype, device=device)
    y_NL = torch.empty((len(events), NUM_BINS), dtype=dtype, device=device)
    done = 0
    for x_BCL, y_BL in events.iterate(512):
        part = slice(done, done + len(y_BL))
        x_NCL[part] = torch.from_numpy(x_BCL).to(device)
        y_NL[part] = torch.from_numpy(y_BL).to(device)
        done = part.stop
    torch.cuda.current_stream(device).synchronize()  # others read them in streams of their own
    return x_NCL, y_NL


def _count_batches(num_events: int, batch_size: int) -> int:
    """Count the batches that events are laid out over."""
    num_batches = -(-num_events // batch_size)
    if batch_size == 1:
        return num_batches
    return min(num_batches, max(1, num_events // 2))  # three in pairs are one of three

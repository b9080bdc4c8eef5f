"""Whose turn it is, among the trials that the threads of one process train at once.

A GPU has work of several small trainings before it, and their host waits for it most of the time.
One thread at a time therefore has the turn: it alone draws random numbers that a whole process
shares, changes what PyTorch keeps for all threads, and gives the GPU work. It lets others have the
turn where it waits: for the GPU, or for the database. Each thread finds the random numbers as it
left them, so that a training is the same to the last bit whatever is trained beside it.

A thread that `take_turns` was not called in is alone, and has the turn always.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

SWITCH_S = 0.0005
"""After which Python lets another thread go on; in its 5 ms a GPU does several steps."""


class Turns:
    """The turns of a process: who waits longest is next."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __len__(self) -> int:
        """Threads that wait."""
        return len(self._waiting)

    def take(self) -> None:
        """Wait for the turn."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()

    def give(self) -> None:
        """Give the turn to who waits longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False


class _Hand:
    """A thread that takes turns, and the random numbers that it goes on with."""

    def __init__(self, turns: Turns, device: torch.device) -> None:
        self.is_held = False
        self._turns = turns
        self._draws: tuple[Any, ...] | None = None
        self._of_numpy = np.random.MT19937()
        self._device = device
        self._on_device = torch.Generator(device) if device.type == "cuda" else None

    def take(self) -> None:
        self._turns.take()
        try:
            self._find_draws()
        except BaseException:
            self._turns.give()
            raise
        self.is_held = True

    def _find_draws(self) -> None:
        if self._draws is not None:
            of_torch, of_python = self._draws
            torch.set_rng_state(of_torch)
            random.setstate(of_python)
        # Its state is not copied: that took most of a change of turns.
        np.random.set_bit_generator(self._of_numpy)  # type: ignore[attr-defined]
        if self._on_device is not None:  # a recording goes on with the one that it began with
            index = self._device.index or 0
            own = self._on_device.graphsafe_get_state()
            torch.cuda.default_generators[index].graphsafe_set_state(own)

    def give(self) -> None:
        self._draws = torch.get_rng_state(), random.getstate()
        self.is_held = False
        self._turns.give()


_this = threading.local()


@contextmanager
def take_turns(turns: Turns, device: torch.device) -> Iterator[None]:
    """Have this thread compute in turn with others of its process, on a device that they share.

    On a GPU it has a stream of its own, so that what it gives the GPU waits for nobody else's work.
    """
    _this.hand = _Hand(turns, device)
    try:
        if device.type == "cuda":
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            with torch.cuda.stream(stream):
                yield
        else:
            yield
    finally:
        _this.hand = None


@contextmanager
def my_turn() -> Iterator[None]:
    """Have the turn within."""
    hand = getattr(_this, "hand", None)
    if hand is None or hand.is_held:
        yield
        return
    hand.take()
    try:
        yield
    finally:
        hand.give()


@contextmanager
def others_turn() -> Iterator[None]:
    """Let others have the turn within, which this thread waits in and computes nothing."""
    hand = getattr(_this, "hand", None)
    if hand is None or not hand.is_held:
        yield
        return
    hand.give()
    try:
        yield
    finally:
        hand.take()

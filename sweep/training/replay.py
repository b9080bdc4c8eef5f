"""A step without the host: recorded once on a GPU, then replayed batch by batch.

A small network's step is hundreds of kernels of a few microseconds each, and a host that starts
them one by one keeps a GPU idle for most of the time. Recorded, they are started at once. What is
recorded is the very function that trains on a CPU (`training.step`); a network that cannot be
recorded is trained by calling it, as on a CPU.

The first steps with each size of a batch are called and not replayed: they are steps like others,
in which libraries choose their kernels, and in the last of which it is seen whether the network
waits for the device or changes what a recording does not hold.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn

from sweep.machine.device import is_out_of_memory
from sweep.training.host_state import HostState

logger = logging.getLogger(__name__)

NUM_CALLED = 3
"""Steps with each size of a batch that are called before one is recorded."""


class Recording(Protocol):
    """What was done on the device, to be done again with what is in the same memory by then."""

    def replay(self) -> None:
        """Have the device do it; returns at once."""


class Recorder(Protocol):
    """A device that can record what it does, as `training.cuda_recorder.CudaRecorder`."""

    device: torch.device

    def open_lane(self) -> AbstractContextManager[None]:
        """Give all work within to a queue of its own, which what follows waits for."""

    def observe(self, action: Callable[[], None]) -> str | None:
        """Do something, and say why it could not be recorded; None where nothing is known."""

    def record(self, action: Callable[[], None]) -> Recording:
        """Record what something does on the device, without doing it.

        Raises:
            Exception: when it cannot be recorded; the device can then be used as before.
        """

    def keep_pace(self) -> None:
        """Wait until the device has done most of what it was given."""

    def catch_up(self) -> None:
        """Wait until the device has done all that it was given."""


class Player:
    """Does the steps of a training: calls them, or replays them where the device can record.

    Args:
        act: The step, a function of tensors alone.
        recorder: Of the device; None where there is nothing to be won.
    """

    def __init__(
        self, act: Callable[..., None], network: nn.Module, recorder: Recorder | None
    ) -> None:
        self._act = act
        self._network = network
        self._recorder = recorder
        self._is_recordable = recorder is not None
        self._num_called: Counter[Hashable] = Counter()
        self._tapes: dict[Hashable, _Tape] = {}

    @property
    def num_recorded(self) -> int:
        """Sizes of batch whose step is replayed by now."""
        return len(self._tapes)

    def open_lane(self) -> AbstractContextManager[None]:
        """Let all steps within be done one after the other, and what follows after them."""
        return self._recorder.open_lane() if self._recorder else nullcontext()

    def catch_up(self) -> None:
        """Wait until all steps are done."""
        if self._recorder is not None:
            self._recorder.catch_up()

    def forget(self) -> None:
        """Forget what was recorded: something lies elsewhere in memory now."""
        self._tapes.clear()
        self._num_called.clear()

    def __call__(self, *given: Tensor) -> None:
        """Do a step.

        Args:
            given: What it takes; on any device.
        """
        form = tuple((part.shape, part.dtype) for part in given)
        if form in self._tapes:
            self._tapes[form].play(given)
        elif self._recorder is not None and self._is_recordable:
            self._do(self._recorder, form, given)
        else:
            self._act(*given)
        if self._recorder is not None:
            self._recorder.keep_pace()

    def _do(self, recorder: Recorder, form: Hashable, given: tuple[Tensor, ...]) -> None:
        """Do a step of which there is no recording yet: call it, or make one and replay it."""
        self._num_called[form] += 1
        if self._num_called[form] < NUM_CALLED:
            self._act(*given)
        elif self._num_called[form] == NUM_CALLED:
            self._observe(recorder, given)
        elif self._record(recorder, form, given):
            self._tapes[form].play(given)
        else:
            self._act(*given)

    def _observe(self, recorder: Recorder, given: tuple[Tensor, ...]) -> None:
        """Call a step, and see whether anything speaks against a recording."""
        before = HostState(self._network)
        reason = recorder.observe(lambda: self._act(*given))
        reason = reason or before.find_change(HostState(self._network))
        if reason is not None:
            self._give_up(reason)

    def _record(self, recorder: Recorder, form: Hashable, given: tuple[Tensor, ...]) -> bool:
        """Try to record a step; what else the device's memory held for it is given back first."""
        try:
            self._tapes[form] = _Tape(recorder, self._act, given, HostState(self._network))
        except Exception as exc:  # whatever a person's network or a library does there
            full = "the device's memory is full" if is_out_of_memory(exc) else None
            self._give_up(full or " ".join(str(exc).split())[:200] or repr(exc))
            return False
        return True

    def _give_up(self, reason: str) -> None:
        """Call all further steps."""
        self.forget()
        self._is_recordable = False
        _say_once(type(self._network).__name__, reason)


@cache
def _say_once(name: str, reason: str) -> None:
    """Say of all trainings of a network but once that its steps are not replayed."""
    logger.warning("%s: its training steps are started one by one, not replayed: %s", name, reason)


class _Tape:
    """A recording of a step, and the memory that it reads its batch from.

    Args:
        state: Of the network. What it holds is in the recording by its address, and so has to stay
            there, also where the network replaces it: tables that it makes for a size of batch.
    """

    def __init__(
        self,
        recorder: Recorder,
        act: Callable[..., None],
        given: tuple[Tensor, ...],
        state: HostState,
    ) -> None:
        self._state = state
        own = [part.to(recorder.device, copy=True) for part in given]
        self._own = own
        self._recording = recorder.record(lambda: act(*own))

    def play(self, given: tuple[Tensor, ...]) -> None:
        for own, part in zip(self._own, given, strict=True):
            own.copy_(part, non_blocking=True)
        self._recording.replay()

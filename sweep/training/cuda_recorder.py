"""Records what a GPU does as a CUDA graph, and keeps a host from running far ahead of it."""

from __future__ import annotations

import gc
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from sweep.machine.device import free_memory
from sweep.machine.turns import others_turn

LEAD_S = 0.2
"""Work that the GPU may have before it, so that a training ends soon after it is asked to."""
LEAST_LEAD, MOST_LEAD = 2, 256
"""The same in steps, however long they are."""
TURN_S = 0.02
"""For which a thread computes on the host, where the GPU never has so much before it."""
WAITING = "called a synchronizing CUDA operation"
"""What PyTorch warns of in its debug mode."""


class CudaRecorder:
    """A GPU that records.

    Everything is done in one stream: PyTorch's autograd does not mix the streams of what it keeps,
    and a recording can only be made outside of the default one. A thread that is in another has it
    for itself, and stays there.

    Args:
        device: A GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._own: torch.cuda.Stream | None = None
        self._pool = torch.cuda.graph_pool_handle()
        """Memory that all recordings share: none of them needs anything once it was replayed."""
        self._marks: deque[torch.cuda.Event] = deque()
        self._lead = LEAST_LEAD
        self._passed_at = self._turn_at = time.monotonic()

    @contextmanager
    def open_lane(self) -> Iterator[None]:
        """Give all work within to one stream that is not the default; what follows waits for it."""
        outer = torch.cuda.current_stream(self.device)
        if outer != torch.cuda.default_stream(self.device):
            yield
            return
        own = self._own = self._own or torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        own.wait_stream(outer)
        try:
            with torch.cuda.stream(own):
                yield
        finally:
            outer.wait_stream(own)
            self._marks.clear()

    def observe(self, action: Callable[[], None]) -> str | None:
        """Do something, and say whether the host waited for the GPU meanwhile."""
        before = torch.cuda.get_sync_debug_mode()
        _set_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                action()
        finally:
            _set_debug_mode(before)
        waits = [warning for warning in caught if WAITING in str(warning.message)]
        for warning in caught:
            if warning not in waits:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
        if not waits:
            return None
        return f"it waits for the GPU ({waits[0].filename}, line {waits[0].lineno})"

    def record(self, action: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Record what something does on the GPU, without doing it.

        Other threads may use the GPU meanwhile, as the one that reads events does.

        Raises:
            Exception: when it cannot be recorded; the GPU can then be used as before.
        """
        graph = torch.cuda.CUDAGraph()
        self.catch_up()
        free_memory(self.device)  # what the steps that were called took; a recording has its own
        has_gc = gc.isenabled()
        gc.disable()  # it may end what another thread's training had on the GPU, amid the recording
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        is_whole = False
        try:
            action()
            is_whole = True
        finally:
            if has_gc:
                gc.enable()
            try:
                graph.capture_end()
            except RuntimeError:
                self._mend()
                if is_whole:
                    raise
        return graph

    def _mend(self) -> None:
        """Undo what a recording leaves that broke off: PyTorch ends none of it then."""
        allocator = torch.cuda.memory
        with suppress(RuntimeError):  # the allocator still takes memory for the recording's pool
            index = torch.cuda.current_device()
            getattr(allocator, "_cuda_endAllocateToPool")(index, self._pool)  # noqa: B009
            getattr(allocator, "_cuda_releasePool")(index, self._pool)  # noqa: B009
        self._pool = torch.cuda.graph_pool_handle()
        # The random numbers still count for the recording, until another one is whole.
        blank = torch.zeros(1, device=self.device)
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(capture_error_mode="thread_local")
        blank.add_(1)
        graph.capture_end()

    def keep_pace(self) -> None:
        """Wait until the GPU has no more before it than `LEAD_S`; without using the processor.

        It is waited for until half of the work is done: whoever waits lets others have their turn.
        """
        mark = self._mark()
        self._marks.append(mark)
        while self._marks[0] is not mark and self._marks[0].query():  # type: ignore[no-untyped-call]
            self._marks.popleft()
            self._passed_at = time.monotonic()
        if len(self._marks) > self._lead:
            num_done = len(self._marks) // 2
            passed = [self._marks.popleft() for _ in range(num_done)]
            with others_turn():
                passed[-1].synchronize()
            now = time.monotonic()
            step_s, self._passed_at = (now - self._passed_at) / num_done, now
            most = min(MOST_LEAD, int(LEAD_S / max(step_s, 1e-6)))
            self._lead = max(LEAST_LEAD, min(2 * self._lead, most))
            self._turn_at = now
        elif time.monotonic() - self._turn_at > TURN_S:  # its steps take the host longer
            with others_turn():
                self._turn_at = time.monotonic()

    def _mark(self) -> torch.cuda.Event:
        """Mark what this thread has given the GPU by now."""
        mark = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        mark.record(torch.cuda.current_stream(self.device))
        return mark

    def catch_up(self) -> None:
        """Wait until the GPU has done all that this thread gave it; without using the processor."""
        mark = self._mark()
        with others_turn():
            mark.synchronize()
        self._marks.clear()


def _set_debug_mode(mode: int | str) -> None:
    """Have PyTorch warn where the host waits, without the warning that this finds not all of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode(mode)


def open_recorder(device: torch.device) -> CudaRecorder | None:
    """Open what records on a device; None where it is no GPU."""
    return CudaRecorder(device) if device.type == "cuda" else None

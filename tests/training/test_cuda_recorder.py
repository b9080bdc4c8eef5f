"""The recorder of a GPU, on a stand-in for one: recordings that fail, waits, and its pace."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

from sweep.training import cuda_recorder
from sweep.training.cuda_recorder import LEAD_S, WAITING, CudaRecorder

CPU = torch.device("cpu")


class StandIn:
    """A GPU that is not there: it has a clock, and is as fast as it is told.

    Attributes:
        now: Seconds on the host's clock.
        step_s: What the work takes that comes before the next mark.
        free_at: When all work is done that it was given.
        pools: Pools that recordings take memory for, by the number of recordings.
        fault: What ends the next recording, or None.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.step_s = 0.0
        self.free_at = 0.0
        self.pools: dict[int, int] = {}
        self.num_pools = 0
        self.mode = 0
        self.fault: Exception | None = None

    def make_pool(self) -> int:
        self.num_pools += 1
        self.pools[self.num_pools] = 0
        return self.num_pools

    def end_allocation(self, _index: int, pool: int) -> None:
        self.pools[pool] -= 1

    def set_mode(self, mode: int | str) -> None:
        warnings.warn("a prototype", stacklevel=1)
        self.mode = {"default": 0, "warn": 1}.get(str(mode), 0)


class Mark:
    """An event of the stand-in."""

    gpu: StandIn

    def __init__(self, blocking: bool = False) -> None:
        assert blocking

    def record(self, _stream: object) -> None:
        self.gpu.free_at = max(self.gpu.free_at, self.gpu.now) + self.gpu.step_s
        self.done_at = self.gpu.free_at

    def query(self) -> bool:
        return self.done_at <= self.gpu.now

    def synchronize(self) -> None:
        self.gpu.now = max(self.gpu.now, self.done_at)


class Graph:
    """A recording of the stand-in."""

    gpu: StandIn

    def capture_begin(self, pool: int | None = None, capture_error_mode: str = "") -> None:
        assert capture_error_mode == "thread_local"
        self.pool = pool or self.gpu.make_pool()
        self.gpu.pools[self.pool] += 1

    def capture_end(self) -> None:
        fault, self.gpu.fault = self.gpu.fault, None
        if fault is not None:
            raise fault
        self.gpu.pools[self.pool] -= 1


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Have PyTorch see the stand-in."""
    made = StandIn()
    Mark.gpu = Graph.gpu = made

    def do_nothing(*_arguments: object, **_options: object) -> None:
        pass

    def give_lane(_stream: object) -> AbstractContextManager[None]:
        return nullcontext()

    class Stream:
        wait_stream = do_nothing

    default = Stream()
    for name, stand_in in {
        "Stream": lambda _device: Stream(),
        "current_stream": lambda _device: default,
        "default_stream": lambda _device: default,
        "stream": give_lane,
        "Event": Mark,
        "CUDAGraph": Graph,
        "graph_pool_handle": made.make_pool,
        "synchronize": do_nothing,
        "empty_cache": do_nothing,
        "current_device": lambda: 0,
        "get_sync_debug_mode": lambda: made.mode,
        "set_sync_debug_mode": made.set_mode,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch.cuda.memory, "_cuda_endAllocateToPool", made.end_allocation)
    monkeypatch.setattr(torch.cuda.memory, "_cuda_releasePool", do_nothing)
    monkeypatch.setattr(cuda_recorder.time, "monotonic", lambda: made.now)
    yield made


@pytest.mark.parametrize(
    ("fault", "in_action", "said"),
    [
        (None, ValueError("the network's own"), "the network's own"),
        (RuntimeError("capture invalidated"), None, "capture invalidated"),
        (RuntimeError("capture invalidated"), RuntimeError("operation not permitted"), "permitted"),
    ],
)
def test_recording_that_broke_off_leaves_nothing(
    gpu: StandIn, fault: Exception | None, in_action: Exception | None, said: str
) -> None:
    """The first fault is told, nothing is allocated for it any more, and the next one works."""
    recorder = CudaRecorder(CPU)

    def act() -> None:
        gpu.fault = fault
        if in_action is not None:
            raise in_action

    with pytest.raises((RuntimeError, ValueError), match=said):
        recorder.record(act)
    assert set(gpu.pools.values()) == {0}
    recorder.record(lambda: None)
    assert set(gpu.pools.values()) == {0}


def test_waiting_for_the_gpu_is_seen(gpu: StandIn) -> None:
    """In a step that is observed; other warnings of it are passed on, and the mode is as before."""
    recorder = CudaRecorder(CPU)

    def wait() -> None:
        warnings.warn("of the network", stacklevel=1)
        assert gpu.mode == 1
        warnings.warn(WAITING, stacklevel=1)

    with pytest.warns(UserWarning, match="of the network") as told:
        reason = recorder.observe(wait)
    assert reason is not None
    assert "test_cuda_recorder.py" in reason
    assert len(told) == 1
    assert recorder.observe(lambda: None) is None
    assert gpu.mode == 0


@pytest.mark.parametrize(("step_s", "least"), [(0.0002, 0.005), (0.02, 0.1), (0.15, 0.15)])
def test_host_runs_ahead_but_little(gpu: StandIn, step_s: float, least: float) -> None:
    """Enough work is queued that the GPU never waits, and no more than can be waited for.

    Also where steps were short before, as those that are done when a recording is.
    """
    recorder = CudaRecorder(CPU)
    queued_s = []
    with recorder.open_lane():
        for number in range(400):
            gpu.step_s = step_s if number > 5 else 0.0
            gpu.now += 0.0001  # what a step takes the host
            asked_at = gpu.now
            recorder.keep_pace()
            queued_s.append(gpu.free_at - gpu.now)
            # Nor is anybody kept from asking whether to go on.
            assert gpu.now - asked_at <= max(3 * step_s, LEAD_S / 2) + 1e-6
    assert queued_s[-1] >= least
    assert max(queued_s) <= max(LEAD_S, 3 * step_s) + 1e-6

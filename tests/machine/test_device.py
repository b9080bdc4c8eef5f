"""Devices: what may be used, when their memory is full, and who shares them with whom."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from sweep.errors import ConfigError
from sweep.machine.device import (
    choose_device,
    describe_device,
    full_precision,
    is_lost,
    is_out_of_memory,
    open_device,
)
from sweep.worker.device_lock import DeviceLock

CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # has threads


class Holder:
    """A copy of this process that holds the device, or waits for it, until it is killed."""

    def __init__(self, folder: Path, *, alone: bool) -> None:
        self._held = FORK.Event()
        self.process = FORK.Process(target=self._hold, args=(folder, alone))
        self.process.start()

    def _hold(self, folder: Path, alone: bool) -> None:
        with DeviceLock(CPU, folder).hold(alone=alone, is_given_up=time.sleep):
            self._held.set()
            signal.pause()

    def wait(self) -> None:
        """Wait until it holds the device."""
        assert self._held.wait(60)

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.join()


@contextmanager
def hold_elsewhere(folder: Path, *, alone: bool) -> Iterator[Holder]:
    """Hold the device in another process, or wait there for it."""
    holder = Holder(folder, alone=alone)
    try:
        yield holder
    finally:
        holder.end()


def try_to_hold(folder: Path, *, alone: bool) -> bool:
    """Hold the device for a moment if it can be had at once."""
    with DeviceLock(CPU, folder).hold(alone=alone, is_given_up=lambda _s: True) as is_held:
        return is_held


def test_workers_share_a_device(tmp_path: Path) -> None:
    """Any number hold it together; nobody has it alone meanwhile, until they end."""
    with hold_elsewhere(tmp_path, alone=False) as other:
        other.wait()
        assert try_to_hold(tmp_path, alone=False)
        assert not try_to_hold(tmp_path, alone=True)
        other.end()
        assert try_to_hold(tmp_path, alone=True)


def test_who_is_alone_keeps_all_others_out(tmp_path: Path) -> None:
    """Until its process ends, however that comes."""
    with hold_elsewhere(tmp_path, alone=True) as other:
        other.wait()
        assert not try_to_hold(tmp_path, alone=False)
        assert not try_to_hold(tmp_path, alone=True)
    assert try_to_hold(tmp_path, alone=False)


def test_who_waits_to_be_alone_is_not_passed_by(tmp_path: Path) -> None:
    """Others may not begin before it, or it would wait for ever."""
    with DeviceLock(CPU, tmp_path).hold(alone=False, is_given_up=lambda _s: True) as is_held:
        assert is_held
        with hold_elsewhere(tmp_path, alone=True) as other:
            done = threading.Event()
            while try_to_hold(tmp_path, alone=False):
                assert not done.wait(0.01)
            assert not try_to_hold(tmp_path, alone=False)
            assert other.process.is_alive()


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("shape '[3]' is invalid for input of size 4"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_full_memory_is_told_from_other_faults(exc: Exception, expected: bool) -> None:
    """By kind, or by what PyTorch and its libraries say."""
    assert is_out_of_memory(exc) is expected


def test_allocation_beyond_the_machine_is_full_memory() -> None:
    """What PyTorch really raises on a CPU."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "tpu:0", ""])
def test_device_that_is_not_there_is_refused(name: str) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match="device: cannot be used") as caught:
        open_device(name)
    assert "\n" not in str(caught.value)


def test_device_is_chosen_and_named() -> None:
    """A GPU where there is one, else the CPU."""
    device = open_device("auto")
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert "threads" in describe_device(CPU)


KEEP = """
import ctypes
import mmap
from pathlib import Path
import torch
from sweep.machine.device import free_memory, keep_memory

class Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("heap", "a", "b", "c", "mapped", *"defgh")]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Memory
libc.malloc.restype = ctypes.c_void_p


def count_held_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


keep_memory()
blocks = [ctypes.c_void_p(libc.malloc(28 << 20)) for _block in range(8)]
for block in blocks:
    ctypes.memset(block, 1, 28 << 20)
held, held_bytes = libc.mallinfo2(), count_held_bytes()
for block in blocks[:-1]:
    libc.free(block)
left = libc.mallinfo2()
assert held.heap > 8 * 28 << 20, held.heap
assert (left.heap, left.mapped) == (held.heap, held.mapped), left.heap
assert held_bytes - count_held_bytes() < 1 << 20
free_memory(torch.device("cpu"))
assert held_bytes - count_held_bytes() > 6 * 28 << 20
"""
"""Asks glibc: in a process that ran much else, its heap may be another than that of a worker."""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="a setting of glibc")
def test_memory_of_tensors_is_kept_for_the_next_ones() -> None:
    """After `keep_memory` what tensors took is not given back to the system when they are gone, but
    by `free_memory`, also what lies below one that is still there.
    """
    subprocess.run([sys.executable, "-c", KEEP], check=True)


def test_gpu_computes_the_same_bits_again_and_rounds_as_said(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """From when a process chooses it; numbers that leave the program are not rounded."""
    cudnn: Any = torch.backends.cudnn
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cudnn, "deterministic", False)
    before = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    request.addfinalizer(lambda: setattr(cudnn.conv, "fp32_precision", before[0]))
    request.addfinalizer(lambda: setattr(cudnn.rnn, "fp32_precision", before[1]))
    assert choose_device().type == "cuda"
    assert cudnn.deterministic
    assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("tf32", "tf32")
    with full_precision():
        assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("ieee", "ieee")
    assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("tf32", "tf32")


def test_gpu_is_lost_where_it_answers_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a network's fault it refuses everything; a CPU is never lost."""

    def refuse(_device: torch.device) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", refuse)
    assert is_lost(torch.device("cuda"))
    assert not is_lost(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: None)
    assert not is_lost(torch.device("cuda"))

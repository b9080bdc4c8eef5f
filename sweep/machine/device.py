"""The device a worker computes on, and whether others on it must make room.

Workers that share a device hold a lock on it while they train. A trial that ran out of memory is
tried again with that lock held alone, so that a full device is not taken for a bad configuration.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sweep.errors import ConfigError, summarise_fault

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def open_device(name: str) -> torch.device:
    """Open a device before a trial is claimed for it.

    Args:
        name: `auto` (a GPU where PyTorch sees one, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: when it is not there.
    """
    if name == "auto":
        name = choose_device().type
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
        _choose_kernels(device)
    except (RuntimeError, AssertionError) as exc:
        reason = summarise_fault(exc)
        raise ConfigError(
            f"device: cannot be used, got {name!r} ({reason}), expected auto, cpu, cuda or cuda:N "
            "that is there; change --device"
        ) from exc
    return device


def choose_device() -> torch.device:
    """Choose where one process computes: the first GPU, or the CPU where there is none."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _choose_kernels(device)
    return device


def _choose_kernels(device: torch.device) -> None:
    """Have a GPU compute the same again to the same bits, and predict in TF32.

    Some kernels of convolutions add up in whatever order their threads come. Those that round what
    they multiply to TF32, as PyTorch has it by default, validate up to ten times as fast and change
    a loss by at most 5e-5 of itself (docs/PERFORMANCE.md).
    """
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        for kernel in _list_rounding():
            kernel.fp32_precision = "tf32"


def _list_rounding() -> tuple[Any, Any]:
    cudnn: Any = torch.backends.cudnn
    return cudnn.conv, cudnn.rnn


def describe_device(device: torch.device) -> str:
    """Name a device for people: `cpu, 2 threads` or the GPU's number and kind."""
    if device.type != "cuda":
        return f"{device}, {torch.get_num_threads()} threads"
    return f"gpu {name_gpu(device)}, {torch.cuda.get_device_name(device)}"


def name_gpu(device: torch.device) -> str:
    """Name a GPU as the driver does, whichever this process may see: a number or a UUID."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    index = device.index or 0
    return visible.split(",")[index] if visible else str(index)


def is_out_of_memory(exc: BaseException) -> bool:
    """Say whether a fault of PyTorch means that the device's memory is full."""
    if isinstance(exc, (MemoryError, torch.OutOfMemoryError)):
        return True
    signs = ("out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
    return isinstance(exc, RuntimeError) and any(sign in str(exc) for sign in signs)


class DeviceLostError(Exception):
    """The GPU is of no use to this process any more."""


def is_lost(device: torch.device) -> bool:
    """Say whether a fault has made a GPU of no use to this process, and so to all its trials.

    A network that reads beyond a tensor does; there is no way back but another process.
    """
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


def free_memory(device: torch.device) -> None:
    """Give back what is kept for later: of a CPU's memory, or of a GPU's that is over half full.

    A GPU is shared with other processes, so what only circles of references still hold goes then,
    too. That stops all threads and waits for all work of the GPU; Python finds those by itself.
    """
    if device.type != "cuda":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
        if trim is not None:
            trim(0)  # else each network leaves holes of its own sizes in what the others left
        return
    free, total = torch.cuda.mem_get_info(device)
    if 2 * free < total:
        gc.collect()
        torch.cuda.empty_cache()


def keep_memory() -> None:
    """Have the C library keep the memory of tensors on a CPU that are gone for those to come.

    glibc gives back a block of more than some megabytes when it is freed, or the end of its heap,
    and the system clears each page of the next one: a sixth of a training's time (measured with a
    CNN of 32 channels, whose tensors have 4 MB). Other libraries have no such setting.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, 2**25)  # the most it takes
        set_option(M_TRIM_THRESHOLD, 2**30)


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 as such on a GPU, for all threads: for numbers that leave the program.

    PyTorch rounds in convolutions and LSTMs unless told so.
    """
    kernels = _list_rounding()
    before = [kernel.fp32_precision for kernel in kernels]
    for kernel in kernels:
        kernel.fp32_precision = "ieee"
    try:
        yield
    finally:
        for kernel, precision in zip(kernels, before, strict=True):
            kernel.fp32_precision = precision

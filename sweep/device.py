"""The device a worker computes on, and whether others on it must make room.

Workers that share a device hold a lock on it while they train. A trial that ran out of memory is
tried again with that lock held alone, so that a full device is not taken for a bad configuration.
"""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from sweep.errors import ConfigError

POLL_S = 0.2


def open_device(name: str) -> torch.device:
    """Open a device before a trial is claimed for it.

    Args:
        name: `auto` (a GPU where PyTorch sees one, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: when it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        reason = (str(exc) or repr(exc)).splitlines()[0]
        raise ConfigError(
            f"device: cannot be used, got {name!r} ({reason}), expected auto, cpu, cuda or cuda:N "
            "that is there; change --device"
        ) from exc
    return device


def describe_device(device: torch.device) -> str:
    """Name a device for people: `cpu, 2 threads` or the GPU's number and kind."""
    if device.type != "cuda":
        return f"{device}, {torch.get_num_threads()} threads"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    index = device.index or 0
    shown = visible.split(",")[index] if visible else str(index)
    return f"gpu {shown}, {torch.cuda.get_device_name(device)}"


def is_out_of_memory(exc: BaseException) -> bool:
    """Say whether a fault of PyTorch means that the device's memory is full."""
    if isinstance(exc, (MemoryError, torch.OutOfMemoryError)):
        return True
    signs = ("out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
    return isinstance(exc, RuntimeError) and any(sign in str(exc) for sign in signs)


def free_memory(device: torch.device) -> None:
    """Give back what PyTorch keeps of a device's memory for later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 as such on a GPU: PyTorch rounds in convolutions and LSTMs unless told so."""
    cudnn: Any = torch.backends.cudnn
    kernels = cudnn.conv, cudnn.rnn
    before = [kernel.fp32_precision for kernel in kernels]
    for kernel in kernels:
        kernel.fp32_precision = "ieee"
    try:
        yield
    finally:
        for kernel, precision in zip(kernels, before, strict=True):
            kernel.fp32_precision = precision


class DeviceLock:
    """A lock on a device among the workers of one machine: held together, or alone.

    Args:
        device: Of this process.
        folder: Of the lock's files; the machine's own temporary folder unless given.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        key = "cpu"
        if device.type == "cuda":
            key = str(torch.cuda.get_device_properties(device).uuid)
        folder = folder or Path(tempfile.gettempdir()) / f"sweep-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{key}.lock"
        self._turnstile = folder / f"{key}.next"  # held by who waits to be alone; others queue

    @contextmanager
    def hold(self, *, alone: bool, is_given_up: Callable[[float], bool]) -> Iterator[bool]:
        """Hold the device together with others or alone.

        Args:
            alone: Whether to wait until all others have finished their trials, and let none begin.
            is_given_up: Waits for so many seconds and says whether to wait no longer.

        Yields:
            Whether the device is held; False when the waiting was given up.
        """
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        with ExitStack() as stack:
            with _lock(self._turnstile, kind, is_given_up) as is_next:
                is_held = is_next and stack.enter_context(_lock(self._path, kind, is_given_up))
            yield is_held


@contextmanager
def _lock(path: Path, kind: int, is_given_up: Callable[[float], bool]) -> Iterator[bool]:
    """Hold a file's lock; the system drops it when the process ends, however that comes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        is_held = False
        while not is_held:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                is_held = True
            except BlockingIOError:
                if is_given_up(POLL_S):
                    break
        yield is_held
    finally:
        os.close(descriptor)

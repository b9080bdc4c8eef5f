"""The peak finder's walk on a GPU: one small program, compiled where it runs.

The walk cannot be put together of PyTorch's operations: it adds in the reference's order, and they
do not. NVRTC, the compiler that comes with PyTorch, makes a program of `walk.cu`, and the driver
starts it on the current stream; nothing waits for it. Where there is no NVRTC, as on AMD's GPUs,
the walk is made on the CPU.

Shapes: B event, L bin, R column of a table.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sweep.metrics.decode import Decode

NUM_THREADS = 32
"""Events of a block: few, so that they spread over all of a GPU."""


class GpuWalk:
    """The compiled walk of one GPU.

    Args:
        binary: Compiled for the device, which is the current one.
    """

    def __init__(self, binary: bytes) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(self._driver.cuModuleLoadData(ctypes.byref(self._module), binary))
        self._check(
            self._driver.cuModuleGetFunction(ctypes.byref(self._function), self._module, b"walk")
        )

    def __call__(self, histogram_BL: Tensor, decode: Decode, tables: Sequence[Tensor]) -> None:
        """Start the walk.

        Args:
            histogram_BL: float32, contiguous.
            tables: Contiguous, each (B, R): position, height and integral, float32, and width,
                int32, filled for events without regions; then faults, int32, (B, 2).
        """
        num_events, num_bins = histogram_BL.shape
        arguments = [
            ctypes.c_void_p(histogram_BL.data_ptr()),
            ctypes.c_int(num_events),
            ctypes.c_int(num_bins),
            ctypes.c_float(decode.threshold),
            ctypes.c_float(decode.integral),
            ctypes.c_int(decode.min_width),
            ctypes.c_int(tables[0].shape[1]),
            *(ctypes.c_void_p(table.data_ptr()) for table in tables),
        ]
        places = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
        num_blocks = -(-num_events // NUM_THREADS)
        if num_blocks == 0:
            return
        with torch.cuda.device(histogram_BL.device):
            stream = torch.cuda.current_stream().cuda_stream
            sizes = (*(num_blocks, 1, 1), *(NUM_THREADS, 1, 1), 0)
            self._check(
                self._driver.cuLaunchKernel(
                    self._function,
                    *(ctypes.c_uint(size) for size in sizes),
                    ctypes.c_void_p(stream),
                    places,
                    None,
                )
            )

    def _check(self, result: int) -> None:
        if result:
            said = ctypes.c_char_p()
            self._driver.cuGetErrorString(result, ctypes.byref(said))
            raise RuntimeError(f"peak finder on the GPU: {(said.value or b'fault').decode()}")


@functools.cache
def find_walk(device: torch.device) -> GpuWalk | None:
    """Give the walk of a device, compiled when it is first asked for; None where the CPU's is used.

    Raises:
        RuntimeError: When the device's own compiler or driver refuses the program.
    """
    compiler = _open_compiler() if device.type == "cuda" and torch.version.cuda else None
    if compiler is None:
        return None
    major, minor = torch.cuda.get_device_capability(device)
    source = Path(__file__).with_suffix(".cu").read_bytes()
    with torch.cuda.device(device):
        torch.zeros(1, device=device)  # PyTorch makes the driver's context when it first needs one
        return GpuWalk(_compile(compiler, source, f"--gpu-architecture=sm_{major}{minor}"))


def _open_compiler() -> Any:
    """Open the NVRTC that PyTorch has with it: by its name, its own stub, or its wheel's file."""
    name = f"libnvrtc.so.{str(torch.version.cuda).split('.')[0]}"
    torch_folder = Path(torch.__file__).parent
    files = sorted(torch_folder.parent.glob(f"nvidia/*/lib/{name}"))
    for place in (name, torch_folder / "lib" / "libcaffe2_nvrtc.so", *files):
        try:
            return ctypes.CDLL(str(place))
        except OSError:  # not there: PyTorch may have been built without it
            continue
    return None


def _compile(compiler: Any, source: bytes, option: str) -> bytes:
    """Compile for one kind of GPU.

    Raises:
        RuntimeError: When the compiler refuses it.
    """
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = (ctypes.c_char_p * 1)(option.encode())

    def check(result: int) -> None:
        if result:
            compiler.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise RuntimeError(
                f"peak finder: not compiled for the GPU ({option}), got "
                f"{compiler.nvrtcGetErrorString(result).decode()}"
            )

    check(compiler.nvrtcCreateProgram(ctypes.byref(program), source, b"walk.cu", 0, None, None))
    check(compiler.nvrtcCompileProgram(program, 1, options))
    check(compiler.nvrtcGetCUBINSize(program, ctypes.byref(size)))
    binary = ctypes.create_string_buffer(size.value)
    check(compiler.nvrtcGetCUBIN(program, binary))
    compiler.nvrtcDestroyProgram(ctypes.byref(program))
    return binary.raw

"""What a worker takes of its machine, measured now and then, and known while it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sweep.worker.usage import EVERY_S, UsageMeter, read_memory_bytes

CPU = torch.device("cpu")


def test_memory_of_this_process_is_measured(tmp_path: Path) -> None:
    """Its part of what it shares; nothing on a system that does not say, and no GPU on a CPU."""
    used = read_memory_bytes()
    assert used is not None
    assert 50e6 < used < 50e9
    assert read_memory_bytes(tmp_path / "none") is None
    usage = UsageMeter(CPU).measure()
    assert usage is not None
    assert (usage.gpu_memory_bytes, usage.gpu_use) == (None, None)


def test_it_is_measured_now_and_then() -> None:
    """Not at every epoch of a small network."""
    now_s = [0.0]
    meter = UsageMeter(CPU, lambda: now_s[0])
    assert meter.measure() is not None
    now_s[0] = EVERY_S - 0.1
    assert meter.measure() is None
    now_s[0] = EVERY_S
    assert meter.measure() is not None


@pytest.mark.parametrize(
    ("told", "use"), [("echo 37", 0.37), ("echo '[N/A]'", None), ("exit 9", None), (None, None)]
)
def test_use_of_a_gpu_is_what_the_driver_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, use: float | None
) -> None:
    """Of the one that this process sees; unknown where the driver does not know or is not there."""
    if told is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\n{told}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-one,GPU-two")
    usage = UsageMeter(torch.device("cuda", 1)).measure()
    assert usage is not None
    assert usage.gpu_use == use
    assert usage.gpu_memory_bytes == 0  # of this process, which has no GPU
    if told is not None:
        asked = "--query-gpu=utilization.gpu --format=csv,noheader,nounits -i GPU-two"
        assert (tmp_path / "asked").read_text().strip() == asked

"""What NVIDIA's driver says of GPUs, asked by its own program: no memory of theirs is taken."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

ASK_TIMEOUT_S = 10.0


def ask_driver(what: str, names: Sequence[str]) -> list[int] | None:
    """Ask the driver for one number of each of some GPUs.

    Args:
        what: As `nvidia-smi --help-query-gpu` names it: `memory.free` (MiB), `utilization.gpu` (%).
        names: Of the GPUs, as CUDA_VISIBLE_DEVICES has them: numbers or UUIDs.

    Returns:
        The numbers, or None where the driver's `nvidia-smi` is not there or does not know.
    """
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            [*command, "-i", ",".join(names)],
            capture_output=True,
            text=True,
            timeout=ASK_TIMEOUT_S,
            check=True,
        )
        return [int(line) for line in answer.stdout.splitlines()] or None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None

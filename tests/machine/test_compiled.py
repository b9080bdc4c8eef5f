"""What numba compiles runs where nothing can be kept, too."""

from __future__ import annotations

from typing import Any

from sweep.machine.compiled import compiled


def test_functions_run_where_nothing_can_be_kept() -> None:
    """As in a container whose folders are all read-only."""
    space: dict[str, Any] = {}
    exec(compile("def double(x):\n    return 2 * x\n", "/proc/nowhere.py", "exec"), space)
    assert compiled()(space["double"])(21) == 42

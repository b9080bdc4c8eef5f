"""What numba compiles runs where nothing can be kept, too, and is kept until something changes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweep.machine.compiled import compiled

OUTER = """
import numbers_of_ours
from inner import SHIFT, scale
from sweep.machine.compiled import compiled

@compiled()
def run(x):
    return scale(x) + SHIFT + numbers_of_ours.MORE

def tell():
    return run(1), len(run.stats.cache_hits)
"""
INNER = """
from sweep.machine.compiled import compiled

FACTOR, SHIFT = {}, {}

@compiled(inline="always")
def scale(x):
    return FACTOR * x
"""


def test_functions_run_where_nothing_can_be_kept() -> None:
    """As in a container whose folders are all read-only."""
    space: dict[str, Any] = {}
    exec(compile("def double(x):\n    return 2 * x\n", "/proc/nowhere.py", "exec"), space)
    assert compiled()(space["double"])(21) == 42


def test_function_is_kept_until_what_is_compiled_into_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process loads it; where a file that it calls or takes a value from is another one,
    it is compiled anew.
    """
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files change within a second
    (tmp_path / "outer.py").write_text(OUTER)

    def edit(factor: int, shift: int, more: int) -> None:
        (tmp_path / "inner.py").write_text(INNER.format(factor, shift))
        (tmp_path / "numbers_of_ours.py").write_text(f"MORE = {more}\n")

    def run() -> tuple[int, int]:
        for name in ("outer", "inner", "numbers_of_ours"):
            sys.modules.pop(name, None)
        return importlib.import_module("outer").tell()

    edit(2, 10, 100)
    assert run() == (112, 0)
    asked = [sys.executable, "-c", "import outer; print(outer.tell())"]
    done = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "(112, 1)\n"
    edit(3, 10, 100)
    assert run() == (113, 0)
    asked[-1] = "import outer, pathlib; pathlib.Path('inner.py').unlink(); print(outer.tell())"
    done = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "(113, 1)\n"  # it is kept by what was imported, not by what is there now
    edit(3, 20, 200)
    assert run() == (223, 0)

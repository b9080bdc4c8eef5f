"""The notebook that a physicist begins with, run from top to bottom; starting from Python."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sweep
from sweep.errors import ConfigError, SweepError

NOTEBOOK = Path(__file__).parents[2] / "docs" / "start.ipynb"


class Kernel:
    """Stands for a notebook's: keeps what a cell shows, as `display` of IPython would."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, content: str, *, display_id: bool) -> Any:
        """Show something, and give what it is changed by."""
        self.shown.append(content)
        return SimpleNamespace(update=self.shown.append)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """IPython as a notebook has it loaded."""
    kernel = Kernel()
    pages = SimpleNamespace(display=kernel.display, HTML=str)
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel), display=pages)
    monkeypatch.setitem(__import__("sys").modules, "IPython", shell)
    monkeypatch.setitem(__import__("sys").modules, "IPython.display", pages)
    return kernel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def list_cells() -> list[str]:
    """List the notebook's cells of code."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_notebook_runs_from_top_to_bottom(folder: Path, kernel: Kernel) -> None:
    """Each cell runs, the sweep is shown while it trains, and vertices come of its best network."""
    names: dict[str, Any] = {}
    for cell in list_cells():
        exec(compile(cell, NOTEBOOK.name, "exec"), names)
    assert len(names["trials"]) == 2
    assert len(names["vertices"]) == 10
    assert "2 of 2 trials" in kernel.shown[-1]
    assert any("<th>trial</th>" in shown for shown in kernel.shown)
    os.remove(names["running"].log)


@pytest.mark.parametrize(
    ("options", "fault", "said"),
    [({"trials": -1}, SweepError, "trials: got -1"), ({"trails": 5}, ConfigError, "--trails")],
)
def test_what_the_command_refuses_is_raised(
    folder: Path, options: dict[str, Any], fault: type[SweepError], said: str
) -> None:
    """With the line that a person would read."""
    running = sweep.start("cnn", storage="sqlite:///none.db", **options)
    with pytest.raises(fault, match=said):
        running.wait()
    assert not running.is_running
    os.remove(running.log)

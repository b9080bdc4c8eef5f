"""Tables at any width: numbers are never cut."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from sweep.cli.console import Line
from sweep.cli.grid import Grid, name_columns

ROWS = [
    ("ünï Ω 文文文文文文", "12 of 50", "0.09505", "0.873 +0.007 -0.008", "gpu 0, NVIDIA H100 80GB"),
    ("another-quite-long-name", "1 of 1", "683.4", "0.100 +0.100 -0.100", "cpu"),
]
TITLES = ("sweep", "finished", "loss", "efficiency", "device")


def show(width: int, *, is_one_line: bool = False) -> list[str]:
    """Print the table at a width; gives its lines."""
    columns = name_columns(*TITLES, cut=("sweep", "device"))
    grid = Grid(columns, is_one_line=is_one_line)
    for row in ROWS:
        grid.add_row(*row)
    console = Console(file=io.StringIO(), width=width)
    console.print(grid, crop=False)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [120, 80, 60, 50, 40, 30, 24])
def test_every_number_is_whole_at_every_width(width: int) -> None:
    """Side by side or one below the other, no line is longer than the terminal."""
    lines = show(width)
    shown = re.findall(r"[+-]?\d+\.\d+", " ".join(lines))
    assert shown == [n for row in ROWS for cell in row for n in re.findall(r"[+-]?\d+\.\d+", cell)]
    assert max(map(cell_len, lines)) <= width


def test_names_are_whole_where_rows_are_told_as_lines() -> None:
    """Where all stand in one line names are cut, but never to nothing."""
    assert {"ünï Ω 文文文文文文", "another-quite-long-name"} <= set(show(30))
    narrow = show(70)
    assert len(narrow) == 3
    assert "another-…" in narrow[2] or "another-q" in narrow[2]


@pytest.mark.parametrize(("width", "titles"), [(70, 5), (40, 3), (24, 2), (5, 1)])
def test_a_row_that_must_be_one_line_loses_its_last_columns(width: int, titles: int) -> None:
    """Those that are left are whole."""
    lines = show(width, is_one_line=True)
    assert len(lines) == 3
    assert sum(title in lines[0] for title in TITLES) == (titles if width > 5 else 1)
    assert ("0.09505" in lines[1]) == (titles > 2)


def test_a_long_line_goes_on_between_its_words() -> None:
    """A word that is longer than the terminal is left to it."""
    console = Console(file=io.StringIO(), width=10)
    console.print(Line("loss 0.123456789012345 of trial 7"), crop=False)
    words = console.file.getvalue().split()  # type: ignore[attr-defined]
    assert words == ["loss", "0.123456789012345", "of", "trial", "7"]


def test_spare_columns_go_first() -> None:
    """One by one from the right, while the others stay; told as lines, there is room for all."""
    grid = Grid(name_columns("trial", "loss", "width", "mean", "on", spare=("width", "mean")))
    grid.add_row("3", "0.03554", "0.1217 +-0.0020", "-0.0047 +-0.0028", "gpu 0")
    shown = {}
    for width in (80, 40, 25, 10):
        console = Console(file=io.StringIO(), width=width)
        console.print(grid, crop=False)
        shown[width] = console.file.getvalue().split()  # type: ignore[attr-defined]
    assert shown[80][:5] == ["trial", "loss", "width", "mean", "on"]
    assert shown[40][:4] == ["trial", "loss", "width", "on"]
    assert shown[25] == ["trial", "loss", "on", "3", "0.03554", "gpu", "0"]
    assert "-0.0047" in shown[10]

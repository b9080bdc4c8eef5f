"""Files that a person asks for take no other thing's place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweep.errors import DataError
from sweep.files.output_file import check_output, write_output


def test_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is written: a page that a server shows is the new one."""
    (tmp_path / "shown").mkdir()
    link, shown = tmp_path / "report.html", tmp_path / "shown" / "report.html"
    shown.write_text("old")
    link.symlink_to(shown)
    write_output(link, lambda path: path.write_text("new"))
    assert (link.is_symlink(), shown.read_text()) == (True, "new")


def test_pipe_is_left_alone(tmp_path: Path) -> None:
    """As /dev/stdout is: a file in its place would be there for all programs after this one."""
    pipe = tmp_path / "trials.csv"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="exists already, got a pipe or a device"):
        check_output(pipe, (".csv",))
    with pytest.raises(DataError, match="exists already, got a pipe or a device"):
        write_output(pipe, lambda path: path.write_text("new"))
    assert pipe.is_fifo()

"""Text that leaves the program: any terminal, any name, a full disk, a closed pipe."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweep.cli.console import open_console
from sweep.cli.output import (
    check_texts,
    clean,
    drop_output,
    finish_streams,
    prepare_streams,
    print_note,
)
from sweep.errors import ConfigError
from sweep.machine.process import COMMAND
from sweep.storage.sweeps import create_sweep
from sweep.trial.session import Session


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_letters_that_the_terminal_has_not_are_replaced(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Not the whole line is lost with them."""
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, buffer in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding))
    prepare_streams()
    open_console().print("sweep Ω…")
    print_note("note Ω")
    finish_streams()
    assert written["stdout"].getvalue() == b"sweep ??\n"
    assert written["stderr"].getvalue() == b"note ?\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ünï Ω 文 שלום", "ünï Ω 文 שלום"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("back\b\r\x9b0m", "back\\x08\\r\\x9b0m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("half \udcff", "half \\udcff"),
        ("line\u2028line", "line\\u2028line"),
    ],
)
def test_what_steers_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    """Letters of all scripts stay."""
    assert clean(text) == shown


def test_names_in_a_database_do_not_steer_the_terminal(
    session: Session, call: Callable[..., Any], sqlite_url: str
) -> None:
    """Somebody else may have written them."""
    create_sweep(session.engine, "\x1b[2J\u202ebad", session.config.to_json(), {}, 1)
    for command in (("list",), ("status", "--sweep", "\x1b[2J\u202ebad")):
        answer = call(*command, "--storage", sqlite_url)
        assert answer.code == 0
        assert "\\x1b[2J\\u202ebad" in answer.out
        assert "\x1b" not in answer.out + answer.err
    assert "expected one of: net, \\x1b" in call("best", "--storage", sqlite_url).err


def test_sweep_that_cannot_be_read_stops_no_list(
    session: Session, call: Callable[..., Any], sqlite_url: str
) -> None:
    """The others are listed, and it is named."""
    create_sweep(session.engine, "strange", {"model": "cnn"}, {}, 1)
    answer = call("list", "--storage", sqlite_url)
    assert answer.code == 0
    assert "net" in answer.out
    assert answer.err.startswith("strange: not listed: stored sweep: its config is not readable")


@pytest.mark.parametrize(
    "options",
    [
        ("--data", "a\udcff.npz"),
        ("--sweep", "a\udcff"),
        ("--artifacts", "a\udcff"),
        ("--storage", "sqlite:///a\udcff.db"),
        ("--set", "lr=\udcff"),
        ("--config", "a\udcff.toml"),
        ("--sweep", "文" * 90),
        ("--sweep", "red\x1b[31m"),
        ("--sweep", "ab\u202ecd"),
    ],
)
def test_text_that_cannot_be_kept_is_refused_at_once(
    call: Callable[..., Any], tmp_path: Path, options: tuple[str, str]
) -> None:
    """In one line, with nothing stored."""
    answer = call("run", "--model", "cnn", "--detach", *options)
    assert "\x1b" not in answer.fault
    assert list(tmp_path.iterdir()) == []


def test_longest_name_is_a_file_name(call: Callable[..., Any], events_file: Path) -> None:
    """66 letters of three bytes are taken, with the folders and logs that bear the name."""
    options = ("--data", events_file, "--events", 24, "--val-events", 12, "--trials", 1)
    name = "文" * 66
    assert call("run", "--model", "cnn", *options, "--detach", "--sweep", name).code == 0
    assert name in call("status", "--sweep", name).out


def test_registered_sweep_is_told_as_it_is_stored(
    call: Callable[..., Any], events_file: Path
) -> None:
    """With the priority that it was just given."""
    options = ("--data", events_file, "--events", 24, "--val-events", 12, "--trials", 1)
    answer = call("run", "--model", "cnn", *options, "--detach", "--priority", 3, "--json")
    assert json.loads(answer.out)["priority"] == 3


def test_folder_and_settings_are_looked_at(tmp_path: Path) -> None:
    """Paths are kept whole, so that of the folder is part of them."""
    check_texts(["ünï"], {"SWEEP_STORAGE": "sqlite:///Ω.db", "OTHER": "\udcff"}, str(tmp_path))
    for settings, folder in (({"SWEEP_ARTIFACTS": "\udcff"}, "/"), ({}, "/\udcff")):
        with pytest.raises(ConfigError, match="not text in utf-8, got"):
            check_texts([], settings, folder)


@pytest.mark.parametrize(
    "text", ['sweep = "a\\u001b"', 'data = ["a\\u0000.npz"]', '[space]\n"a\\u0007" = 1']
)
def test_toml_text_that_cannot_be_printed_is_refused(
    call: Callable[..., Any], tmp_path: Path, text: str
) -> None:
    """TOML can write any character."""
    (tmp_path / "sweep.toml").write_text(text)
    answer = call("run", "--model", "cnn", "--detach")
    assert answer.code == 1
    assert "a text holds what cannot be printed" in answer.err


@pytest.mark.parametrize("place", ["full disk", "closed pipe", "closed"])
def test_output_that_nobody_takes_leaves_no_traceback(
    empty_database: Path, tmp_path: Path, place: str
) -> None:
    """A full disk is one line and exit code 1; a reader that has left is none; a closed stream is
    like `/dev/null`."""
    words = [*COMMAND, "list", "--storage", f"sqlite:///{empty_database}"]
    if place == "closed":
        words = ["sh", "-c", 'exec "$@" >&-', "sh", *words]
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full:
        output = {"full disk": full.fileno(), "closed pipe": writer, "closed": None}[place]
        process = subprocess.run(
            words, cwd=tmp_path, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    os.close(writer)
    codes = {"full disk": 1, "closed pipe": 1, "closed": 0}
    said = "error: output: cannot be written, got 'No space left on device', expected room; free"
    assert process.returncode == codes[place]
    assert process.stderr == (f"{said} some\n" if place == "full disk" else "")


def test_rest_of_the_output_is_dropped_where_it_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else Python would try it again at its end, and tell of it."""
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    monkeypatch.setattr(sys, "stdout", full)
    full.write("much")
    with pytest.raises(OSError, match="No space left"):
        finish_streams()
    drop_output()
    full.close()

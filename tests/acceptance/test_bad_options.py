"""What a person can mistype gets one clear line and an exit code, and trains nothing.

What needs no events to be refused is in tests/cli/test_refusals.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REFUSED = [
    (["--set", "head=identity,foo"], "space.head: no network can be built, got 'foo'"),
    (["--set", "num_layers=0:3"], "space.num_layers: no network can be built, got 0"),
    (["--gpus", "99"], "gpus: not there, got 99"),
    (["--events", "99"], "fewer events than asked"),
    (["--model", "mynet.py:NoNet"], "no such class"),
    (["--storage", "sqlite:///events.npz"], "file is not a database"),
    (["--sweep", ""], "sweep: not a name"),
    (["--x-key", "Z"], "unknown key, got Z"),
]
LOOKING = ["status", "list", "stop", "best"]


@pytest.fixture
def folder(tmp_path: Path, events_file: Path, own_network: Path) -> Path:
    """The person's folder: events and a network, no sweep yet."""
    (tmp_path / "events.npz").write_bytes(events_file.read_bytes())
    (tmp_path / "mynet.py").write_bytes(own_network.read_bytes())
    return tmp_path


@pytest.mark.parametrize(("options", "reason"), REFUSED)
def test_bad_value_is_refused(
    folder: Path, call: Callable[..., Any], options: list[str], reason: str
) -> None:
    """The last value of an option counts, so the bad one does."""
    good = ["--model", "cnn", "--data", "events.npz", "--events", "24", "--val-events", "12"]
    answer = call("run", *good, *options)
    assert reason in answer.fault
    if (folder / "sweep.db").exists():
        with sqlite3.connect(folder / "sweep.db") as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        connection.close()
        assert tables == []


@pytest.mark.parametrize(
    "arguments",
    [["run", "--trials", "many"], ["run", "--nope"], ["train"], ["evaluate"], ["resume", "--nope"]],
)
def test_wrong_usage_has_code_2(
    folder: Path, call: Callable[..., Any], arguments: list[str]
) -> None:
    """The last line says what is wrong."""
    answer = call(*arguments)
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("Error: ")
    assert answer.out == ""


@pytest.mark.parametrize("command", LOOKING)
def test_looking_where_nothing_is_makes_nothing(
    folder: Path, call: Callable[..., Any], command: str
) -> None:
    """No database is made by a command that only looks."""
    answer = call(command)
    assert answer.code == 1
    assert answer.err.startswith("error: storage: no such file, got sweep.db")
    assert not (folder / "sweep.db").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("trials = 'many'", "trials: got 'many'"),
        ("trials = true", "trials: got True"),
        pytest.param("timeout = 1" + "0" * 400, "timeout: got a number of 401", id="endless"),
        ("[space]\nsize = 3", "--set size: no such hyperparameter"),
    ],
)
def test_bad_toml_is_refused(
    folder: Path, call: Callable[..., Any], content: str, reason: str
) -> None:
    """A `sweep.toml` beside the shell is read unasked, and its faults are told the same way."""
    (folder / "sweep.toml").write_text(content, encoding="utf-8")
    answer = call("run", "--model", "cnn", "--data", "events.npz")
    assert reason in answer.fault

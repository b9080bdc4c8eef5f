"""Everything a person can mistype gets one clear line and an exit code, and trains nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REFUSED = [
    (["--fix", "lr=-1"], "space.lr: impossible, got -1.0"),
    (["--fix", "beta1=1.5"], "space.beta1: impossible, got 1.5"),
    (["--fix", "batch_size=0"], "space.batch_size: impossible, got 0"),
    (["--fix", "weight_decay=-1"], "space.weight_decay: impossible, got -1"),
    (["--set", "head=identity,foo"], "space.head: no network can be built, got 'foo'"),
    (["--set", "num_layers=0:3"], "space.num_layers: no network can be built, got 0"),
    (["--artifacts", "events.npz"], "artifacts: not a folder"),
    (["--config", "."], "not TOML"),
    (["--trials", "0"], "trials: got 0, expected at least 1"),
    (["--trials", "-3"], "trials: got -3"),
    (["--workers", "0"], "workers: got 0"),
    (["--timeout", "0"], "timeout: got 0.0"),
    (["--timeout", "nan"], "timeout: got nan"),
    (["--trial-timeout", "0"], "trial-timeout: got 0.0"),
    (["--per-gpu", "0"], "per-gpu: got 0"),
    (["--gpus", "one"], "gpus: not a list of GPUs, got 'one'"),
    (["--gpus", "99"], "gpus: not there, got 99"),
    (["--profile", "tpu"], "profile: unknown, got 'tpu'"),
    (["--detach", "--timeout", "9"], "timeout: nothing is trained here"),
    (["--detach", "--audit", "3"], "audit: nothing is trained here"),
    (["--events", "0"], "events: too few, got 0"),
    (["--events", "99"], "fewer events than asked"),
    (["--val-events", "-1"], "val-events: too few, got -1"),
    (["--epochs", "0"], "epochs: got 0"),
    (["--model", "transformer"], "transformer"),
    (["--model", "none.py:Net"], "none.py', expected a Python file"),
    (["--model", "mynet.py:NoNet"], "no such class"),
    (["--recipe", "slow"], "recipe: unknown, got 'slow'"),
    (["--sampler", "grid"], "sampler: unknown, got 'grid'"),
    (["--pruner", "hyperband"], "pruner: unknown, got 'hyperband'"),
    (["--objective", "fp_rate"], "objective: unknown, got 'fp_rate'"),
    (["--seed", "-1"], "seed"),
    (["--set", "lr"], "--set: not readable, got 'lr'"),
    (["--set", "lr=1:0.1"], "low must be below high"),
    (["--set", "lr=a:b:c:d"], "space.lr"),
    (["--set", "size=1,2"], "--set size: no such hyperparameter"),
    (["--fix", "lr=0.1,0.2"], "--fix lr: not one value"),
    (["--storage", "sweep.db"], "storage: not a database address"),
    (["--storage", "mysql://me:secret@host/x"], "unknown kind of database"),
    (["--storage", "postgresql://me:secret@127.0.0.1:1/x"], "storage: cannot open"),
    (["--storage", "sqlite:///none/sweep.db"], "no such folder"),
    (["--storage", "sqlite:///events.npz"], "file is not a database"),
    (["--sweep", "../up"], "sweep: not a name"),
    (["--sweep", ""], "sweep: not a name"),
    (["--config", "none.toml"], "none.toml: no such file"),
    (["--data", "none.npz"], "none.npz"),
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
    keep = [] if options[0] in ("--data", "--config") else good
    answer = call("run", *(keep or [*good[:2], *good[4:]]), *options)
    assert reason in answer.fault
    assert "secret" not in answer.err
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
        ("model = 'cnn'\ntrails = 3", "unknown key, got trails"),
        ("[space]\nsize = 3", "--set size: no such hyperparameter"),
        ("model = ", "not TOML"),
    ],
)
def test_bad_toml_is_refused(
    folder: Path, call: Callable[..., Any], content: str, reason: str
) -> None:
    """A `sweep.toml` beside the shell is read unasked, and its faults are told the same way."""
    (folder / "sweep.toml").write_text(content, encoding="utf-8")
    answer = call("run", "--model", "cnn", "--data", "events.npz")
    assert reason in answer.fault


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["evaluate", "none"], "none: no exported model"),
        (["score", "none.npz", "events.npz"], "none.npz"),
        (["score", "events.npz", "events.npz"], "prediction"),
        (["models", "--model", "transformer"], "transformer"),
        (["worker", "--sweep", "cnn"], "no such file, got sweep.db"),
    ],
)
def test_other_commands_refuse_what_is_not_there(
    folder: Path, call: Callable[..., Any], arguments: list[str], reason: str
) -> None:
    """One line each."""
    answer = call(*arguments)
    assert reason in answer.fault

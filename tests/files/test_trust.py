"""Code of others runs only where somebody said so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import forks
import sweep.cli.apart
import sweep.results.export
from sweep.errors import ConfigError
from sweep.files.trust import VARIABLE, describe_environment, is_trusted, trust_all, vouch
from sweep.storage.engine import close_after, create_engine, parse_url
from sweep.storage.sources import read_files, write_files
from sweep.storage.sweeps import count_trials, find_sweep, list_sweeps

Call = Callable[..., Any]
SEAL, OTHER = "0" * 64, "1" * 64
NETWORK = """import torch
from my_blocks import FACTOR


class Net(torch.nn.Module):
    space = {"width": "1:4"}

    def __init__(self, width):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x_BCL):
        return x_BCL[:, 0] * self.scale.abs() * FACTOR
"""


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A person of whom nothing is known, and who trusts nothing yet."""
    monkeypatch.delenv(VARIABLE)
    be_somebody(monkeypatch, tmp_path / "state")


def be_somebody(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """Be the person whose state lies there, in a process that was given nothing."""
    monkeypatch.setattr("sweep.files.trust._given", set())
    monkeypatch.setenv("XDG_STATE_HOME", str(state))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network that leaves a mark beside it whenever it is run, by a module beside it."""
    path = tmp_path / "net" / "net.py"
    path.parent.mkdir()
    path.write_text(NETWORK)
    mark = tmp_path / "ran"
    path.with_name("my_blocks.py").write_text(f"FACTOR = 1.0\nopen({str(mark)!r}, 'w').close()\n")
    return path


@pytest.fixture
def options(events_file: Path) -> list[str]:
    """A small sweep's options, beside the model."""
    sizes = ["--events", "24", "--val-events", "12", "--epochs", "1", "--trials", "1"]
    return ["--data", str(events_file), *sizes, "--objective", "efficiency"]


def tamper(url: str, path: str, content: bytes) -> None:
    """Do what anybody can who may write to the database."""
    with close_after(create_engine(parse_url(url))) as engine, engine.begin() as connection:
        (sweep,) = list_sweeps(engine)
        write_files(connection, sweep.id, {**read_files(engine, sweep.id), path: content})


def test_setting_says_whose_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's, everybody's, or that of one seal; another word is no setting."""
    assert not is_trusted(SEAL)
    for value, expected in (("1", True), ("0", False), ("", False), (f"{OTHER},{SEAL}", True)):
        monkeypatch.setenv(VARIABLE, value)
        assert is_trusted(SEAL, by_worker=True) == expected
    monkeypatch.setenv(VARIABLE, "perhaps")
    with pytest.raises(ConfigError, match="SWEEP_TRUST_CODE: got 'perhaps', expected 1 or 0"):
        is_trusted(SEAL)


def test_word_for_one_command_ends_with_it() -> None:
    """Processes that it starts have it too."""
    with trust_all():
        assert is_trusted(SEAL, by_worker=True)
        assert describe_environment() == {VARIABLE: "1"}
    assert not is_trusted(SEAL)
    assert VARIABLE not in os.environ


def test_what_a_person_gave_is_trusted_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By commands of theirs, not by workers; their file is for them alone, and never another's."""
    assert vouch(SEAL) is None
    be_somebody(monkeypatch, tmp_path / "state")
    assert is_trusted(SEAL)
    assert not is_trusted(SEAL, by_worker=True)
    assert not is_trusted(OTHER)
    path = tmp_path / "state" / "sweep" / "trusted-code"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o660)
    be_somebody(monkeypatch, tmp_path / "state")
    assert not is_trusted(SEAL)
    path.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o600)
    path.symlink_to(tmp_path / "elsewhere")
    assert not is_trusted(SEAL)
    assert str(vouch(OTHER)).startswith(f"{path}: ")


def test_registered_network_is_run_by_workers_that_are_told_to(
    network: Path, options: list[str], tmp_path: Path, sqlite_url: str, call: Call
) -> None:
    """Others leave its sweep alone and say so, in one line; so they do when files were changed."""
    place = ("--storage", sqlite_url)
    answer = call("run", "--model", f"{network}:Net", *options, *place, "--detach")
    assert answer.code == 0
    assert "--sweep Net --storage" in answer.err
    assert "--trust-code\n" in answer.err
    (tmp_path / "ran").unlink()
    answer = call("worker", *place, "--threads", 1)
    assert (answer.code, (tmp_path / "ran").exists()) == (0, False)
    assert answer.err.count("--trust-code") == 1
    answer = call("worker", *place, "--threads", 1, "--sweep", "Net")
    assert "net.py is code that comes with the sweep" in answer.fault
    tamper(sqlite_url, "my_blocks.py", network.with_name("my_blocks.py").read_bytes() + b"X = 1\n")
    answer = call("worker", *place, "--threads", 1, "--sweep", "Net", "--trust-code")
    assert answer.code == 1
    assert "another program than the sweep began with" in answer.err
    assert not (tmp_path / "ran").exists()
    tamper(sqlite_url, "my_blocks.py", network.with_name("my_blocks.py").read_bytes())
    network.with_name("my_blocks.py").unlink()
    assert call("worker", *place, "--threads", 1, "--sweep", "Net", "--trust-code").code == 0
    with close_after(create_engine(parse_url(sqlite_url))) as engine:
        assert count_trials(engine, find_sweep(engine, "Net").id).complete == 1


def test_export_runs_for_who_trained_it_and_for_nobody_else_unasked(
    network: Path,
    options: list[str],
    tmp_path: Path,
    sqlite_url: str,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`run` asks nothing; the export has all its files; strangers and changed files need a word.

    The sweep goes on when a comment was added, from another folder, and not when a value was.
    """
    place = ("--storage", sqlite_url, "--workers", "1")
    model = tmp_path / "model"
    job = ("run", "--model", f"{network}:Net", *options, *place)
    assert forks.run(*job, folder=tmp_path, settings={forks.WITHOUT_PICTURES: "1"})[0] == 0
    with monkeypatch.context() as patch:  # what checks the export is forked for this process
        patch.setattr(sweep.cli.apart, "run_apart", lambda act: act())
        patch.setattr(sweep.results.export, "run_afresh", forks.run_afresh)
        assert call("best", "--export", model, "--storage", sqlite_url).code == 0
    card = (model / "README.md").read_text()
    assert "brings code of its own: `my_blocks.py`, `net.py`" in card
    network.parent.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "net.py"
    assert call("evaluate", model).code == 0

    be_somebody(monkeypatch, tmp_path / "stranger")
    (tmp_path / "ran").unlink()
    predict = ("predict", model, "--data", "events.npz", "--out", "v.csv")
    (tmp_path / "events.npz").touch()
    for command in (("evaluate", model), ("compare", model, model), predict):
        answer = call(*command)
        assert answer.code == 1
        assert "it brings code of its own, got my_blocks.py, net.py" in answer.err
    for command in (("best", "--export", tmp_path / "second"), ("report",)):
        answer = call(*command, "--storage", sqlite_url)
    assert not (tmp_path / "second").exists()
    assert not (tmp_path / "ran").exists()
    assert call("evaluate", model, "--trust-code").code == 0

    be_somebody(monkeypatch, tmp_path / "state")
    (model / "my_blocks.py").write_text("FACTOR = 1.0\n")
    assert "it brings code of its own" in call("evaluate", model).err

    moved.write_text(NETWORK + "\n# a comment\n")
    answer = call("run", "--model", f"{moved}:Net", *place)
    assert answer.code == 0
    assert f"the same network as before, kept as it stands in {moved}:Net" in answer.err
    with close_after(create_engine(parse_url(sqlite_url))) as engine:
        kept = read_files(engine, find_sweep(engine, "Net").id)
    assert kept["net.py"] == moved.read_bytes()
    moved.with_name("my_blocks.py").write_text("FACTOR = 2.0\n")
    answer = call("run", "--model", f"{moved}:Net", *place)
    assert answer.code == 1
    assert "got my_blocks.py that does something else than what the sweep keeps" in answer.err


def test_word_in_a_file_of_options_is_yes_or_no(tmp_path: Path, call: Call) -> None:
    """As every option there has a kind."""
    file = tmp_path / "asked.toml"
    file.write_text('model = "cnn"\ntrust_code = "perhaps"\n')
    answer = call("run", "--config", file)
    assert "trust_code: got 'perhaps', expected true or false" in answer.fault

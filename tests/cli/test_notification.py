"""A person's command is run once, at the end or at a fault, and is told what happened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from workers import end_trial

import sweep.cli.notification
from sweep.cli.notification import check_notify, notify_at_end
from sweep.errors import ConfigError, SweepError
from sweep.storage.sweeps import count_trials
from sweep.storage.workers import enter_worker
from sweep.trial.session import Session


def finish(session: Session) -> None:
    """Have all trials of a sweep fail."""
    enter_worker(session.engine, "w", "cpu")
    while count_trials(session.engine, session.sweep.id).unfinished:
        end_trial(session, {}, [], "failed", "", outcome="error")


def test_end_is_told_once(
    make_session: Callable[..., Session], sqlite_url: str, tmp_path: Path
) -> None:
    """Stopped where trials are left, finished where none is."""
    session, out = make_session(sqlite_url), tmp_path / "told"
    for _end in range(2):
        with notify_at_end(f"cat >> '{out}'", sqlite_url, "net"):
            pass
        finish(session)
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert (first["event"], first["sweep"], first["fault"]) == ("stopped", "net", None)
    assert (second["event"], second["status"]["failed"]) == ("finished", 2)


def test_fault_is_told_and_goes_on(tmp_path: Path) -> None:
    """Also where there is no database to read; a password in it is hidden."""
    out = tmp_path / "told"
    with (
        pytest.raises(SweepError),
        notify_at_end(f"cat >> '{out}'", f"sqlite:///{tmp_path}/none.db", "net"),
    ):
        raise SweepError("storage: got\npostgresql://me:secret@host/x")
    told = json.loads(out.read_text())
    assert (told["event"], told["status"]) == ("failed", None)
    assert told["fault"].startswith("storage: got postgresql://me:")
    assert "secret" not in told["fault"]


@pytest.mark.parametrize(("end", "code"), [("exit 3", 3), ("kill -9 $$", -9)])
def test_command_that_fails_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], end: str, code: int
) -> None:
    """What it prints is no result, and the sweep's own end stays as it is."""
    with notify_at_end(f"echo heard; {end}", f"sqlite:///{tmp_path}/none.db", "net"):
        pass
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == f"heard\nnotify: 'echo heard; {end}' ended with exit code {code}\n"


def test_command_that_hangs_is_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it has started."""
    monkeypatch.setattr(sweep.cli.notification, "TIMEOUT_S", 0.5)
    pid = tmp_path / "pid"
    command = f"sleep 99 & echo $! > '{pid}'; wait"
    with notify_at_end(command, f"sqlite:///{tmp_path}/none.db", "net"):
        pass
    assert "was ended, got no end within 0.5 s" in capfd.readouterr().err
    deadline_s = time.monotonic() + 20
    while is_alive(int(pid.read_text())):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    """Say whether a process runs; one whose end its new parent has yet to see does not."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("command", "said"), [(" ", "no command"), ("cat", "nothing ends here")])
def test_command_that_would_never_be_run_is_refused(command: str, said: str) -> None:
    """Beside --detach nothing is trained."""
    with pytest.raises(ConfigError, match=f"notify: {said}"):
        check_notify(command, is_detached=True)

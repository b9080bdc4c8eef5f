"""Sweeps are copied between databases without loss, whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from sweep.machine.signals import Signals
from sweep.storage import studies
from sweep.storage.artifacts import TrialFolder
from sweep.storage.claims import claim_trial
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.epochs import read_curve, read_trials
from sweep.storage.errors import ArtifactError, StorageError, UnknownSweepError
from sweep.storage.publications import claim_publication, end_publication, is_stale
from sweep.storage.sweeps import create_sweep, find_sweep, list_sweeps
from sweep.storage.tables import Epoch, attempts, trials
from sweep.storage.transfer import Copied, Folders, copy_sweeps
from sweep.trial.run import run_trial
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

HOUR_S = 3600.0
OpenDatabase = Callable[[str], sa.Engine]
NameFile = Callable[[str], str]
AddStudy = Callable[[str, str], None]
ReadAll = Callable[[sa.Engine], dict[str, list[str]]]
CheckEqual = Callable[[sa.Engine, sa.Engine], None]

KILLED = """
import os, signal, sys
from sweep.storage.engine import parse_url
from sweep.storage.transfer import copy_sweeps

def die(done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)

copy_sweeps(parse_url(sys.argv[1]), parse_url(sys.argv[2]), [], None, die)
"""


def ignore(done: int, total: int) -> None:
    """Hear of the progress."""


def copy(source: str, target: str, *names: str, folders: Folders | None = None) -> Copied:
    """Copy sweeps."""
    return copy_sweeps(parse_url(source), parse_url(target), names, folders, ignore)


@pytest.fixture
def check_equal(read_all: ReadAll) -> Callable[[sa.Engine, sa.Engine], None]:
    """Check that two databases hold the same sweeps, to the last bit."""

    def check(first: sa.Engine, second: sa.Engine) -> None:
        left, right = read_all(first), read_all(second)
        assert {*left} == {*right}
        for name, rows in left.items():
            assert rows == right[name], name

    return check


def read_study(url: str, name: str) -> list[str]:
    """Read a study's trials as Optuna gives them, without their ids."""
    found = studies.load_study(studies.open_study_storage(parse_url(url)), name)
    return [
        repr([order(v) for k, v in sorted(vars(trial).items()) if k != "_trial_id"])
        for trial in found.trials
    ]


def order(value: object) -> object:
    """Give a mapping in an order of its own."""
    return sorted(value.items()) if isinstance(value, dict) else value


def test_sweeps_go_there_and_back_without_loss(
    source: sa.Engine,
    open_database: OpenDatabase,
    file_url: NameFile,
    postgres_url: str,
    read_all: ReadAll,
    check_equal: CheckEqual,
    add_study: AddStudy,
) -> None:
    """From SQLite to Postgres and back: every row of every table is the same, but for the ids."""
    before = read_all(source)
    assert [name for name, rows in before.items() if not rows] == []
    server = open_database(postgres_url)
    add_study(postgres_url, "of somebody else")
    copied = copy(file_url("a"), postgres_url)
    assert copied.names == ["cnn", "mlp"]
    assert copied.num_rows == sum(map(len, before.values()))
    for name, rows in read_all(server).items():
        assert [row for row in rows if "of somebody else" not in row] == before[name], name
    for name in ("cnn", "mlp", "cnn (all metrics)"):
        assert read_study(postgres_url, name) == read_study(file_url("a"), name)
    assert copy(postgres_url, file_url("b")).num_rows == copied.num_rows
    check_equal(source, open_database(file_url("b")))
    assert read_all(source) == before


def test_copied_study_goes_on(
    source: sa.Engine,
    open_database: OpenDatabase,
    file_url: NameFile,
    postgres_url: str,
    tmp_path: Path,
    add_study: AddStudy,
) -> None:
    """The next trial has the next number; notes of trials and the figure are where they belong."""
    add_study(postgres_url, "of somebody else")
    copy(file_url("a"), postgres_url)
    study = studies.load_study(studies.open_study_storage(parse_url(postgres_url)), "cnn")
    with open_database(postgres_url).connect() as connection:
        query = "SELECT number FROM trials NATURAL JOIN studies WHERE study_name = 'cnn'"
        numbers = connection.execute(sa.text(f"{query} ORDER BY trial_id")).scalars().all()
    assert numbers == [0, 1, 2, 3]  # Optuna counts the ids below to number a trial
    assert studies.begin_trial(study, 4, {}).number == 4
    waiting = studies.begin_trial(study, 3, {})
    assert waiting.number == 3
    assert optuna_dashboard.get_note(waiting) == "of trial 3"
    assert optuna_dashboard.get_note(study) == "# note\n" + "long " * 2000
    (meta,) = optuna.artifacts.get_all_artifact_meta(waiting)
    assert (tmp_path / "artifacts" / meta.artifact_id).read_bytes() == b"cnn 3"


def test_pages_of_a_copy_are_written_anew(
    source: sa.Engine, open_database: OpenDatabase, file_url: NameFile
) -> None:
    """They link to trials by the study's id, which is another one in the copy."""
    publication = claim_publication(source, "cnn", "a", every_s=0, lease_s=HOUR_S)
    assert publication is not None
    end_publication(source, publication, is_whole=True)
    assert not is_stale(source, "cnn")
    copy(file_url("a"), file_url("b"), "cnn")
    assert is_stale(open_database(file_url("b")), "cnn")


def test_empty_sweep_is_copied(
    open_database: OpenDatabase, file_url: NameFile, check_equal: CheckEqual
) -> None:
    """One of which nothing has begun; the target is made where it is missing."""
    engine = open_database(file_url("a"))
    studies.prepare_studies(engine.url, [])
    create_sweep(engine, "cnn", {}, {}, 3)
    copy(file_url("a"), file_url("b"))
    check_equal(engine, open_database(file_url("b")))


def test_sweep_in_the_hands_of_a_worker_is_refused(
    source: sa.Engine,
    open_database: OpenDatabase,
    file_url: NameFile,
    tmp_path: Path,
    call: Callable[..., Any],
    check_equal: CheckEqual,
) -> None:
    """In one line and before the target is made; when the lease has run out, it is copied."""
    assert claim_trial(source, find_sweep(source, "cnn").id, "host:1:x", HOUR_S)
    answer = call("storage", "copy", file_url("a"), file_url("b"))
    assert answer.fault.startswith("error: sweep cnn: it is being trained, got 1 trials")
    assert not (tmp_path / "b").exists()
    with source.begin() as connection:
        connection.execute(trials.update().values(lease_until_s=1.0))
    answer = call("storage", "copy", file_url("a"), file_url("b"))
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("cnn, mlp: ")
    check_equal(source, open_database(file_url("b")))


def test_taken_name_is_refused_and_nothing_written(
    source: sa.Engine,
    open_database: OpenDatabase,
    file_url: NameFile,
    sqlite_url: str,
    read_all: ReadAll,
    check_equal: CheckEqual,
) -> None:
    """Also not the sweep whose name is free; that one is copied when it is named alone."""
    target = open_database(sqlite_url)
    copy(file_url("a"), sqlite_url, "mlp")
    before = read_all(target)
    with pytest.raises(StorageError, match=r"the name is taken in .*, got mlp, expected"):
        copy(file_url("a"), sqlite_url)
    with pytest.raises(StorageError, match="the name is taken"):
        copy(sqlite_url, sqlite_url)
    assert read_all(target) == before
    copy(file_url("a"), sqlite_url, "cnn", "cnn")
    check_equal(source, target)


def test_unknown_name_and_empty_database_are_refused(
    open_database: OpenDatabase, file_url: NameFile, tmp_path: Path
) -> None:
    """Before the target is made."""
    engine = open_database(file_url("a"))
    with pytest.raises(StorageError, match="nothing to copy"):
        copy(file_url("a"), file_url("b"))
    create_sweep(engine, "cnn", {}, {}, 1)
    with pytest.raises(UnknownSweepError, match="got 'rnn', expected one of: cnn"):
        copy(file_url("a"), file_url("b"), "cnn", "rnn")
    assert not (tmp_path / "b").exists()


def test_study_of_somebody_else_is_not_overwritten(
    source: sa.Engine, open_database: OpenDatabase, file_url: NameFile, add_study: AddStudy
) -> None:
    """A study with trials that belong to no sweep stays; an empty one of a killed run gives way."""
    open_database(file_url("b"))
    study_storage = studies.open_study_storage(parse_url(file_url("b")))
    add_study(file_url("b"), "mlp")
    studies.create_study(study_storage, "cnn", direction="minimize", metric_name="of a killed run")
    with pytest.raises(StorageError, match="a study of Optuna has that name, got 'mlp' with 1"):
        copy(file_url("a"), file_url("b"))
    assert studies.load_study(study_storage, "cnn").metric_names == ["of a killed run"]
    assert len(studies.load_study(study_storage, "mlp").trials) == 1
    copy(file_url("a"), file_url("b"), "cnn")
    assert studies.load_study(study_storage, "cnn").metric_names == ["loss"]


def test_killed_copy_leaves_nothing_and_is_made_again(
    source: sa.Engine,
    open_database: OpenDatabase,
    file_url: NameFile,
    postgres_url: str,
    read_all: ReadAll,
    check_equal: CheckEqual,
) -> None:
    """SIGKILL half-way through the rows: no sweep and no study is there, then all of it."""
    command = [sys.executable, "-c", KILLED, file_url("a"), postgres_url]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    target = open_database(postgres_url)
    assert [name for name, rows in read_all(target).items() if rows] == []
    copy(file_url("a"), postgres_url)
    check_equal(source, target)


def test_files_go_with_their_sweep(
    source: sa.Engine,
    open_database: OpenDatabase,
    file_url: NameFile,
    tmp_path: Path,
    call: Callable[..., Any],
) -> None:
    """Checkpoints, weights and pictures of the copied sweep alone; a missing one is counted."""
    folders = Folders(tmp_path / "artifacts", tmp_path / "copied")
    for name in ("cnn", "mlp"):
        folder = TrialFolder(folders.source, find_sweep(source, name), 3)
        folder.path.mkdir(parents=True)
        for path in (folder.checkpoint, folder.weights, folder.path / ".checkpoint.pt.half"):
            path.write_bytes(name.encode())
    command = ("storage", "copy", file_url("a"), file_url("b"), "--sweep", "cnn")
    where = ("--artifacts", folders.source, "--to-artifacts", folders.target)
    answer = call(*command, *where)
    assert answer.code == 0
    assert "rows and 6 files copied to sqlite:///" in answer.err
    moved = TrialFolder(folders.target, find_sweep(open_database(file_url("b")), "cnn"), 3)
    assert (moved.checkpoint.read_bytes(), moved.weights.read_bytes()) == (b"cnn", b"cnn")
    files = [path for path in folders.target.rglob("*") if path.is_file()]
    pictures = [path for path in files if path.parent == folders.target]
    assert sorted(path.read_bytes() for path in pictures) == [b"cnn %d" % slot for slot in range(4)]
    assert len(files) == 6

    (folders.source / pictures[0].name).unlink()
    copied = copy(file_url("a"), file_url("c"), "cnn", folders=folders)
    assert (copied.num_files, copied.num_missing) == (5, 1)
    with pytest.raises(StorageError, match="artifacts: no such folder"):
        copy(file_url("a"), file_url("d"), folders=Folders(tmp_path / "none", folders.target))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot be written"):
        copy(file_url("a"), file_url("d"), folders=Folders(folders.source, tmp_path / "file"))
    assert list_sweeps(open_database(file_url("d"))) == []


def test_unfinished_trials_go_on_in_the_copy(
    make_session: Callable[..., Session],
    sqlite_url: str,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    """From their checkpoints, one given back and one lost: to the numbers of an unbroken sweep."""
    whole = make_session(f"sqlite:///{tmp_path / 'whole.db'}", name="whole")
    work(whole.engine, "whole", whole.artifacts)
    session = make_session(sqlite_url)
    first, second = (
        claim_trial(session.engine, session.sweep.id, worker, HOUR_S) for worker in "ab"
    )
    assert first is not None
    assert second is not None
    assert run_trial(session, first, Leaving(session)) is None
    with pytest.raises(Killed):
        run_trial(session, second, Leaving(session, is_killed=True))
    with session.engine.begin() as connection:
        connection.execute(trials.update().values(lease_until_s=1.0))
    folders = Folders(session.artifacts, tmp_path / "copied")
    copied = copy(sqlite_url, postgres_url, folders=folders)
    assert copied.num_files == 2
    assert [len(curve) for curve in read_curves(session.engine, "net")] == [1, 1]

    engine = open_engine(parse_url(postgres_url))
    assert [len(curve) for curve in read_curves(engine, "net")] == [1, 1]
    assert work(engine, "net", folders.target) == 2
    assert read_curves(engine, "net") == read_curves(whole.engine, "whole")
    assert read_endings(engine) == ["released", "finished", "expired", "finished"]
    study = studies.load_study(studies.open_study_storage(parse_url(postgres_url)), "net")
    assert [(trial.number, trial.state) for trial in study.trials] == [
        (0, TrialState.COMPLETE),
        (1, TrialState.COMPLETE),
    ]
    for opened in (engine, session.engine, whole.engine):
        opened.dispose()


class Killed(BaseException):
    """Ends a trial as the end of its process would: nothing is told or given back."""


class Leaving:
    """Asks a trial to leave after its first epoch, or kills it there."""

    def __init__(self, session: Session, *, is_killed: bool = False) -> None:
        self._session = session
        self._is_killed = is_killed

    def is_gentle(self) -> bool:
        """Say whether to leave after the epoch."""
        if self._is_killed:
            raise Killed
        return True

    def is_immediate(self) -> bool:
        """Say that there is no hurry."""
        return False

    def hold(self) -> None:
        """Hold the claim, which nobody contests here."""


def work(engine: sa.Engine, name: str, artifacts: Path) -> int:
    """Let a worker train what is left of a sweep."""
    url = engine.url.render_as_string(hide_password=False)
    return run_worker(WorkerOptions(url, name, artifacts, num_threads=1), Signals())


def read_curves(engine: sa.Engine, name: str) -> list[list[Epoch]]:
    """Read all curves of a sweep without what is different each time."""
    return [
        [replace(epoch, duration_s=0.0) for epoch in read_curve(engine, row.id)]
        for row in read_trials(engine, find_sweep(engine, name).id)
    ]


def read_endings(engine: sa.Engine) -> list[str | None]:
    """Read how all attempts ended, in order."""
    query = sa.select(attempts.c.ending).order_by(attempts.c.trial_id, attempts.c.attempt)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())

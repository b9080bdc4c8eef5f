"""Databases are backed up, as they are at one moment, while workers go on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from sweep.storage import studies
from sweep.storage.backup import back_up
from sweep.storage.claims import claim_trial, release_claim
from sweep.storage.engine import parse_url
from sweep.storage.sweeps import TrialCounts, count_trials, create_sweep, find_sweep, list_sweeps
from sweep.storage.transfer import copy_sweeps
from sweep.storage.workers import enter_worker, list_workers

HOUR_S = 3600.0


def ignore(done: int, total: int) -> None:
    """Hear of the progress."""


def count_endings(file: Path) -> dict[str, int]:
    """Count the attempts in a database file by how they ended."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT ending, count(*) FROM sweep_attempts GROUP BY ending"
        return dict(connection.execute(query).fetchall())


def test_backup_is_of_one_moment_while_workers_go_on(
    engine: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    """What was written in one transaction is all in it or not at all; work does not stop."""
    studies.prepare_studies(parse_url(database_url), [])
    made = create_sweep(engine, "cnn", {}, {}, 3)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            claim = claim_trial(engine, made.id, "a", HOUR_S)
            assert claim is not None
            release_claim(engine, claim)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        files = [tmp_path / f"{number}.db" for number in range(2)]
        for file in files:
            assert back_up(parse_url(database_url), file, ignore) == ["cnn"]
    finally:
        done.set()
        thread.join()
    nums = []
    for file in files:
        with closing(sqlite3.connect(file)) as connection:
            query = "SELECT (SELECT sum(attempts) FROM sweep_trials), count(*) FROM sweep_attempts"
            counted, found = connection.execute(query).fetchone()
        assert counted == found
        nums.append(found)
    assert nums == sorted(nums)
    assert nums[0] < nums[-1]


def test_nothing_runs_in_a_backup(
    source: sa.Engine,
    open_database: Callable[[str], sa.Engine],
    read_all: Callable[[sa.Engine], dict[str, list[str]]],
    add_study: Callable[[str, str], None],
    file_url: Callable[[str], str],
    database_url: str,
    tmp_path: Path,
    call: Callable[..., Any],
) -> None:
    """Held trials wait there and can be copied back; the database itself stays as it is."""
    engine = open_database(database_url) if database_url.startswith("postgres") else source
    if engine is not source:
        copy_sweeps(parse_url(file_url("a")), parse_url(database_url), [], None, ignore)
    url = engine.url.render_as_string(hide_password=False)
    add_study(url, "of somebody else")
    made = find_sweep(engine, "cnn")
    for lease_s in (HOUR_S, -1.0):
        enter_worker(engine, f"host:{lease_s}", "cpu")
        assert claim_trial(engine, made.id, f"host:{lease_s}", lease_s)
    study = studies.load_study(studies.open_study_storage(parse_url(url)), "cnn")
    studies.begin_trial(study, 3, {})
    before = read_all(engine)

    answer = call("storage", "backup", "backup.db", "--storage", url)
    assert (answer.code, answer.out) == (0, "")
    assert "to bring it back: sweep storage copy sqlite:///backup.db TO" in answer.err
    assert read_all(engine) == before
    assert [path.name for path in tmp_path.glob("*backup.db*")] == ["backup.db"]
    copied = open_database(file_url("backup.db"))
    assert count_trials(copied, made.id) == TrialCounts(2, 0, 1, 1, 1)
    assert count_endings(tmp_path / "backup.db") == {"finished": 4, "released": 2, "expired": 1}
    states = [
        trial.state
        for trial in studies.load_study(
            studies.open_study_storage(parse_url(file_url("backup.db"))), "cnn"
        ).trials
    ]
    assert states[3] == TrialState.WAITING
    assert list_workers(copied) == []
    copy_sweeps(parse_url(file_url("backup.db")), parse_url(file_url("c")), [], None, ignore)
    assert [found.name for found in list_sweeps(open_database(file_url("c")))] == ["cnn", "mlp"]

    content = (tmp_path / "backup.db").read_bytes()
    answer = call("storage", "backup", "backup.db", "--storage", url)
    assert answer.code == 1
    assert "the file is there already, got backup.db" in answer.err
    assert (tmp_path / "backup.db").read_bytes() == content
    answer = call("storage", "backup", "a/backup.db", "--storage", url)
    assert answer.code == 1
    assert "a/backup.db cannot be written" in answer.err

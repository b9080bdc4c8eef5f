"""Examples of the documents that are run as they stand, in one folder with one small sweep.

The others are only read by `test_examples`, and NOT_RUN says why, and where they are tried.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import list_examples
from sweep.storage.sweeps import count_trials
from sweep.trial.session import Session
from tests.workers import work_until

RUN = ("add", "change", "data describe", "best", "evaluate", "predict", "score")
NOT_RUN = {
    "run": "trains for minutes: tests/acceptance/test_main_job.py",
    "worker": "waits for sweeps, or for a GPU: tests/acceptance/test_service.py",
    "confirm": "trains for minutes: tests/results/test_confirmation.py",
    "curve": "trains for minutes: tests/results/test_curve.py",
    "dashboard": "serves until it is ended: tests/acceptance/test_dashboard.py",
    "status --watch": "goes on until the sweep is done: tests/acceptance/test_terminal.py",
    "compare": "needs two sweeps: tests/results/test_compare.py",
    "report": "takes seconds: tests/report",
    "models": "has nothing of a folder: tests/models/test_contract.py",
    "export-to": "needs the trackers' libraries: tests/trackers",
    "storage copy": "needs a server: tests/storage/test_transfer.py",
    "data plot": "loads matplotlib, which takes seconds: tests/data/test_data_commands.py",
    "data make": "makes thousands of events: tests/data/test_toy.py",
}
STANDS_FOR = {"DIR": "my_model", "FILE": "Set_2.npz"}
OTHER_FOLDERS = ("MyNet", "NAME", "plain.npy", "cut.npy", "toys.npy")
"""Words of examples about something else than what lies in the folder."""
LINES = [example.words for example in list_examples() if example.is_whole]


def find_command(words: tuple[str, ...]) -> str:
    """Find which of RUN a line calls; empty where it is none of them."""
    return next((one for one in RUN if " ".join(words).startswith(one)), "")


RUN_LINES = sorted(
    {
        tuple(STANDS_FOR.get(word, word) for word in words)
        for words in LINES
        if find_command(words) and not set(OTHER_FOLDERS).intersection(words)
    },
    key=lambda words: (RUN.index(find_command(words)), words),
)


def test_each_example_is_run_or_it_is_said_why_not() -> None:
    """A new command of the documents is thought of."""
    known = (*RUN, *NOT_RUN)
    assert [words for words in LINES if not " ".join(words).startswith(known)] == []


@pytest.fixture
def folder(
    make_session: Callable[..., Session],
    events_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with files of events, and a sweep `cnn` one of whose trials is trained."""
    url = f"sqlite:///{tmp_path}/sweep.db"
    session = make_session(url, name="cnn", trials=4, epochs=1, pruner="median", fixed=())
    work_until(session, lambda: count_trials(session.engine, session.sweep.id).complete > 0)
    monkeypatch.setenv("SWEEP_ARTIFACTS", str(session.artifacts))
    monkeypatch.setenv("SWEEP_TRUST_CODE", "1")
    for name in ("Set_1.npz", "Set_2.npz", "Set_4.npz"):
        shutil.copy(events_file, tmp_path / name)
    y_NL = np.load(events_file)["y"]
    np.savez(tmp_path / "TRUTH.npz", y=y_NL)
    np.savez(tmp_path / "PREDICTION.npz", prediction=y_NL)
    return tmp_path


@pytest.mark.usefixtures("forked_check")
def test_examples_do_what_they_say(folder: Path, call: Callable[..., Any]) -> None:
    """In the order in which a person would: each ends well."""
    call("change", "cnn", "--set", "hidden_size=1:64")
    for line in RUN_LINES:
        if line[0] == "predict":  # which overwrites nothing
            (folder / "vertices.csv").unlink(missing_ok=True)
        answer = call(*line)
        assert answer.code == 0, (line, answer.err)
    written = {path.name for path in folder.iterdir()}
    assert {"my_model", "best.html", "vertices.csv"} <= written

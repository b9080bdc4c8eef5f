"""`sweep report` and `sweep best --plot` as commands: what they refuse, and what may be missing."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sweep.config import SweepConfig
from sweep.plan.recipes import build_recipe
from sweep.plan.space import read_space
from sweep.plan.steps import fit_grace
from sweep.report.best_picture import write_best_picture
from sweep.report.contents import write_report
from sweep.report.provenance import build_provenance_section, write_command
from sweep.storage.engine import create_engine, open_engine, parse_url
from sweep.storage.migrations import create_tables
from sweep.storage.sweeps import find_sweep
from tests.report.conftest import Database

Call = Callable[..., Any]


@pytest.fixture
def bare(database: Database, tmp_path: Path) -> str:
    """The address of a copy of the database whose events are not on this machine."""
    with closing(sqlite3.connect(tmp_path / "sweep.db")) as copy:
        with closing(sqlite3.connect(str(database.engine.url.database))) as original:
            original.backup(copy)
        copy.execute("UPDATE sweep_sweeps SET config = replace(config, 'events.npz', 'gone.npz')")
        copy.commit()
    return f"sqlite:///{tmp_path / 'sweep.db'}"


def test_page_comes_also_without_events_and_weights(
    bare: str, call: Call, tmp_path: Path, database: Database
) -> None:
    """What is not on this machine is said; everything that the database knows is told."""
    answer = call("report", "--storage", bare, "--artifacts", tmp_path / "none", "--sweep", "net")
    assert answer.code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "These events are not on this machine" in page
    assert "No sample outputs: the events are not on this machine." in page
    assert page.count("<figure") == 5
    best = database.read("net").ranked[0].best
    assert best is not None and f"{best.validation_loss:.4g}" in page


def test_weights_that_are_missing_are_said(call: Call, tmp_path: Path, database: Database) -> None:
    """The network cannot be built again; the page names the file, the picture is refused."""
    options = ("--storage", database.url, "--artifacts", tmp_path / "none", "--sweep", "net")
    assert call("report", *options).code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the network cannot be built again here" in page and "no weights" in page
    answer = call("best", *options, "--plot", "best.png")
    assert answer.code == 1 and "no weights" in answer.err
    assert not (tmp_path / "best.png").exists()


def test_only_the_sweeps_named_are_told(call: Call, tmp_path: Path, database: Database) -> None:
    """A sample-size curve alone has no architectures to compare, and says so."""
    options = ("--storage", database.url, "--artifacts", database.artifacts)
    answer = call("report", *options, "--sweep", "net sample size", "--out", "study.html")
    assert answer.code == 0 and "net sample size; " in answer.err
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "Sweep report: net sample size" in page
    assert page.count("No search is among the sweeps") == 2
    assert "Metrics by training events, net sample size" in page


def test_report_tells_how_far_it_is(tmp_path: Path, database: Database) -> None:
    """Training and validation events are described, then each search is shown."""
    told: list[tuple[int, int]] = []
    sweeps = [find_sweep(database.engine, name) for name in ("net", "dead")]
    write_report(
        database.engine,
        sweeps,
        database.artifacts,
        tmp_path / "report.html",
        lambda *done: told.append(done),
    )
    assert told == [(24, 24), (12, 12), (1, 2), (2, 2)]


def test_picture_tells_how_far_it_is(tmp_path: Path, database: Database) -> None:
    """The network judges the 12 validation events."""
    told: list[tuple[int, int]] = []
    status = database.read("net")
    write_best_picture(
        database.engine,
        status,
        status.ranked[0],
        database.artifacts,
        tmp_path / "best.html",
        lambda *done: told.append(done),
    )
    assert told == [(12, 12)]


@pytest.mark.parametrize("is_large", [True, False])
def test_large_page_is_said(
    is_large: bool, call: Call, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the way to a smaller one; a page of usual size is not remarked on."""
    if is_large:
        monkeypatch.setattr("sweep.report.page.MAX_BYTES", 1_000_000)
    sweeps = ("--sweep", "dead", "--sweep", "net sample size")
    answer = call("report", "--storage", database.url, *sweeps)
    assert answer.code == 0
    assert answer.err.count("\n") == 1 + is_large
    hint = "larger than 1 MB, slow to open and to send; `--sweep NAME` makes a smaller one"
    assert (hint in answer.err) == is_large


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "report.pdf"), "expected .html"),
        (("--out", "nowhere/report.html"), "no such folder"),
        (("--sweep", "no such"), "not in the database"),
        (("--storage", "sqlite:///none.db"), "no such file"),
    ],
)
def test_impossible_report_is_refused_in_one_line(
    options: tuple[str, ...], message: str, call: Call, tmp_path: Path, database: Database
) -> None:
    """Exit code 1, before anything is read, and nothing is written."""
    answer = call("report", "--storage", database.url, *options)
    assert answer.code == 1
    assert message in answer.err and len(answer.err.splitlines()) == 1
    assert list(tmp_path.glob("**/*.html")) == []


def test_database_without_sweeps_is_refused(call: Call, sqlite_url: str) -> None:
    """There is nothing to tell of."""
    engine = create_engine(parse_url(sqlite_url))
    create_tables(engine)
    answer = call("report", "--storage", sqlite_url)
    assert answer.code == 1 and "without sweeps" in answer.err


def test_page_that_cannot_be_written_is_refused(call: Call, database: Database) -> None:
    """In a folder that takes no files: one line, no traceback."""
    answer = call("report", "--storage", database.url, "--sweep", "dead", "--out", "/proc/a.html")
    assert answer.code == 1 and "cannot be written" in answer.err


def test_commands_make_the_same_sweeps_again(
    call: Call, tmp_path: Path, database: Database
) -> None:
    """What stands on the page, typed into another database, gives the same configs and budgets."""
    url = f"sqlite:///{tmp_path / 'again.db'}"
    for name in ("net", "dead", "net sample size"):
        status = database.read(name)
        words = shlex.split(write_command(status))
        assert words.pop(0) == "sweep"
        assert call(*words, "--detach", "--storage", url).code == 0
        again = find_sweep(open_engine(parse_url(url)), name)
        assert SweepConfig.from_json(again.config) == _with_usual_recipe(status.config)
        assert again.budget == status.sweep.budget


def _with_usual_recipe(config: SweepConfig) -> SweepConfig:
    """Give a config with the grace and the pruner that no option sets; the fixture has its own."""
    if config.curve is not None:
        return config
    search = config.search.model_copy(
        update={"pruner": config.search.pruner.model_copy(update={"num_startup_trials": None})}
    )
    usual = build_recipe(config.recipe.name, config.recipe.epochs, config.recipe.epochs)
    usual = fit_grace(usual, read_space(config))
    recipe = config.recipe.model_copy(update={"grace_events": usual.grace_events})
    return config.model_copy(update={"recipe": recipe, "search": search})


def test_command_holds_what_is_not_the_usual(database: Database) -> None:
    """A dimension of another range or a fixed one, time limit, names with spaces quoted."""
    status = database.read("net")
    config = status.config.model_copy(
        update={"space": {**status.config.space, "lr": "0.1:0.2:log"}}
    )
    swept = replace(status.sweep, name="my net", trial_timeout_s=90.0)
    words = shlex.split(write_command(replace(status, config=config, sweep=swept)))
    assert words[words.index("--sweep") + 1] == "my net"
    assert words[words.index("--trial-timeout") + 1] == "90.0"
    assert "lr=0.1:0.2:log" in words and words[words.index("lr=0.1:0.2:log") - 1] == "--set"
    assert "batch_size=12" in words and words[words.index("batch_size=12") - 1] == "--fix"


def test_no_address_of_the_database_is_on_the_page(report: Path, database: Database) -> None:
    """It may hold a password, so it is never written."""
    assert database.url not in report.read_text(encoding="utf-8")
    status = database.read("net")
    section = build_provenance_section([status], {}, datetime(2026, 1, 2, tzinfo=UTC))
    assert "sqlite" not in str(section)


def test_a_report_of_postgres_is_the_same(
    postgres_url: str, call: Call, events_file: Path, own_network: Path, tmp_path: Path
) -> None:
    """A sweep without any trial yet, on the other kind of database; its password stays out."""
    words = ("--data", events_file, "--events", 24, "--val-events", 12, "--trials", 2)
    model = f"{own_network}:MyNet"
    assert call("run", "--model", model, *words, "--detach", "--storage", postgres_url).code == 0
    assert call("report", "--storage", postgres_url).code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "MyNet: no feasible trial in 0 of 2 trials." in page
    assert postgres_url not in page


def test_best_trial_is_drawn_as_a_picture(call: Call, tmp_path: Path, database: Database) -> None:
    """`sweep best --plot best.png`: curves and outputs side by side."""
    options = ("--storage", database.url, "--artifacts", database.artifacts, "--sweep", "net")
    answer = call("best", *options, "--plot", "best.png")
    assert answer.code == 0 and "drawn" in answer.err
    from matplotlib.image import imread

    height, width, _channels = imread(tmp_path / "best.png").shape
    assert width > 1.5 * height > 600

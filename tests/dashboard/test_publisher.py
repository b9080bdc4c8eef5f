"""What is written for the dashboard: by one process, once for each change, into a real database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import optuna
import optuna_dashboard
import plotly.io
import pytest
import sqlalchemy as sa
from workers import wait_until

from rights import make_role, run_sql
from sweep.dashboard.publisher import Publisher, keep_fresh
from sweep.figures.cards import METRICS_CARD
from sweep.storage import studies
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.publications import claim_publication, is_stale
from sweep.storage.tables import sweeps
from sweep.trial.session import Session
from tests.dashboard.conftest import FinishTrial


@pytest.fixture
def publisher(session: Session) -> Publisher:
    """A publisher that nobody has started: it writes when it is asked to."""
    return Publisher(session.engine, session.study_storage, say=pytest.fail)


def read_published_s(session: Session) -> float:
    """Read when the sweep's pages were last written."""
    with session.engine.connect() as connection:
        return float(connection.execute(sa.select(sweeps.c.published_s)).scalar_one())


def read_study(session: Session, database_url: str) -> optuna.Study:
    """Open the sweep's study as another process does."""
    study_storage = studies.open_study_storage(parse_url(database_url))
    return studies.load_study(study_storage, session.sweep.name)


def test_pages_say_what_was_found(
    make_session: Callable[..., Session], finish_trial: FinishTrial, database_url: str
) -> None:
    """The best feasible trial by all three metrics stands first; a dead one is not listed."""
    session = make_session(database_url, trials=5)
    finish_trial(session, 0.01, "dead")
    best = finish_trial(session, 0.03)
    finish_trial(session, 0.05)
    Publisher(session.engine, session.study_storage, say=pytest.fail).catch_up()
    study = read_study(session, database_url)
    note = optuna_dashboard.get_note(study)
    first = note.splitlines()[2]
    assert first.startswith(f"Best: **[trial {best}](/dashboard/studies/")
    for words in ("loss **0.03**", "efficiency **0.9000** (0.", "**0.0500** false positives"):
        assert words in first
    assert "0.01 |" not in note
    assert study.user_attrs["best trial"] == best
    assert study.user_attrs["best trial validation loss"] == "0.03"
    figures = optuna_dashboard._custom_plot_data.get_plotly_graph_objects(
        study._storage.get_study_system_attrs(study._study_id)
    )
    assert len(figures) == 2
    traces = plotly.io.from_json(figures[METRICS_CARD]).data
    assert {trace.name: trace.x for trace in traces if trace.yaxis == "y"} == {
        "dead": (0,),
        "best": (1,),
        "complete": (2,),
        "pruned": (),
        "best so far": (1, 2),
    }


def test_sweep_without_a_good_trial_says_so(
    session: Session, publisher: Publisher, finish_trial: FinishTrial, sqlite_url: str
) -> None:
    """The pages of a sweep that has only just begun, or found nothing yet."""
    publisher.catch_up()
    assert "No complete trial has found" in optuna_dashboard.get_note(
        read_study(session, sqlite_url)
    )
    finish_trial(session, 0.1, "dead")
    publisher.catch_up()
    study = read_study(session, sqlite_url)
    assert "1 complete, 0 pruned" in optuna_dashboard.get_note(study)
    assert "best trial" not in study.user_attrs


def test_nothing_is_written_where_nothing_changed(
    session: Session, publisher: Publisher, finish_trial: FinishTrial
) -> None:
    """The pages stay as they are, and so does the time they were written."""
    finish_trial(session, 0.03)
    publisher.catch_up()
    written_s = read_published_s(session)
    publisher.catch_up()
    assert read_published_s(session) == written_s
    finish_trial(session, 0.02)
    publisher.catch_up()
    assert read_published_s(session) > written_s


def test_publisher_in_the_background_writes(
    session: Session, finish_trial: FinishTrial, sqlite_url: str
) -> None:
    """It finds what another process has finished."""
    with Publisher(session.engine, session.study_storage, say=pytest.fail, every_s=0.05):
        finish_trial(session, 0.03)
        while is_stale(session.engine, None):
            time.sleep(0.05)
    assert "trial 0" in optuna_dashboard.get_note(read_study(session, sqlite_url))


def test_end_of_the_work_waits_for_whoever_writes(
    session: Session, publisher: Publisher, finish_trial: FinishTrial
) -> None:
    """The last trials are shown although another process held the right at that moment."""
    finish_trial(session, 0.03)
    taken = claim_publication(session.engine, None, "other", every_s=0.0, lease_s=1.0)
    assert taken is not None  # and its process is gone
    publisher.catch_up()
    assert not is_stale(session.engine, None)


@pytest.mark.parametrize("is_hurried", [False, True])
def test_what_is_left_is_written_at_the_end(
    session: Session, finish_trial: FinishTrial, is_hurried: bool
) -> None:
    """But not by a process that has to leave at once."""
    with keep_fresh(
        session.engine, session.study_storage, None, pytest.fail, is_hurried=lambda: is_hurried
    ):
        finish_trial(session, 0.03)
    assert is_stale(session.engine, None) == is_hurried


def test_removed_study_is_reported_once(session: Session, finish_trial: FinishTrial) -> None:
    """Somebody took it away; that ends nothing here."""
    said: list[str] = []
    publisher = Publisher(session.engine, session.study_storage, say=said.append)
    optuna.delete_study(study_name=session.sweep.name, storage=session.study_storage)
    publisher.catch_up()
    publisher.catch_up()
    (line,) = said
    assert "its study is gone" in line


def test_fault_of_one_sweep_ends_nothing(
    session: Session,
    finish_trial: FinishTrial,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not even one that nobody thought of: it is told with its traceback, and tried again."""
    finish_trial(session, 0.03)
    said: list[str] = []
    broken = pytest.MonkeyPatch()
    broken.setattr("sweep.dashboard.publication.publish", lambda *_parts, **_more: 1 / 0)
    with Publisher(session.engine, session.study_storage, say=said.append, every_s=0.01) as one:
        wait_until(lambda: bool(said))
        one.catch_up()
        broken.undo()
        wait_until(lambda: not is_stale(session.engine, None))
    assert said == ["the dashboard's pages are not refreshed: division by zero"]
    assert "ZeroDivisionError" in caplog.text


def test_publisher_without_the_right_says_so_once(
    make_session: Callable[..., Session],
    finish_trial: FinishTrial,
    postgres_server: sa.Engine,
    postgres_url: str,
) -> None:
    """Who may only read leaves the pages to others, and looks no more."""
    session = make_session(postgres_url, trials=2)
    finish_trial(session, 0.03)
    said: list[str] = []
    with make_role(postgres_server, postgres_url) as address:
        role = sa.make_url(address).username
        run_sql(postgres_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        engine = open_engine(parse_url(address))
        study_storage = studies.open_study_storage(parse_url(address))
        publisher = Publisher(engine, study_storage, say=said.append, every_s=0.01)
        with publisher:
            wait_until(lambda: all(t.name != "publisher" for t in threading.enumerate()))
        study_storage.remove_session()
        engine.dispose()
    assert len(said) == 1
    assert "GRANT SELECT, INSERT, UPDATE, DELETE" in said[0]

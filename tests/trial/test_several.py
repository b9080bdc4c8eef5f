"""Several architectures in one budget: each trial has one, and keeps it whoever trains it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from workers import take, work

from sweep.cli.tables import print_best, print_trials
from sweep.config import MODEL
from sweep.figures.cards import draw_front
from sweep.machine.signals import Signals
from sweep.plan.request import CurveRequest, Request
from sweep.plan.several import check_cost
from sweep.report.contents import write_report
from sweep.results.candidates import list_candidates
from sweep.results.champions import list_champions
from sweep.results.curve_origin import complete_request
from sweep.results.frames import tabulate_trials
from sweep.results.rounds import begin_confirmation
from sweep.results.status import Status, read_status
from sweep.storage import studies
from sweep.storage.claims import expire_claims
from sweep.storage.epochs import read_trials
from sweep.storage.sweeps import change_config, count_trials
from sweep.trial.beginning import begin_trial
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

MakeSession = Callable[..., Session]
HOUR_S = 3600.0
NUM_TRIALS = 7


@pytest.fixture(scope="module")
def swept(make_session: MakeSession) -> Iterator[tuple[Session, Status]]:
    """A sweep of two networks that is done: one learns, the other predicts nothing."""
    session = make_session(network="MyNet,DeadNet", trials=NUM_TRIALS, epochs=2)
    assert work(session)[0] == NUM_TRIALS
    yield session, read_status(session.engine, session.sweep)
    session.engine.dispose()


def test_budget_is_one_and_goes_to_the_network_that_learns(swept: tuple[Session, Status]) -> None:
    """Each has its first trials; every slot of the budget is spent once."""
    session, status = swept
    shares = Counter(trial.params[MODEL] for trial in status.begun)
    assert shares["DeadNet"] == 3
    assert shares["MyNet"] == NUM_TRIALS - 3
    assert count_trials(session.engine, session.sweep.id).finished == NUM_TRIALS


def test_status_of_each_architecture_has_its_trials_alone(swept: tuple[Session, Status]) -> None:
    """The best one first; the hyperparameters are those of its own network."""
    _session, status = swept
    first, second = status.rank_all()
    assert (first.title, second.title) == ("net: MyNet", "net: DeadNet")
    assert len(first.begun) + len(second.begun) == NUM_TRIALS
    assert first.ranked[0].id == status.ranked[0].id
    assert not second.ranked
    assert all(MODEL not in trial.params for trial in (*first.begun, *second.begun))
    told = status.to_json()["architectures"]
    assert [(one["model"], one["best"] is None) for one in told] == [
        ("MyNet", False),
        ("DeadNet", True),
    ]
    table = tabulate_trials(status, {})
    assert table["params_model"].tolist() == [trial.params[MODEL] for trial in status.begun]


def test_tables_and_pages_tell_the_architectures_apart(
    swept: tuple[Session, Status], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """At the end, of every trial, in the dashboard's cards and in the report."""
    session, status = swept
    print_best(status)
    assert re.search(r"MyNet +4 .*\nDeadNet +3 +none", capsys.readouterr().out)
    print_trials(status)
    assert "DeadNet" in capsys.readouterr().out
    names = [trace.name for trace in draw_front(status).data]
    assert {"MyNet", "DeadNet", "best"} <= set(names)
    write_report(session.engine, [status.sweep], session.artifacts, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "net: MyNet" in page
    assert "net: DeadNet" in page


def test_candidates_keep_their_architecture_and_the_best_recommended_point_has_the_privilege(
    swept: tuple[Session, Status],
) -> None:
    """A confirmation trains what the search found, of whichever network."""
    _session, status = swept
    assert {one.params[MODEL] for one in list_candidates(status, 2, {})} == {"MyNet"}
    parts = tuple(
        part.model_copy(update={"recommended": slot})
        for slot, part in enumerate(status.config.architectures)
    )
    points = tuple({MODEL: part.label, "hidden_size": 2} for part in parts)
    change = {"architectures": parts, "starting_points": points}
    known = replace(status, config=status.config.model_copy(update=change))
    chosen = [one.trial for one in list_candidates(known, 1, {}) if one.is_recommended]
    assert chosen == [trial.number for trial in status.begun if trial.slot == 0]


def test_curve_takes_the_best_also_of_a_sweep_by_seconds(swept: tuple[Session, Status]) -> None:
    """What several architectures were compared by is nothing to the one that it trains."""
    session, status = swept
    sweep, engine = status.sweep, session.engine
    timed = status.config.model_copy(update={"cost": "seconds"})
    assert change_config(engine, sweep, timed.to_json(), status.load_files())
    request = complete_request(engine, "curve", Request(), CurveRequest(sizes=(12,)), "net")
    assert (request.model or "").endswith(":MyNet")
    check_cost(request.cost, 1)


def test_confirmed_winner_stands_for_its_sweep_with_its_architecture(
    swept: tuple[Session, Status],
) -> None:
    """As the best trials do."""
    session, status = swept
    begin_confirmation(session.engine, status, 1, 2)
    url = session.engine.url.render_as_string()
    run_worker(WorkerOptions(url, "net-confirm", session.artifacts, "cpu"), Signals())
    names = [one.name for one in list_champions(session.engine, status)]
    number = status.ranked[0].number
    assert names[:2] == [f"MyNet, trial {number} of the search", f"trial {number}, MyNet"]


def test_trial_taken_over_keeps_its_architecture(
    make_session: MakeSession, sqlite_url: str
) -> None:
    """Whatever would be chosen by what is known now: it was stored with the trial's first write."""
    session = make_session(sqlite_url, "MyNet,DeadNet", trials=3)
    study = studies.load_study(session.study_storage, "net")
    number = studies.begin_trial(study, 2, {MODEL: "DeadNet"}, is_first=True).number
    slots = []
    for worker in "abcd":  # the third is killed before anything of its trial was suggested
        claim = take(session, worker)
        slots.append(claim.slot)
        expire_claims(session.engine, session.sweep.id, "c".__eq__)
    begun = begin_trial(session, claim, study)
    assert (slots, begun.trial.number) == ([0, 1, 2, 2], number)
    assert begun.params[MODEL] == "DeadNet"
    assert begun.session.config.label == "DeadNet"
    rows = read_trials(session.engine, session.sweep.id)
    assert [row.params[MODEL] for row in rows if row.number == number] == ["DeadNet"]

"""A search is confirmed: rounds of fresh trainings, a winner, and the third part opened for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna_dashboard
import pytest
import sqlalchemy as sa

import sweep.files.trust
from sweep.cli.confirm_job import end_search
from sweep.cli.job_options import JobOptions
from sweep.config import SweepConfig
from sweep.dashboard.publication import write_note
from sweep.data.selection import reopen_split, reopen_test
from sweep.errors import DataError, ModelError
from sweep.files.trust import describe_environment, vouch
from sweep.launch.places import Place
from sweep.machine.signals import Signals
from sweep.models.source import read_source
from sweep.plan.changes import AskedChange
from sweep.plan.confirmation_plan import add_pairs
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.report.contents import write_report
from sweep.results.candidates import list_candidates
from sweep.results.confirmation import (
    Confirmation,
    find_confirmation_of_search,
    say_winner_age,
)
from sweep.results.contender import find_contender
from sweep.results.curve_origin import find_origin
from sweep.results.edits import begin_version
from sweep.results.model_card import write_model_card
from sweep.results.rounds import begin_confirmation, begin_round, join_confirmation
from sweep.results.set_aside import judge_winner
from sweep.results.status import Status, read_status
from sweep.storage.claims import claim_trial
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.sweeps import (
    change_budget,
    change_config,
    count_trials,
    find_sweep,
    list_sweeps,
)
from sweep.storage.tables import sweeps, trials
from sweep.trial.session import Session
from sweep.worker.worker import WorkerOptions, run_worker

MakeSession = Callable[..., Session]
NUM_TEST = 6


@dataclass(frozen=True)
class Search:
    """A finished search, where its database is, and where its files are."""

    url: str
    engine: sa.Engine
    artifacts: Path

    def work(self, name: str) -> None:
        """Let a worker of this process finish a sweep's trials."""
        options = WorkerOptions(self.url, name, self.artifacts, num_threads=1)
        run_worker(options, Signals(), lambda _text: None)

    def read(self) -> Confirmation:
        """Read its confirmation."""
        found = find_confirmation_of_search(self.engine, "net")
        assert found is not None
        return found

    def begin(self, seeds: int = 2) -> None:
        """Begin its confirmation, of both its trials."""
        begin_confirmation(self.engine, read_status(self.engine, self.find("net")), 2, seeds)

    def finish(self) -> None:
        """Train round after round, and open the third part for the winner."""
        self.work("net-confirm")
        while begin_round(self.engine, self.read()):
            self.work("net-confirm")
        judge_winner(self.engine, self.read(), self.artifacts)

    def find(self, name: str) -> Any:
        """Find a sweep."""
        return find_sweep(self.engine, name)


def make_search(make_session: MakeSession, url: str, **options: Any) -> Search:
    """Make a search of two trials, with a third part of the events, and finish it."""
    options = {"sampler": "random", "epochs": 1, "events": 18, "test_events": NUM_TEST} | options
    session = make_session(url, **options)
    search = Search(url, session.engine, session.artifacts)
    search.work("net")
    return search


@pytest.fixture(scope="module")
def finished(make_session: MakeSession, tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search that is finished, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    search = make_search(make_session, f"sqlite:///{folder / 'sweep.db'}")
    search.engine.dispose()
    return search


def copy(search: Search, folder: Path) -> Search:
    """Copy a search on SQLite, with its files."""
    shutil.copytree(Path(str(search.engine.url.database)).parent, folder, dirs_exist_ok=True)
    url = f"sqlite:///{folder / 'sweep.db'}"
    artifacts = shutil.copytree(search.artifacts, folder / "artifacts")
    return Search(url, create_engine(parse_url(url)), artifacts)


@pytest.fixture
def search(finished: Search, tmp_path: Path) -> Search:
    """A search that is finished."""
    return copy(finished, tmp_path)


@pytest.fixture(scope="module")
def confirmed(finished: Search, tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search that was confirmed."""
    search = copy(finished, tmp_path_factory.mktemp("confirmed"))
    search.begin()
    search.finish()
    return search


def test_rounds_go_on_where_a_kill_broke_them_off(
    make_session: MakeSession, database_url: str
) -> None:
    """A trial of a killed worker is taken over, a round half begun is finished, none is lost."""
    search = make_search(make_session, database_url)
    search.begin(seeds=3)
    lost = claim_trial(search.engine, search.find("net-confirm").id, "killed", 3600.0)
    assert lost is not None
    with search.engine.begin() as connection:
        connection.execute(
            trials.update().where(trials.c.state == "running").values(lease_until_s=1.0)
        )
    search.work("net-confirm")
    found = search.read()
    assert (found.status.counts.finished, len(found.design.pairs)) == (4, 4)
    sweep, pairs = found.status.sweep, [(0, 3), (1, 3)]
    config = add_pairs(found.status.config, pairs)
    assert change_config(search.engine, sweep, config.to_json(), found.status.load_files())
    assert not search.read().is_done
    assert begin_round(search.engine, search.read())
    search.work("net-confirm")
    found = search.read()
    assert (found.status.counts.finished, found.status.sweep.budget) == (6, 6)
    assert np.isfinite(found.value_CS).all()
    assert not begin_round(search.engine, found)


def test_candidates_have_their_seeds_in_common_and_of_their_own(confirmed: Search) -> None:
    """The same configuration gives other values with another seed, and never those it had."""
    found = confirmed.read()
    assert list(found.design.pairs) == [(0, 1), (1, 1), (0, 2), (1, 2)]
    values = set(found.value_CS[0].tolist())
    assert len(values) == 2
    assert found.design.candidates[0].claimed not in values


def test_recommended_point_is_a_candidate_where_the_search_has_one(confirmed: Search) -> None:
    """Tried there or not; a network of a person's own has none, and the best mean wins."""
    found = confirmed.read()
    assert (len(found.design.candidates), found.recommended) == (2, None)
    assert found.winner == int(np.argmin(found.value_CS.mean(axis=1)))
    status = read_status(confirmed.engine, confirmed.find("net"))
    worse = max(status.ranked, key=lambda trial: trial.best.validation_loss if trial.best else 0)
    for num_points, tried in ((worse.slot + 1, worse.number), (9, None)):
        points = (dict(worse.params),) * num_points
        config = status.config.model_copy(
            update={"starting_points": points, "num_hand_tuned": num_points - 1}
        )
        best, own = list_candidates(replace(status, config=config), 1, {})
        assert not best.is_recommended
        assert (own.is_recommended, own.trial, own.params) == (True, tried, dict(worse.params))


def test_search_that_goes_on_is_confirmed_anew(search: Search, call: Callable[..., Any]) -> None:
    """Better ones of the later trials join, with the same seeds; until then that is said."""
    begin_confirmation(search.engine, read_status(search.engine, search.find("net")), 1, 2)
    search.finish()
    assert [len(search.read().design.candidates), search.read().design.opened.times] == [1, 1]
    change_budget(search.engine, search.find("net").id, 5)
    search.work("net")
    assert "of before: 3 trials" in call("best", "--storage", search.url).out
    status = read_status(search.engine, search.find("net"))
    of_before = say_winner_age(search.engine, status)
    assert of_before.startswith("net-confirm: of before: 3 trials")
    assert find_contender("net", search.url, search.artifacts).note == of_before
    lent = find_origin(search.engine, None, "net")
    assert lent is not None
    assert lent.note == of_before
    assert not join_confirmation(search.engine, status, search.read(), top=9, num_most=0)
    begin_confirmation(search.engine, status, 5, None)
    found = search.read()
    assert (len(found.design.candidates), found.num_since, found.is_done) == (5, 0, False)
    assert found.design.pairs[2:] == tuple((i, seed) for seed in (1, 2) for i in range(1, 5))
    search.work("net-confirm")
    found = search.read()
    assert (found.winner, found.opened) == (4, None)
    judge_winner(search.engine, found, search.artifacts)
    assert "(opened for 2 winners so far)" in "".join(search.read().list_findings())


def test_of_two_who_extend_a_confirmation_at_once_one_is_first(
    make_session: MakeSession, database_url: str
) -> None:
    """The second stores nothing of its own, and has no candidate join that is there already."""
    search = make_search(make_session, database_url)
    begin_confirmation(search.engine, read_status(search.engine, search.find("net")), 1, 3)
    change_budget(search.engine, search.find("net").id, 3)
    search.work("net")
    status, seen = read_status(search.engine, search.find("net")), search.read()
    assert join_confirmation(search.engine, status, seen, top=3)
    first = search.read()
    assert join_confirmation(search.engine, status, seen, top=3)
    assert search.read().design == first.design
    assert not change_config(search.engine, seen.status.sweep, {}, {})
    assert search.read().status.config == first.status.config


def test_network_that_was_trusted_may_run_when_a_confirmation_goes_on(
    confirmed: Search, monkeypatch: pytest.MonkeyPatch, own_network: Path, tmp_path: Path
) -> None:
    """Workers that are started are told so, also where the confirmation had begun before."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("SWEEP_TRUST_CODE", raising=False)
    monkeypatch.setattr(sweep.files.trust, "_given", set())
    seal = read_source(own_network).seal
    vouch(seal)
    monkeypatch.setattr(sweep.files.trust, "_given", set())
    confirmed.begin()
    assert describe_environment() == {"SWEEP_TRUST_CODE": seal}


def test_third_part_is_no_event_of_training_or_validation(confirmed: Search) -> None:
    """And workers, who reopen the events, are not even given it."""
    data = confirmed.read().status.config.data
    split, test = reopen_split(data), reopen_test(data)
    assert split.test is None
    assert (len(split.train), len(split.validation), len(test)) == (18, 12, NUM_TEST)
    others = [*split.train.hashes.tolist(), *split.validation.hashes.tolist()]
    assert not set(others) & set(test.hashes.tolist())


def test_third_part_of_other_events_is_refused(confirmed: Search) -> None:
    """As by its fingerprint, like the other parts."""
    data = confirmed.read().status.config.data
    other = data.model_copy(update={"test_fingerprint": "0" * 16})
    reopen_split(other)
    with pytest.raises(DataError, match="the test events are not those of the sweep"):
        reopen_test(other)


def test_best_gives_the_confirmed_winner(confirmed: Search, call: Callable[..., Any]) -> None:
    """With what the third part shows, and what the search had claimed."""
    winner = confirmed.read().find_trial()
    answer = call("best", "--storage", confirmed.url, "--json")
    said = json.loads(answer.out)
    assert winner is not None
    assert (said["sweep"], said["trial"]) == ("net-confirm", winner.number)
    assert said["confirmation"]["test"]["events"] == NUM_TEST
    assert said["confirmation"]["optimism"]["claimed"] > 0
    shown = call("best", "--storage", confirmed.url).out
    assert shown.index(f"on the {NUM_TEST} events set aside: ") < shown.index(
        "optimism: the search"
    )


def test_kind_of_each_sweep_is_said(confirmed: Search, call: Callable[..., Any]) -> None:
    """In the list and in the status."""
    place = ("--storage", confirmed.url)
    listed = json.loads(call("list", *place, "--json").out)
    assert {one["sweep"]: one["kind"] for one in listed} == {
        "net": "search",
        "net-confirm": "confirmation",
    }
    assert "confirmation" in call("list", *place).out
    shown = call("status", "--sweep", "net-confirm", *place).out
    assert shown.startswith("net-confirm: confirmation,")


def test_card_note_and_report_tell_the_third_part_first(confirmed: Search, tmp_path: Path) -> None:
    """Then how sure the winner is, and the optimism."""
    from sweep.storage import studies

    found = confirmed.read()
    status, trial = found.status, found.find_trial()
    assert trial is not None and found.opened is not None
    write_model_card(tmp_path / "card.md", status, trial, found.opened, None, None, found)
    study = studies.load_study(studies.open_study_storage(parse_url(confirmed.url)), "net")
    search = read_status(confirmed.engine, confirmed.find("net"))
    write_report(
        confirmed.engine,
        list_sweeps(confirmed.engine)[:1],
        confirmed.artifacts,
        tmp_path / "report.html",
    )
    card, page = ((tmp_path / name).read_text("utf-8") for name in ("card.md", "report.html"))
    for text in (card, page, write_note(study, search, found)):
        first = text.index(f"{NUM_TEST} events set aside")
        assert first < text.index("optimism: the search claimed")
    assert card.index("events set aside, which chose") < card.index("validation events")


def test_stop_and_resume_are_for_the_confirmation_too(
    search: Search, call: Callable[..., Any]
) -> None:
    """By the name of the search, whose own trials are all finished."""
    search.begin()
    assert "net-confirm: workers stop" in call("stop", "--storage", search.url).err
    assert search.find("net-confirm").stop_requested
    assert "net-confirm: 4 trials wait" in call("resume", "--storage", search.url).err
    assert not search.find("net-confirm").stop_requested


def test_copy_of_a_search_takes_its_confirmation_along(
    confirmed: Search, tmp_path: Path, call: Callable[..., Any]
) -> None:
    """The winner is known in the copy, too; of a later trial the verdict knows nothing."""
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    assert call("storage", "copy", confirmed.url, target, "--sweep", "net").code == 0
    copy = replace(confirmed, url=target, engine=create_engine(parse_url(target)))
    assert copy.read().winner == confirmed.read().winner
    assert not any("of before" in line for line in copy.read().list_findings())
    change_budget(copy.engine, copy.find("net").id, 3)
    copy.work("net")
    assert copy.read().num_since == 1
    assert copy.read().list_findings()[0].startswith("of before: 1 trial of the search finished")


def test_sweep_of_before_the_third_part_goes_on_and_is_confirmed(
    make_session: MakeSession, sqlite_url: str, own_network: Path
) -> None:
    """Its config knows none of the new words; it is said that nothing was set aside."""
    search = make_search(make_session, sqlite_url, events=24, test_events=None)
    stored = dict(search.find("net").config)
    del stored["confirmation"]
    new = ("test_files", "num_test", "test_fingerprint")
    stored["data"] = {key: value for key, value in stored["data"].items() if key not in new}
    with search.engine.begin() as connection:
        connection.execute(sweeps.update().values(config=json.dumps(stored)))
    request = Request(model=f"{own_network}:MyNet")
    engine, again, _notes = prepare_sweep(request, sqlite_url, "net", 3, CPU)
    assert SweepConfig.from_json(again.config).data.num_test is None
    assert count_trials(engine, again.id).waiting == 1
    search.work("net")
    search.begin()
    search.work("net-confirm")
    assert any("no events were set aside" in line for line in search.read().list_findings())


def test_own_file_is_the_third_part(
    events_file: Path, own_network: Path, tmp_path: Path, sqlite_url: str
) -> None:
    """Of `--test-data`; events of it that are trained on or chosen by are refused."""
    with np.load(events_file) as arrays:
        parts = {
            name: {"X": arrays["X"][some], "y": arrays["y"][some]}
            for name, some in (("most", slice(0, 30)), ("rest", slice(30, 36)))
        }
    files = {name: str(tmp_path / f"{name}.npz") for name in parts}
    for name, part in parts.items():
        np.savez(files[name], **part)
    request = Request(
        model=f"{own_network}:MyNet", data=(files["most"],), test_data=(files["rest"],), epochs=1
    )
    _engine, stored, _notes = prepare_sweep(request, sqlite_url, "net", 1, CPU)
    data = SweepConfig.from_json(stored.config).data
    assert (data.num_test, data.test_files) == (6, (files["rest"],))
    assert len(reopen_test(data)) == 6
    same = replace(request, test_data=(files["most"],))
    with pytest.raises(DataError, match="not set aside, got"):
        prepare_sweep(same, sqlite_url, "other", 1, CPU)


def test_short_search_is_not_confirmed_unasked(
    search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where two candidates with two seeds take more than a quarter of its epochs; how is said."""
    assert end_search(search.engine, *describe_end(search), is_shown=True)
    assert "`sweep confirm --sweep net` does it" in capsys.readouterr().err
    assert find_confirmation_of_search(search.engine, "net") is None


def test_end_of_a_search_goes_on_with_what_was_interrupted(
    search: Search, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here before the third part was opened: it is, it is said, and the pages tell of it."""
    from sweep.storage import studies

    search.begin()
    search.work("net-confirm")
    assert not search.read().design.opened
    assert end_search(search.engine, *describe_end(search), is_shown=True)
    assert search.read().design.opened
    assert f"on the {NUM_TEST} events set aside" in capsys.readouterr().out
    study = studies.load_study(studies.open_study_storage(parse_url(search.url)), "net")
    assert optuna_dashboard.get_note(study).splitlines()[2].startswith("Confirmed with fresh")


def test_winner_that_ends_the_process_on_the_third_part_is_named(
    make_session: MakeSession, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third part stays closed, and the command that opens it is not ended without a word."""
    search = make_search(make_session, sqlite_url, network="EndingNet")
    search.begin()
    search.work("net-confirm")
    (tmp_path / "end").touch()
    monkeypatch.setenv("NET_END", str(tmp_path / "end"))
    with pytest.raises(ModelError, match="the events set aside, got exit code 7, expected"):
        judge_winner(search.engine, search.read(), search.artifacts)
    assert search.read().opened is None


def describe_end(search: Search) -> tuple[Status, JobOptions, list[Place]]:
    """Describe the end of a search, for a job that has no room for workers."""
    options = JobOptions(storage=search.url, artifacts=search.artifacts, sweep="net", workers=1)
    return read_status(search.engine, search.find("net")), options, []


def test_best_tells_what_became_of_a_search_that_is_confirmed(
    confirmed: Search, call: Callable[..., Any]
) -> None:
    """Why it ended early, and what was changed of it."""
    begin_version(confirmed.engine, confirmed.find("net"), AskedChange(priority=1), "anna")
    flat = json.dumps({"reason": "no gain", "budget": 9})
    with confirmed.engine.begin() as connection:
        connection.execute(sweeps.update().where(sweeps.c.name == "net").values(flat=flat))
    out = " ".join(call("best", "--storage", confirmed.url).out.split())
    assert "flat: no gain; 7 of 9 trials are not begun" in out
    assert "priority from 0 to 1 (anna" in out
    told = json.loads(call("best", "--json", "--storage", confirmed.url).out)
    assert told["flat"] == {"reason": "no gain", "budget": 9, "not_begun": 7}
    assert [one["changed"] for one in told["changes"]] == [["priority from 0 to 1"]]

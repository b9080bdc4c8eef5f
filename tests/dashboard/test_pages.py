"""Our own pages: what everybody sees of all sweeps, and what may be changed by whom, and how."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest
import sqlalchemy as sa

from rights import make_role, run_sql
from sweep.dashboard.forms import LIFE_S, FormTokens
from sweep.dashboard.gate import Gate
from sweep.dashboard.pages import Pages
from sweep.dashboard.passwords import Password
from sweep.plan.changes import AskedChange
from sweep.results.edits import (
    begin_version,
    change_priority,
    resume_sweep,
    stop_sweep,
    try_points,
)
from sweep.results.rounds import begin_confirmation
from sweep.results.status import read_status
from sweep.storage.claims import claim_trial
from sweep.storage.edits import list_edits
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.studies import open_study_storage
from sweep.storage.sweeps import change_budget, create_sweep, find_sweep
from sweep.storage.tables import trials
from sweep.storage.workers import enter_worker
from sweep.trial.session import Session
from tests.dashboard.asking import PASSWORD, Answer, ask, inner, log_in
from tests.dashboard.conftest import FinishTrial

MakeSession = Callable[..., Session]


def build_gate(session: Session, *, allow_edit: bool = True, refusal: str = "") -> Gate:
    """Build what the server serves of a session's database, with a password."""
    pages = Pages(inner, session.engine, session.study_storage, allow_edit, refusal)
    return Gate(pages, lambda: True, Password(PASSWORD), allow_edit)


class Visitor:
    """Somebody who has logged in under a name."""

    def __init__(self, gate: Gate, name: str = "ada") -> None:
        self.gate = gate
        self.cookie = log_in(gate, username=name).headers["Set-Cookie"].partition(";")[0]

    def look(self, path: str) -> str:
        """Open a page; gives its HTML."""
        answer = ask(self.gate, path, cookie=self.cookie)
        assert answer.code == 200, answer.text
        return answer.text

    def fill(self, path: str, edit: str) -> dict[str, str]:
        """Open a sweep's page and give the hidden fields of one of its forms."""
        form = re.search(rf'action="{path}/{edit}".*?</form>', self.look(path), re.DOTALL)
        assert form is not None
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0]))

    def send(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        """Send a form as it is."""
        return ask(self.gate, path, "POST", form, cookie=self.cookie, **headers)

    def edit(self, path: str, edit: str, **fields: str) -> Answer:
        """Fill in a form of a sweep's page and send it."""
        return self.send(f"{path}/{edit}", self.fill(path, edit) | fields)


def read_alert(answer: Answer) -> str:
    """Read the line in which a page says what is wrong."""
    (line,) = re.findall(
        r'role="alert"[^>]*>(.*?)</p>', answer.text.partition("<main")[2], re.DOTALL
    )
    return unescape(line)


@pytest.fixture
def session(make_session: MakeSession, sqlite_url: str) -> Session:
    """A search of five trials with a hyperparameter to choose, none of them begun."""
    return make_session(sqlite_url, trials=5, fixed=("batch_size=12",))


def test_all_sweeps_at_a_glance(
    make_session: MakeSession, finish_trial: FinishTrial, database_url: str
) -> None:
    """For everybody: state, kind, how far, workers, the best by all three metrics."""
    session = make_session(database_url, trials=3)
    finish_trial(session, 6.8, "dead")
    finish_trial(session, 0.0312)
    enter_worker(session.engine, "host:1:x", "cpu, 2 threads")
    assert claim_trial(session.engine, session.sweep.id, "host:1:x", 60.0) is not None
    make_session(database_url, name="later")
    page = Visitor(build_gate(session, allow_edit=False)).look("/sweeps")
    text = " ".join(unescape(re.sub("<[^>]+>", " ", page.partition("<main")[2])).split())
    assert "2 sweeps, 2 of them open." in text
    assert "net search, mynet.py:MyNet, by validation loss running 2 of 3 1 running 1 best" in text
    assert "best by validation loss and efficiency trial 1, validation events" in text
    assert "0.0312 0.900 0.050" in text
    assert "later search, mynet.py:MyNet, by validation loss waiting for workers" in text
    assert "6.8" not in text


def test_what_another_version_wrote_leaves_the_others_listed(session: Session) -> None:
    """A sweep that cannot be read, or its confirmation, is told of in a line."""
    for name in ("net-confirm", "old"):
        create_sweep(session.engine, name, {"model": "cnn"}, {}, 1)
    create_sweep(session.engine, "later", session.sweep.config, {}, 1)
    page = Visitor(build_gate(session)).look("/sweeps")
    assert all(f"{name}: not listed: " in page for name in ("net", "net-confirm", "old"))
    assert "later" in page


def test_edit_is_shown_after_a_redirect_with_its_author(session: Session) -> None:
    """Stop, resume, priority and a point do what the commands do, and say who did it."""
    visitor, path = Visitor(build_gate(session), 'Ada <b>"L\'" ../'), "/sweeps/1"
    answer = visitor.edit(path, "stop")
    assert (answer.code, answer.headers["Location"]) == (303, "/sweeps/1?done=1")
    assert find_sweep(session.engine, "net").stop_requested
    page = visitor.look("/sweeps/1?done=1")
    assert "Done: Ada &lt;b&gt;&#34;L&#39;&#34; ../ (dashboard) stopped it" in page
    assert "<b>" not in page
    assert visitor.edit(path, "resume").code == 303
    assert visitor.edit(path, "priority", priority="7").code == 303
    assert visitor.edit(path, "point", **{"value.lr": "0.005"}).code == 303
    sweep = find_sweep(session.engine, "net")
    assert (sweep.stop_requested, sweep.priority) == (False, 7)
    claim = claim_trial(session.engine, sweep.id, "a", 60.0)
    assert claim is not None
    assert claim.point == {"lr": 0.005}
    assert [edit.what for edit in list_edits(session.engine, sweep.id, 9)] == [
        "added a point: lr=0.005",
        "changed the priority from 0 to 7",
        "resumed it",
        "stopped it",
    ]


@pytest.mark.parametrize(
    ("edit", "fields", "said"),
    [
        ("point", {"value.lr": "fast"}, "point.lr: dimension: numbers are needed here"),
        ("point", {"value.<b>": "1"}, "point.<b>: no such hyperparameter, got '<b>'"),
        ("point", {"value.lr": " "}, "point: no value, got none"),
        ("priority", {"priority": "high"}, "priority: not a whole number, got 'high'"),
        ("priority", {"priority": "1001"}, "priority: got 1001, expected from -1000 to 1000"),
        ("priority", {"priority": "3", "seen": "2"}, "somebody else has changed it meanwhile"),
        ("point", {"value.lr": "1" * 9000}, "form: not readable, got too much"),
        ("stop", {"token": ""}, "form: not taken"),
        ("stop", {"token": "9999999999.abc.0000"}, "form: not taken"),
        ("stop", {"token": "\u00fc.\u00fc.\u00fc"}, "form: not taken"),
    ],
)
def test_fault_is_one_line_on_the_page(
    session: Session, edit: str, fields: dict[str, str], said: str
) -> None:
    """Nothing is changed, and what was typed is still there."""
    visitor = Visitor(build_gate(session))
    answer = visitor.edit("/sweeps/1", edit, **fields)
    assert answer.code == 409
    assert said in read_alert(answer)
    assert "<b>" not in answer.text
    if edit == "point" and "form:" not in said:
        (typed,) = [text for text in fields.values() if text.strip()] or [""]
        assert f'value="{typed}"' in answer.text or "value.lr" not in fields
    sweep = find_sweep(session.engine, "net")
    assert (sweep.stop_requested, sweep.priority) == (False, 0)
    assert list_edits(session.engine, sweep.id, 9) == []


def test_form_is_taken_once_and_from_its_own_visit(session: Session) -> None:
    """One sent twice, from another visit, another form's, and one that has become too old."""
    gate, now_s = build_gate(session), [1e9]
    gate = replace(gate, inner=replace(gate.inner, tokens=FormTokens(lambda: now_s[0])))
    visitor, other = Visitor(gate), Visitor(gate, "eve")
    form = visitor.fill("/sweeps/1", "stop")
    assert other.send("/sweeps/1/stop", form).code == 409
    assert visitor.send("/sweeps/1/resume", form).code == 409
    assert visitor.send("/sweeps/1/stop", form).code == 303
    assert "was sent before" in read_alert(visitor.send("/sweeps/1/stop", form))
    old = visitor.fill("/sweeps/1", "resume")
    now_s[0] += LIFE_S + 1
    assert visitor.send("/sweeps/1/resume", old).code == 409
    assert find_sweep(session.engine, "net").stop_requested


def test_other_origin_and_stranger_change_nothing(session: Session) -> None:
    """A foreign page's post, a look at a form's address, and somebody without a password."""
    visitor = Visitor(build_gate(session))
    form = visitor.fill("/sweeps/1", "stop")
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert visitor.send("/sweeps/1/stop", form, **headers).code == 403
    assert ask(visitor.gate, "/sweeps/1/stop", "POST", form).code == 401
    seen = ask(visitor.gate, "/sweeps/1/stop", cookie=visitor.cookie)
    assert (seen.code, seen.headers["Allow"]) == (405, "POST")
    assert ask(visitor.gate, "/sweeps/1", "POST", form, cookie=visitor.cookie).code == 405
    for path in ("/sweeps/9/stop", "/sweeps/../1/stop", "/sweeps/1/drop", "/sweeps/99999999999"):
        assert visitor.send(path, form).code == 404
    assert not find_sweep(session.engine, "net").stop_requested


def test_forms_are_not_there_unless_allowed(session: Session) -> None:
    """Neither on the page nor at their addresses; what optuna-dashboard would write is refused."""
    visitor = Visitor(build_gate(session, allow_edit=False))
    assert "<form" not in visitor.look("/sweeps/1").partition("<main")[2]
    for method in ("GET", "POST"):
        answer = ask(visitor.gate, "/sweeps/1/stop", method, {}, cookie=visitor.cookie)
        assert answer.code == 404
    assert ask(visitor.gate, "/api/studies/1", "DELETE", cookie=visitor.cookie).code == 405


def test_ended_sweep_says_so(session: Session, finish_trial: FinishTrial) -> None:
    """A form of before its end is refused with a line, and its confirmation goes on; afterwards
    there is none.
    """
    visitor = Visitor(build_gate(session))
    stop, point = (visitor.fill("/sweeps/1", edit) for edit in ("stop", "point"))
    for _ in range(5):
        finish_trial(session, 0.03)
    begin_confirmation(session.engine, read_status(session.engine, session.sweep), 1, 2)
    answer = visitor.send("/sweeps/1/stop", stop)
    assert "nothing to stop, got 5 of 5 trials finished" in read_alert(answer)
    assert not find_sweep(session.engine, "net-confirm").stop_requested
    answer = visitor.send("/sweeps/1/point", point | {"value.lr": "0.005"})
    assert "too few trials are left, got 0" in read_alert(answer)
    assert "It has ended: there is nothing to change." in visitor.look("/sweeps/1")


def test_role_that_may_only_read_is_told(
    make_session: MakeSession, postgres_server: sa.Engine, postgres_url: str
) -> None:
    """In the place of the forms, and when it sends one that it had before."""
    session = make_session(postgres_url, trials=2)
    with make_role(postgres_server, postgres_url) as address:
        url = parse_url(address)
        run_sql(postgres_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {url.username}")
        reader = open_engine(url)
        pages = Pages(inner, reader, open_study_storage(url), allow_edit=True)
        visitor = Visitor(Gate(pages, lambda: True, Password(PASSWORD), allow_edit=True))
        said = read_alert(visitor.edit("/sweeps/1", "stop"))
        reader.dispose()
    assert "lacks a right" in said
    assert not find_sweep(session.engine, "net").stop_requested
    told = Visitor(build_gate(session, refusal=said)).look("/sweeps/1")
    assert "Nothing can be changed here: storage: role" in told
    assert "<form" not in told.partition("<main")[2]


def test_no_edit_without_its_line(session: Session) -> None:
    """A log that cannot be written leaves the sweep as it was, whatever is asked of it."""
    engine = session.engine
    stop_sweep(engine, session.sweep, "anna")
    found = find_sweep(engine, "net")
    refuse = "BEFORE INSERT ON sweep_edits BEGIN SELECT RAISE(ABORT, 'no line'); END"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TRIGGER refuse {refuse}"))
    edits: list[Callable[[], object]] = [
        lambda: resume_sweep(engine, found, "anna"),
        lambda: change_priority(engine, found, 3, "anna"),
        lambda: begin_version(engine, found, AskedChange(("lr=1e-3,2e-3",), trials=9), "anna"),
        lambda: try_points(engine, found, ["lr=0.005"], "anna"),
        lambda: change_budget(engine, found.id, 9, "anna"),
    ]
    for edit in edits:
        with pytest.raises(sa.exc.IntegrityError, match="no line"):
            edit()
        assert find_sweep(engine, "net") == found
        with engine.connect() as connection:
            rows = connection.execute(sa.select(trials.c.point, trials.c.version)).all()
        assert set(rows) == {(None, None)}

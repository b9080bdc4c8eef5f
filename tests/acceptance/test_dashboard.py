"""What a physicist sees of a sweep in the browser, with `sweep dashboard` and without."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import optuna
import pytest
from pages import needs_chromium, read_address, run_chromium, serve, serve_here

import forks
from sweep.dashboard.gate import Gate
from sweep.dashboard.pages import Pages
from sweep.dashboard.passwords import Password
from sweep.storage import studies
from sweep.storage.engine import parse_url
from sweep.storage.sweeps import find_sweep
from sweep.trial.session import Session
from tests.dashboard.asking import inner

NUM_TRIALS = 2
PASSWORD = "correct horse"
DRAWN = ".js-plotly-plot .scatterlayer .trace"
HISTORY_SCALE = "document.getElementById('plot-history').layout.yaxis.type"
DWARFED = "with a dead network"

pytestmark = needs_chromium


NETWORK = """
import torch

class Scale(torch.nn.Module):
    space = {"start": "0.5:1.5"}

    def __init__(self, start):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(float(start)))

    def forward(self, x_BCL):
        return x_BCL[:, 0] * self.scale
"""


@pytest.fixture(scope="module")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory, events_file: Path) -> Path:
    """The folder of a sweep that was registered and then trained by a worker on its own.

    Beside it is a study of somebody else.
    """
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "scale.py").write_text(NETWORK, encoding="utf-8")
    command = ["run", "--detach", "--model", "scale.py:Scale", "--trials", str(NUM_TRIALS)]
    command += ["--data", str(events_file), "--events", "24", "--val-events", "12"]
    run(folder, *command, "--epochs", "2")
    run(folder, "worker", "--device", "cpu", "--threads", "1")
    add_dwarfed(f"sqlite:///{folder / 'sweep.db'}")
    return folder


def add_dwarfed(url: str) -> None:
    """Add a study in which one loss dwarfs the others."""
    study_storage: Any = studies.open_study_storage(parse_url(url))
    study = studies.create_study(
        study_storage, DWARFED, direction="minimize", metric_name="validation loss"
    )
    space = {"lr": optuna.distributions.FloatDistribution(0.0, 10.0)}
    for loss in (0.03, 0.031, 6.8):
        study.add_trial(
            optuna.trial.create_trial(value=loss, params={"lr": loss}, distributions=space)
        )
    study_storage.remove_session()
    study_storage._backend.engine.dispose()


def run(folder: Path, *arguments: str) -> str:
    """Run a command to its end; gives what it printed."""
    code, out, err = forks.run(*arguments, folder=folder)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def dashboard(finished_sweep: Path) -> Iterator[str]:
    """The address of `sweep dashboard` with a password."""
    with serve(finished_sweep, SWEEP_DASHBOARD_PASSWORD=PASSWORD) as server:
        yield read_address(server)


@pytest.fixture(scope="module")
def plain_dashboard(finished_sweep: Path) -> Iterator[str]:
    """The address of plain optuna-dashboard on the sweep's files."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "optuna-dashboard"), "sqlite:///sweep.db"]
    command += ["--artifact-dir", "sweep_artifacts", "--port", str(port)]
    server = subprocess.Popen(
        command, cwd=finished_sweep, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert server.poll() is None, "optuna-dashboard ended"
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address):
                break
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


class Browser:
    """A page in Chromium that notes which hosts it asked and what went wrong."""

    def __init__(self, page) -> None:  # type: ignore[no-untyped-def]
        self.page = page
        self.hosts: set[str | None] = set()
        self.errors: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)

    def _note(self, message) -> None:  # type: ignore[no-untyped-def]
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, address: str, selector: str) -> str:
        """Open a page, wait until what matters is drawn, and give its text."""
        self.page.goto(address)
        return self._read(selector)

    def turn(self, path: str, selector: str) -> str:
        """Turn to another page of the same program, as a link does, without loading it again."""
        self.page.evaluate(
            """path => { history.pushState(null, '', path);
                         dispatchEvent(new PopStateEvent('popstate')) }""",
            path,
        )
        return self._read(selector)

    def _read(self, selector: str) -> str:
        self.page.wait_for_selector(selector, timeout=60_000)
        return str(self.page.inner_text("body"))

    def log_in(self, password: str) -> None:
        """Type the password on the login page."""
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def count_points(self, title: str) -> dict[str, int]:
        """Count the points of each group in the first panel of a figure."""
        script = """title => Object.fromEntries(
            [...document.querySelectorAll('.js-plotly-plot')]
                .filter(plot => (plot.layout.title?.text || '').startsWith(title))
                .flatMap(plot => plot.data.filter(trace => ['y', undefined].includes(trace.yaxis)))
                .map(trace => [trace.name, trace.x.length]))"""
        self.page.wait_for_selector(f"text={title}")
        return dict(self.page.evaluate(script, title))


@pytest.fixture(scope="module")
def chromium():  # type: ignore[no-untyped-def]
    """The system's browser."""
    with run_chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def browser(chromium, dashboard: str) -> Iterator[Browser]:  # type: ignore[no-untyped-def]
    """A browser that has logged in to `sweep dashboard`, as large as a screen."""
    with chromium.new_context(viewport={"width": 1400, "height": 1000}) as context:
        found = Browser(context.new_page())
        found.open(f"{dashboard}/dashboard/studies/2", "form")
        found.log_in(PASSWORD)
        yield found


@pytest.fixture(scope="module")
def plain_browser(chromium) -> Iterator[Browser]:  # type: ignore[no-untyped-def]
    """A browser for plain optuna-dashboard."""
    with chromium.new_context(viewport={"width": 1400, "height": 1000}) as context:
        yield Browser(context.new_page())


def test_wrong_password_is_refused(chromium, dashboard: str) -> None:  # type: ignore[no-untyped-def]
    """Typed without JavaScript, on a narrow screen; the page says so and shows nothing else."""
    narrow = {"width": 400, "height": 800}
    with chromium.new_context(java_script_enabled=False, viewport=narrow) as context:
        stranger = Browser(context.new_page())
        stranger.open(f"{dashboard}/dashboard/studies/2", "form")
        stranger.log_in("incorrect horse")
        page = stranger.page
        page.wait_for_selector("text=Wrong password.")
        assert page.get_by_role("alert").inner_text() == "Wrong password."
        assert page.get_by_label("Password").input_value() == ""
        assert context.cookies() == []
        stranger.log_in(PASSWORD)
        page.wait_for_url("**/dashboard/studies/2")
        assert [cookie["sameSite"] for cookie in context.cookies()] == ["Strict"]


def test_sweep_is_changed_by_keyboard(
    chromium,
    make_session: Callable[..., Session],
    sqlite_url: str,  # type: ignore[no-untyped-def]
) -> None:
    """On a narrow screen without JavaScript: each page names what it has; a change is told."""
    session = make_session(sqlite_url, trials=5, fixed=("batch_size=12",))
    pages = Pages(inner, session.engine, session.study_storage, allow_edit=True)
    gate = Gate(pages, lambda: True, Password(PASSWORD), allow_edit=True)
    narrow = {"width": 400, "height": 800}
    with (
        serve_here(gate) as port,
        chromium.new_context(java_script_enabled=False, viewport=narrow) as context,
    ):
        visitor = Browser(context.new_page())
        page = visitor.page
        visitor.open(f"http://127.0.0.1:{port}/sweeps", "form")
        page.keyboard.type("Ada <i>")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/sweeps")
        assert page.get_by_role("columnheader").count() == 9
        page.get_by_role("link", name="net").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/sweeps/1")
        page.get_by_label("lr").fill("fast")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sweeps/1/point")
        check_told(page, "alert", "point.lr: dimension: numbers are needed here, got 'fast'")
        page.get_by_label("lr").fill("0.005")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sweeps/1?done=1")
        check_told(page, "status", "Done: Ada <i> (dashboard) added a point: lr=0.005")
        page.get_by_role("button", name="Stop this sweep").focus()
        outline = "e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]"
        assert page.evaluate(f"({outline})(document.activeElement)") == ["solid", "3px"]
        page.keyboard.press("Enter")
        page.wait_for_url("**/sweeps/1?done=2")
        check_told(page, "status", "Done: Ada <i> (dashboard) stopped it")
        assert page.get_by_role("button", name="Resume this sweep").is_visible()
        assert find_sweep(session.engine, "net").stop_requested
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")


def check_told(page, role: str, words: str) -> None:  # type: ignore[no-untyped-def]
    """See that a page tells something where the reader is then, and is no wider than the screen."""
    told = page.get_by_role(role)
    assert words in told.inner_text()
    assert told.evaluate("element => element === document.activeElement")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_first_page_shows_the_three_metrics(browser: Browser) -> None:
    """After the login, without a click: both figures with a point a trial, and the headlines."""
    browser.page.wait_for_selector(DRAWN, timeout=60_000)
    check_first_page(browser)


def check_first_page(browser: Browser) -> None:
    """See that the sweep's first page has what it should."""
    by_trial = browser.count_points("The metrics by trial")
    assert by_trial.pop("best so far") > 0
    assert by_trial == {"pruned": 0, "dead": 0, "complete": NUM_TRIALS - 1, "best": 1}
    front = browser.count_points("Efficiency against FP rate")
    assert (front["complete"], front["best"]) == (NUM_TRIALS - 1, 1)
    browser.page.wait_for_selector("text=null loss")
    text = browser.page.inner_text("body")
    for words in ("best trial efficiency", "best trial FP / event", "best trial validation loss"):
        assert words in text


def test_history_offers_efficiency_and_fp_rate(browser: Browser) -> None:
    """The History plot draws each of the metrics when it is chosen as its axis."""
    browser.turn("/dashboard/studies/2", DRAWN)
    assert browser.page.evaluate(HISTORY_SCALE) == "linear"  # no loss dwarfs the rest
    browser.page.get_by_role("combobox").first.click()
    options = browser.page.get_by_role("option").all_inner_texts()
    assert "validation loss" in options
    assert {"User Attribute efficiency", "User Attribute fp_rate"} <= set(options)
    browser.page.get_by_role("option", name="User Attribute fp_rate").click()


def test_dead_network_does_not_hide_the_others(browser: Browser) -> None:
    """The History turns to a log scale where one loss dwarfs the rest."""
    browser.turn("/dashboard/studies/3", "#plot-history .trace")
    browser.page.wait_for_function(f"{HISTORY_SCALE} === 'log'", timeout=30_000)


def test_companion_has_a_front_of_all_metrics(browser: Browser) -> None:
    """Each metric is an objective of it, with as many points as there are good trials."""
    browser.turn("/dashboard", "text=Scale (all metrics)")
    browser.turn("/dashboard/studies/1", "text=Pareto Front")
    browser.page.wait_for_selector(DRAWN)
    browser.page.get_by_role("combobox").first.click()
    options = browser.page.get_by_role("option").all_inner_texts()
    assert options == ["validation loss", "efficiency", "FP / event"]
    browser.page.get_by_role("option", name="FP / event").click()
    points = browser.page.evaluate(
        """() => document.querySelector('.js-plotly-plot').data
            .reduce((sum, trace) => sum + trace.x.length, 0)"""
    )
    assert points == NUM_TRIALS


def test_table_has_the_metrics_as_columns(browser: Browser) -> None:
    """The table of trials has a row a trial and the three metrics as columns."""
    browser.turn("/dashboard/studies/2/smartSelection", "table tbody tr")
    headers = browser.page.locator("table thead th").all_inner_texts()
    for name in ("validation_loss", "efficiency", "fp_rate"):
        assert any(name in header for header in headers)


def test_note_tells_the_best_by_all_three_metrics(browser: Browser) -> None:
    """Its first lines and its table, whose links lead to the trials."""
    text = browser.turn("/dashboard/studies/2/note", "text=Best: trial")
    number = read_best_trial(browser)
    assert f"Best: trial {number}, validation loss" in text
    assert browser.page.locator("table thead th").all_inner_texts() == [
        "trial",
        "validation loss",
        "efficiency",
        "FP / event",
        "residual width (mm)",
        "residual mean (mm)",
        "configuration",
    ]
    link = browser.page.get_by_role("link", name=f"trial {number}").first
    assert link.get_attribute("href") == f"/dashboard/studies/2/trials?numbers={number}"


def read_best_trial(browser: Browser) -> int:
    """Read the best trial's number from the study's attributes."""
    script = "async () => (await fetch('/api/studies/2')).json()"
    attributes = browser.page.evaluate(script)["user_attrs"]
    (value,) = (entry["value"] for entry in attributes if entry["key"] == "best trial")
    return int(value)


def check_pictures(browser: Browser, number: int) -> None:
    """See that the best trial has its pictures, and that they load."""
    text = browser.turn(f"/dashboard/studies/2/trials?numbers={number}", "text=Artifacts")
    for name in ("learning_curves", "sample_outputs", "worst_events"):
        assert name in text
    browser.page.wait_for_function(
        """() => [...document.querySelectorAll('img')]
            .filter(image => image.src.includes('/artifacts/') && image.naturalWidth > 300)
            .length >= 3""",
        timeout=30_000,
    )


def test_best_trial_carries_its_pictures(browser: Browser, finished_sweep: Path) -> None:
    """Learning curves, sample outputs and the worst events; and the right trial is called best."""
    number = json.loads(run(finished_sweep, "best", "--json"))["trial"]
    assert number == read_best_trial(browser)
    check_pictures(browser, number)


def test_pages_cannot_change_anything(browser: Browser) -> None:
    """A request that would remove or add a study is refused, although it comes from within."""
    script = "async method => (await fetch('/api/studies/2', {method})).status"
    errors = len(browser.errors)
    assert [browser.page.evaluate(script, m) for m in ("DELETE", "POST", "PUT")] == [405] * 3
    assert browser.page.evaluate("async () => (await fetch('/api/studies/2')).status") == 200
    del browser.errors[errors:]  # the browser calls each refusal an error


def test_no_request_leaves_the_machine(browser: Browser) -> None:
    """All pages were served by this machine alone, and none of them complained."""
    assert browser.hosts == {"127.0.0.1"}
    assert browser.errors == []


def test_logout_is_in_sight_of_a_narrow_page(browser: Browser, dashboard: str) -> None:
    """On every page; afterwards the password is asked for again."""
    browser.page.set_viewport_size({"width": 400, "height": 800})
    button = browser.page.get_by_role("button", name="Log out")
    box = button.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 400
    button.click()
    browser.page.wait_for_url("**/login")
    assert browser.page.context.cookies() == []
    browser.open(f"{dashboard}/dashboard/studies/2", "text=Password")
    assert browser.errors == []


def test_plain_dashboard_shows_the_same(plain_browser: Browser, plain_dashboard: str) -> None:
    """`optuna-dashboard sqlite:///sweep.db --artifact-dir ...` needs nothing of ours."""
    plain_browser.open(f"{plain_dashboard}/dashboard/studies/2", DRAWN)
    check_first_page(plain_browser)
    check_pictures(plain_browser, read_best_trial(plain_browser))
    assert plain_browser.hosts == {"127.0.0.1"}
    assert plain_browser.errors == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_server_well(finished_sweep: Path, number: signal.Signals) -> None:
    """It has served the sweep to whoever asked from here, and ends with exit code 0."""
    with serve(finished_sweep) as server:
        address = read_address(server)
        with urllib.request.urlopen(f"{address}/api/studies") as answer:
            names = [study["study_name"] for study in json.load(answer)["study_summaries"]]
        server.send_signal(number)
        _, said = server.communicate(timeout=60)
    assert names == ["Scale (all metrics)", "Scale", DWARFED]
    assert (server.returncode, said) == (0, "")

"""What a physicist sees of a sweep in plain optuna-dashboard, in a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_S = 60.0
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NUM_TRIALS = 5

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


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
    """The folder of a finished sweep of a few networks, made by the command itself."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "scale.py").write_text(NETWORK, encoding="utf-8")
    command = [sys.executable, "-m", "sweep", "run", "--model", "scale.py:Scale"]
    command += ["--trials", str(NUM_TRIALS), "--data", str(events_file), "--events", "24"]
    command += ["--val-events", "12", "--epochs", "4"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="module")
def dashboard(finished_sweep: Path) -> Iterator[str]:
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
        wait_for(address, server)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert server.poll() is None, "the dashboard ended"
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address):
            return
        time.sleep(0.1)
    pytest.fail("the dashboard did not answer")


class Browser:
    """A page in Chromium that notes which hosts it asked and what went wrong."""

    def __init__(self, page, address: str) -> None:  # type: ignore[no-untyped-def]
        self.page = page
        self.address = address
        self.hosts: set[str | None] = set()
        self.errors: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str, selector: str) -> None:
        """Open a page and wait until what matters is drawn."""
        self.page.goto(f"{self.address}/dashboard/{path}")
        self.page.wait_for_selector(selector, timeout=60_000)


@pytest.fixture(scope="module")
def browser(dashboard: str) -> Iterator[Browser]:
    """A browser on the dashboard."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=BROWSER_ARGUMENTS
        )
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        yield Browser(page, dashboard)
        chromium.close()


def test_first_page_shows_the_three_metrics(browser: Browser) -> None:
    """The named objective, both figures with a point a trial, and the headline numbers."""
    browser.open("studies/1", ".js-plotly-plot .scatterlayer .trace")
    page = browser.page
    page.wait_for_selector("text=Efficiency against FP rate")
    page.wait_for_selector("text=null loss")
    text = page.inner_text("body")
    for words in (
        "Validation loss, efficiency and FP rate by trial",
        "best trial efficiency",
        "best trial FP rate",
        "best validation loss",
        "Intermediate values",
        "Hyperparameter Importance",
    ):
        assert words in text
    counted = page.evaluate(
        """() => [...document.querySelectorAll('.js-plotly-plot')]
            .filter(plot => (plot.layout.title?.text || '').includes('by trial'))
            .map(plot => plot.data
                .filter(trace => trace.yaxis === 'y' || !trace.yaxis)
                .reduce((sum, trace) => sum + trace.x.length, 0))
        """
    )
    assert counted == [NUM_TRIALS]


def test_history_offers_efficiency_and_fp_rate(browser: Browser) -> None:
    """The History plot draws each of the metrics when it is chosen as its axis."""
    browser.open("studies/1", ".js-plotly-plot .scatterlayer .trace")
    browser.page.get_by_role("combobox").first.click()
    options = browser.page.get_by_role("option").all_inner_texts()
    assert "validation loss" in options
    assert {"User Attribute efficiency", "User Attribute fp_rate"} <= set(options)
    browser.page.get_by_role("option", name="User Attribute fp_rate").click()


def test_table_has_the_metrics_as_columns(browser: Browser) -> None:
    """The table of trials has a row a trial and the three metrics as columns."""
    browser.open("studies/1/smartSelection", "table tbody tr")
    headers = browser.page.locator("table thead th").all_inner_texts()
    for name in ("validation_loss", "efficiency", "fp_rate"):
        assert any(name in header for header in headers)


def test_note_tells_the_best_by_all_three_metrics(browser: Browser) -> None:
    """The note's table has a line for each network that found something, and the null loss."""
    browser.open("studies/1/note", "table tbody tr")
    text = browser.page.inner_text("body")
    assert "predicting zero everywhere" in text
    assert browser.page.locator("table thead th").all_inner_texts() == [
        "trial",
        "validation loss",
        "efficiency",
        "FP / event",
        "configuration",
    ]


def test_best_trial_carries_its_pictures(browser: Browser, finished_sweep: Path) -> None:
    """The best trial has learning curves and a sample output attached, as pictures that load."""
    best = subprocess.run(
        [sys.executable, "-m", "sweep", "best", "--json"],
        cwd=finished_sweep,
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    number = json.loads(best.stdout)["trial"]
    browser.open(f"studies/1/trials?numbers={number}", "text=Artifacts")
    text = browser.page.inner_text("body")
    assert "learning_curves" in text
    assert "sample_output" in text
    browser.page.wait_for_function(
        """() => [...document.querySelectorAll('img')]
            .filter(image => image.src.includes('/artifacts/') && image.naturalWidth > 300)
            .length >= 2""",
        timeout=30_000,
    )


def test_no_request_leaves_the_machine(browser: Browser) -> None:
    """All pages were served by this machine alone, and none of them raised an error."""
    assert browser.hosts == {"127.0.0.1"}
    assert browser.errors == []

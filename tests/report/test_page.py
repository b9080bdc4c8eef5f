"""The report in a real browser, opened from a file as a physicist does who was sent it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pages import needs_chromium, run_chromium

from sweep.metrics.table import EFFICIENCY, FP_RATE
from sweep.results.best import get_trial_score
from tests.report.conftest import EPOCHS, NUM_DEAD, NUM_TRAINED, Database

DRAWN = "html[data-figures=drawn]"
COUNT_POINTS = """id => document.querySelector(`#${id} .plot`).data
    .map(trace => [trace.name, trace.x.length, trace.yaxis || 'y'])"""
FIND_FAINT = """() => {
    const light = color => {
        const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(Number).map(value => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const below = element => {
        for (let at = element; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if (color !== 'rgba(0, 0, 0, 0)') return color;
        }
        return 'rgb(255, 255, 255)';
    };
    return [...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.plot'))
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => {
            const [one, two] = [light(getComputedStyle(e).color), light(below(e))].sort().reverse();
            return (one + 0.05) / (two + 0.05) < 4.5;
        })
        .map(e => e.outerHTML.slice(0, 80));
}"""

pytestmark = needs_chromium


@dataclass
class Opened:
    """The page in Chromium, with what it asked for and what went wrong."""

    page: Any
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def count_points(self, figure: str) -> dict[str, int]:
        """Count the points of each named trace in a figure's first row."""
        traces = self.page.evaluate(COUNT_POINTS, figure)
        return {name: length for name, length, axis in traces if axis == "y"}

    def read_column(self, table: int, column: int) -> list[str]:
        """Read a column of one of the sortable tables, the rows that are shown."""
        cells = f"table.sortable >> nth={table} >> tbody tr:not([hidden]) > :nth-child({column})"
        found: list[str] = self.page.locator(cells).all_inner_texts()
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, of this machine."""
    with run_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Opened:
    """The report, all of its figures drawn."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    found = Opened(page)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("pageerror", lambda error: found.faults.append(str(error)))
    page.on(
        "console",
        lambda line: found.faults.append(line.text) if line.type in ("error", "warning") else None,
    )
    page.goto(report.as_uri())
    page.wait_for_selector(DRAWN, state="attached", timeout=120_000)
    return found


def test_every_figure_has_its_points(opened: Opened) -> None:
    """A point a trial that has an epoch, one an epoch, three events, a band and a line a study."""
    key = "sweep-1"
    history = opened.count_points(f"{key}-history")
    assert history["complete"] + history["best"] == NUM_TRAINED
    assert history["pruned"] == 1
    assert opened.count_points(f"{key}-front")["best"] == 1
    curves = opened.count_points(f"{key}-curves")
    assert curves == {"training loss": EPOCHS, "validation loss": EPOCHS}
    outputs = opened.page.evaluate(COUNT_POINTS, f"{key}-outputs")
    assert {axis for _name, _length, axis in outputs} >= {"y", "y2"}
    assert opened.count_points("sweep-2-history")["dead"] == NUM_DEAD
    assert opened.count_points("sample-size")["net sample size"] > 0
    drawn = opened.page.locator("figure.drawn .plot .main-svg").count()
    assert drawn >= opened.page.locator("figure").count() >= 9


def test_the_three_metrics_can_be_read(opened: Opened, database: Database) -> None:
    """Of the best trial, with their intervals, as the database has them; a dead sweep says so."""
    best = database.read("net").ranked[0]
    score = get_trial_score(best)
    row = opened.page.locator("#architectures tbody tr").first.inner_text()
    efficiency = EFFICIENCY.measure(score)
    for number in (score.validation_loss, efficiency, *EFFICIENCY.compute_interval(score)):
        assert f"{number:.3g}"[:5] in row
    assert f"{FP_RATE.measure(score):.2f}"[:3] in row
    second = opened.page.locator("#architectures tbody tr").nth(1).inner_text()
    assert "dead" in second and "no feasible trial" in second


def test_no_request_leaves_the_machine(opened: Opened, report: Path) -> None:
    """The page asks for nothing but itself, and nothing goes wrong in it."""
    assert opened.requests == [report.as_uri()]
    assert opened.faults == []


def test_page_is_small(report: Path) -> None:
    """Below 5 MB with the plotting library in it."""
    assert 1e6 < report.stat().st_size < 5e6


def test_headings_are_in_order(opened: Opened) -> None:
    """One first heading; no level is left out on the way down; the four questions are there."""
    levels = opened.page.evaluate(
        "() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => +h.tagName[1])"
    )
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    titles = opened.page.locator("h2").all_inner_texts()
    assert titles == [
        "The data",
        "The architectures, side by side",
        "The tuning",
        "Sample size against efficiency",
        "How to have it again",
    ]


def test_every_figure_can_be_understood_without_seeing_it(opened: Opened) -> None:
    """It has a description, and a table of its own or the name of one that is on the page."""
    captions = set(opened.page.locator("caption").all_text_contents())
    figures = opened.page.evaluate(
        """() => [...document.querySelectorAll('figure')].map(f => [
            f.querySelector('[role=img]').getAttribute('aria-label'),
            f.querySelectorAll('table').length,
            (f.querySelector('figcaption').textContent.match(/“(.*)”/) || [])[1]])"""
    )
    for label, num_tables, named in figures:
        assert len(label) > 30
        assert num_tables == 1 or named in captions


def test_text_stands_out_from_its_ground(opened: Opened) -> None:
    """At least 4.5 to 1, as WCAG AA asks."""
    assert opened.page.evaluate(FIND_FAINT) == []


def test_table_is_sorted_by_click_and_by_keyboard(opened: Opened, database: Database) -> None:
    """Numbers as numbers, trials without one last; a second time turns the order round."""
    expected = sorted(
        epoch.validation_loss
        for trial in database.read("net").begun
        for epoch in [trial.best or trial.last]
        if epoch is not None
    )
    header = opened.page.locator("table.sortable >> nth=0 >> th >> nth=2")
    button = header.get_by_role("button", name="validation loss")
    button.click()
    assert header.get_attribute("aria-sort") == "ascending"
    losses = opened.read_column(0, 3)
    assert [float(text) for text in losses[:-1]] == pytest.approx(expected, rel=1e-3)
    assert losses[-1] == ""
    button.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    turned = opened.read_column(0, 3)
    assert [float(text) for text in turned[:-1]] == pytest.approx(expected[::-1], rel=1e-3)


def test_table_is_filtered_by_words(opened: Opened) -> None:
    """Only rows with every word stay, and their number is said."""
    box = opened.page.get_by_label("Filter “Every trial of net”")
    box.fill("pruned worse")
    assert opened.read_column(0, 2) == ["pruned"]
    said = opened.page.get_by_role("status").first
    assert said.inner_text() == f"1 of {3 + NUM_TRAINED} shown"
    box.fill("")
    assert len(opened.read_column(0, 2)) == 3 + NUM_TRAINED


def test_reason_of_a_failure_is_shown_as_text(opened: Opened) -> None:
    """The error of the traceback, with nothing in it taken for HTML."""
    assert "KeyError: '<b>no such layer</b>'" in opened.page.inner_text("#tuning")


def test_keyboard_comes_to_the_content_first(browser: Any, report: Path) -> None:
    """The first stop of Tab is a link past the contents, which shows once it is there."""
    page = browser.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    link = page.locator("a.skip:focus-visible")
    assert link.inner_text() == "Skip to the content"
    assert link.bounding_box()["x"] >= 0
    assert link.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "content"
    page.close()


def test_figures_fit_the_printed_page(opened: Opened) -> None:
    """They are drawn anew for the width of the paper, and back again."""
    widths = """() => [...new Set([...document.querySelectorAll('.plot .main-svg')]
        .map(svg => +svg.getAttribute('width')))]"""
    before = opened.page.evaluate(widths)
    opened.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert opened.page.evaluate(widths) == [690]
    opened.page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    opened.page.wait_for_function(f"() => String(({widths})()) === '{before[0]}'")


def test_small_screen_scrolls_only_down(browser: Any, opened: Opened) -> None:
    """At 400 pixels wide tables scroll within themselves, not the page."""
    opened.page.set_viewport_size({"width": 400, "height": 900})
    opened.page.wait_for_function(
        "() => document.querySelector('.plot .main-svg').getAttribute('width') < 400"
    )
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") == 400
    opened.page.set_viewport_size({"width": 1400, "height": 1000})


def test_page_can_be_read_without_javascript(
    browser: Any, report: Path, database: Database
) -> None:
    """Every figure says what it shows, and the table of all trials is a plain one."""
    page = browser.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    figures = page.locator("figure").count()
    assert page.locator("figure .fallback:visible").count() == figures
    table = page.locator("table.sortable").first
    assert table.locator("tbody tr").count() == len(database.read("net").begun)
    assert table.locator("button").count() == 0
    page.close()


def test_best_trial_can_be_drawn_as_a_page_of_its_own(
    browser: Any, database: Database, call: Callable[..., Any], tmp_path: Path
) -> None:
    """`sweep best --plot`: learning curves and sample outputs, both drawn."""
    options = ("--storage", database.url, "--artifacts", database.artifacts, "--sweep", "net")
    out = tmp_path / "best.html"
    assert call("best", *options, "--plot", out).code == 0
    page = browser.new_page()
    page.goto(out.as_uri())
    page.wait_for_selector(DRAWN, state="attached", timeout=60_000)
    assert page.locator("figure.drawn").count() == 2
    assert page.inner_text("h1").startswith("net, trial")
    page.close()

"""The two figures of the first page: small whatever the sweep, every kind of trial told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from made import make_epoch, make_row

from sweep.figures.cards import MAX_POINTS, draw_front, draw_metrics
from sweep.results.status import Status, read_status
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import COMPLETE, PRUNED
from sweep.trial.session import Session

MAX_BYTES = 20_000
Draw = Callable[[Status], go.Figure]


@pytest.fixture(scope="module")
def empty(make_session: Callable[..., Session]) -> Status:
    """The status of a sweep before its first trial; its first two are hand-tuned."""
    session = make_session()
    status = read_status(session.engine, session.sweep)
    return replace(status, config=status.config.model_copy(update={"num_hand_tuned": 2}))


def make_trial(slot: int, outcome: str, loss: float, found: int, false: int) -> TrialRow:
    """Make a finished trial."""
    epoch = replace(
        make_epoch(1, loss, found, false, true=100, events=100),
        pairs=found,
        residual_um=-7 * found,
        residual_um2=found * (4003 + 3 * slot),
        residual_um3=0,
        residual_um4=found * 10**8,
    )
    state, is_feasible = PRUNED if outcome == "pruned" else COMPLETE, outcome == "complete"
    return make_row(slot, epoch, state=state, outcome=outcome, feasible=is_feasible, params={})


def fill(empty: Status, trials: Sequence[TrialRow]) -> Status:
    """Give the status of the sweep when these trials are finished."""
    return replace(empty, begun=trials)


@pytest.fixture(scope="module")
def small(empty: Status) -> Status:
    """Two hand-tuned trials, one of them dead, then a pruned one and three good ones."""
    return fill(
        empty,
        [
            make_trial(0, "dead", 7.0, 40, 9000),
            make_trial(1, "complete", 0.06, 70, 2),
            make_trial(2, "pruned", 0.08, 60, 3),
            make_trial(3, "complete", 0.03, 90, 8),
            make_trial(4, "complete", 0.04, 85, 9),
        ],
    )


@pytest.fixture(scope="module")
def large(empty: Status) -> Status:
    """A thousand trials with numbers that do not round to little."""
    rng = np.random.default_rng(1)
    outcomes = rng.choice(["complete", "pruned", "dead"], 1000, p=[0.6, 0.3, 0.1])
    return fill(
        empty,
        [
            make_trial(
                slot,
                str(outcome),
                float(rng.uniform(0.028131, 0.0959)),
                int(rng.integers(50, 95)),
                int(rng.integers(1, 40)),
            )
            for slot, outcome in enumerate(outcomes)
        ],
    )


def list_points(figure: go.Figure, axis: str | None = None) -> dict[str, list[Any]]:
    """List the points of each group on an axis."""
    traces = [trace for trace in figure.data if axis is None or trace.yaxis == axis]
    return {trace.name: list(zip(trace.x or (), trace.y or (), strict=True)) for trace in traces}


def test_metrics_are_drawn_by_trial(small: Status) -> None:
    """Complete, pruned, dead and best apart, in three rows, with the null loss drawn in."""
    figure = draw_metrics(small)
    assert list_points(figure, "y") == {
        "pruned": [(2, 0.08)],
        "dead": [(0, 7.0)],
        "complete": [(1, 0.06), (4, 0.04)],
        "best": [(3, 0.03)],
        "best so far": [(1, 0.06), (3, 0.03), (4, 0.03)],
    }
    assert list_points(figure, "y2")["best"] == [(3, 0.9)]
    assert list_points(figure, "y3")["best"] == [(3, 0.08)]
    looks = {(t.marker.color, t.marker.symbol) for t in figure.data if t.yaxis == "y2"}
    assert len(looks) == 4
    (line,) = figure.layout.shapes
    assert line.y0 == pytest.approx(small.config.data.null_loss, rel=1e-3)
    assert figure.layout.annotations[0].text == "null loss"


def test_front_is_drawn_with_errors_and_hand_tuned_points(small: Status) -> None:
    """Nothing on the front is beaten in both; who lies beyond the axis is counted."""
    figure = draw_front(small)
    points = list_points(figure)
    assert points["front"] == [(0.02, 0.7), (0.08, 0.9)]
    assert points["best"] == [(0.08, 0.9)]
    assert points["hand-tuned (1 of 2 off the axis)"] == [(90.0, 0.4), (0.02, 0.7)]
    (best,) = (trace for trace in figure.data if trace.name == "best")
    assert 0 < best.error_y.array[0] < best.error_y.arrayminus[0] < 0.05
    assert 0 < best.error_x.arrayminus[0] < best.error_x.array[0] < 0.05


@pytest.mark.parametrize("draw", [draw_metrics, draw_front])
def test_card_of_a_thousand_trials_is_small(large: Status, draw: Draw) -> None:
    """It is sent whole at each refresh; the best ones are in it, and it says what it leaves out."""
    figure = draw(large)
    assert len(figure.to_json()) < MAX_BYTES
    points = list_points(figure, "y" if draw is draw_metrics else None)
    counted = {name: len(points[name]) for name in ("pruned", "dead", "complete", "best")}
    assert sum(counted.values()) == MAX_POINTS
    assert counted["best"] == 1
    assert min(counted["pruned"], counted["dead"]) > 0
    assert f"latest {MAX_POINTS} of 1000" in figure.layout.title.text


@pytest.mark.parametrize("draw", [draw_metrics, draw_front])
def test_card_of_an_empty_sweep_is_drawn(empty: Status, draw: Draw) -> None:
    """Before the first trial has finished."""
    assert all(not points for points in list_points(draw(empty)).values())

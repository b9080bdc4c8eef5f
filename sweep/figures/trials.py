"""Figures of trials: metrics by trial, front, learning curves, importance, architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from storage.epochs import Epoch, TrialRow
from sweep.figures.style import (
    BEST_COLOR,
    COLORS,
    EFFICIENCY_RANGE,
    SYMBOLS,
    finish,
    style_epoch_axis,
    style_loss_axis,
)
from sweep.metrics.score import Score, get_score
from sweep.results.best import get_epoch, get_number
from sweep.results.groups import Group, find_front, group_trials
from sweep.results.status import Status
from sweep.search.judgement import get_value, is_better
from sweep.wording import round_digits

FRONT_COLOR = "#4477aa"
HAND_TUNED_COLOR = "#117733"
MAX_TRIALS, MAX_CURVES = 1000, 100
"""Drawn as points, and as curves: half of them the best trials, then the latest."""
Interval = tuple[float, float]


def draw_history(status: Status) -> go.Figure:
    """Draw the three metrics by trial, the null loss, and the best of the objective so far."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
    losses: list[float] = []
    for group in group_trials(status, MAX_TRIALS):
        rated = [(get_number(trial), get_epoch(trial)) for trial in group.trials]
        losses += [epoch.validation_loss for _, epoch in rated]
        for row, values in enumerate(
            (
                [epoch.validation_loss for _, epoch in rated],
                [epoch.efficiency for _, epoch in rated],
                [epoch.fp_rate for _, epoch in rated],
            ),
            start=1,
        ):
            figure.add_trace(
                go.Scatter(
                    x=[number for number, _ in rated],
                    y=[round_digits(value) for value in values],
                    mode="markers",
                    name=group.name,
                    legendgroup=group.name,
                    showlegend=row == 1 and bool(rated),
                    marker=_style(group),
                ),
                row=row,
                col=1,
            )
    _add_best_so_far(figure, status)
    style_loss_axis(figure, losses, status.config.data.null_loss, row=1)
    figure.update_yaxes(title="validation loss", row=1, col=1)
    figure.update_yaxes(title="efficiency", range=EFFICIENCY_RANGE, row=2, col=1)
    figure.update_yaxes(title="FP / event", range=find_fp_range(status), row=3, col=1)
    figure.update_xaxes(title="trial", row=3, col=1)
    return finish(figure, height=620)


def _add_best_so_far(figure: go.Figure, status: Status) -> None:
    objective = status.config.search.objective
    numbers: list[int] = []
    values: list[float] = []
    for trial in sorted(status.ranked, key=get_number):
        value = get_value(get_epoch(trial), objective)
        if not values or is_better(value, values[-1], objective):
            numbers.append(get_number(trial))
            values.append(round_digits(value))
    if not values:
        return
    numbers.append(max(get_number(trial) for trial in status.begun))
    values.append(values[-1])
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=values,
            mode="lines",
            name="best so far",
            line={"color": BEST_COLOR, "shape": "hv", "width": 1.5},
        ),
        row=1 if objective == "validation_loss" else 2,
        col=1,
    )


def draw_front(status: Status) -> go.Figure:
    """Draw efficiency against FP rate with 68 % intervals, the front and the hand-tuned points."""
    figure = go.Figure()
    for group in group_trials(status, MAX_TRIALS):
        rated = [(get_number(t), get_score(get_epoch(t))) for t in group.trials]
        with_intervals = group.name in ("complete", "best")
        figure.add_trace(_make_points(group.name, rated, _style(group), with_intervals))
    front = find_front([get_epoch(trial) for trial in status.ranked])
    figure.add_trace(
        go.Scatter(
            x=[round_digits(epoch.fp_rate) for epoch in front],
            y=[round_digits(epoch.efficiency) for epoch in front],
            mode="lines",
            line={"color": FRONT_COLOR, "shape": "hv", "width": 1, "dash": "dot"},
            name="front",
        )
    )
    hand_tuned = [trial for trial in list_hand_tuned(status) if trial.best is not None]
    rated = [(get_number(trial), get_score(get_epoch(trial))) for trial in hand_tuned]
    circle = {"symbol": "circle-open", "size": 15, "color": HAND_TUNED_COLOR}
    figure.add_trace(_make_points("hand-tuned", rated, circle, with_intervals=False))
    figure.update_xaxes(title="false positives per event", range=find_fp_range(status))
    figure.update_yaxes(title="efficiency", range=EFFICIENCY_RANGE)
    return finish(figure, height=430)


def _make_points(
    name: str, rated: Sequence[tuple[int, Score]], marker: dict[str, object], with_intervals: bool
) -> go.Scatter:
    scores = [score for _, score in rated]
    rates = [(score.fp_rate, score.fp_rate_interval) for score in scores]
    efficiencies = [(score.efficiency, score.efficiency_interval) for score in scores]
    return go.Scatter(
        x=[round_digits(rate) for rate, _ in rates],
        y=[round_digits(efficiency) for efficiency, _ in efficiencies],
        error_x=draw_bars(rates) if with_intervals else None,
        error_y=draw_bars(efficiencies) if with_intervals else None,
        customdata=[number for number, _ in rated],
        hovertemplate="trial %{customdata}: %{y} at %{x} FP / event",
        mode="markers",
        name=name,
        showlegend=bool(rated),
        marker=marker,
    )


def draw_bars(values: Sequence[tuple[float, Interval]]) -> dict[str, object]:
    """Give the error bars of values with their intervals, as Plotly wants them."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [round_digits(high - value) for value, (_low, high) in values],
        "arrayminus": [round_digits(value - low) for value, (low, _high) in values],
        "thickness": 1,
        "width": 3,
    }


def list_hand_tuned(status: Status) -> list[TrialRow]:
    """List the trials that tried the settings of the hand-tuned report."""
    return [trial for trial in status.begun if trial.slot < status.config.num_hand_tuned]


def list_useful(status: Status) -> list[TrialRow]:
    """List the ranked trials whose loss is below the null loss."""
    null_loss = status.config.data.null_loss
    return [t for t in status.ranked if get_epoch(t).validation_loss < null_loss]


def find_fp_range(status: Status) -> list[float] | None:
    """Find the axis of FP rates that shows the networks worth comparing; None for all.

    A network with a loss above the null loss may have hundreds of false positives an event.
    """
    highs = [get_score(get_epoch(trial)).fp_rate_interval[1] for trial in list_useful(status)]
    return [-0.03 * max(highs), 1.1 * max(highs)] if highs else None


def draw_all_curves(status: Status, curves: Mapping[int, Sequence[Epoch]]) -> go.Figure:
    """Draw the validation loss by epoch of every trial, or of MAX_CURVES of them."""
    figure = go.Figure()
    losses: list[float] = []
    for group in group_trials(status, MAX_CURVES):
        for number, trial in enumerate(group.trials):
            curve = curves.get(trial.id, [])
            losses += [epoch.validation_loss for epoch in curve]
            figure.add_trace(
                go.Scatter(
                    x=[epoch.epoch for epoch in curve],
                    y=[round_digits(epoch.validation_loss, 4) for epoch in curve],
                    mode="lines+markers",
                    name=group.name,
                    legendgroup=group.name,
                    showlegend=number == 0,
                    line={"color": group.color, "width": 2.5 if group.name == "best" else 1},
                    marker={"symbol": group.symbol, "size": 5},
                    hovertemplate=f"trial {trial.number}, epoch %{{x}}: %{{y}}",
                )
            )
    style_loss_axis(figure, losses, status.config.data.null_loss)
    style_epoch_axis(figure, status.config.recipe.epochs)
    figure.update_yaxes(title="validation loss")
    figure.update_xaxes(title="epoch")
    return finish(figure, height=400)


def draw_importances(importances: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """Draw the importance of each hyperparameter for each metric, largest first."""
    figure = go.Figure()
    order: list[str] = []
    for (metric, found), color in zip(importances.items(), COLORS, strict=False):
        order = order or sorted(found, key=lambda name: found[name])
        figure.add_trace(
            go.Bar(
                y=order,
                x=[round_digits(found.get(name, 0.0), 3) for name in order],
                orientation="h",
                name=metric,
                marker={"color": color},
            )
        )
    figure.update_xaxes(title="importance (all together 1)", rangemode="tozero")
    return finish(figure, height=130 + 34 * len(order))


def draw_architectures(statuses: Sequence[Status]) -> go.Figure:
    """Draw efficiency against FP rate of each sweep's best trial, with 68 % intervals."""
    figure = go.Figure()
    for number, status in enumerate(statuses):
        score = get_score(get_epoch(status.ranked[0]))
        figure.add_trace(
            go.Scatter(
                x=[round_digits(score.fp_rate)],
                y=[round_digits(score.efficiency)],
                error_x=draw_bars([(score.fp_rate, score.fp_rate_interval)]),
                error_y=draw_bars([(score.efficiency, score.efficiency_interval)]),
                mode="markers",
                name=status.sweep.name,
                marker={
                    "color": COLORS[number % len(COLORS)],
                    "symbol": SYMBOLS[number % len(SYMBOLS)],
                    "size": 11,
                },
                hovertemplate="%{y} at %{x} FP / event",
            )
        )
    useful = [status for status in statuses if list_useful(status)[:1] == [status.ranked[0]]]
    scores = [get_score(get_epoch(status.ranked[0])) for status in useful or statuses]
    figure.update_xaxes(
        title="false positives per event",
        range=_find_range([score.fp_rate_interval for score in scores]),
    )
    figure.update_yaxes(
        title="efficiency", range=_find_range([score.efficiency_interval for score in scores])
    )
    return finish(figure, height=400)


def _find_range(intervals: Sequence[Interval]) -> list[float]:
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    pad = 0.1 * (high - low)
    return [low - pad, high + pad]


def _style(group: Group) -> dict[str, object]:
    return {"color": group.color, "symbol": group.symbol, "size": group.size}

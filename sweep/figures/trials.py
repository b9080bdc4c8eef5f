"""Figures of trials: metrics by trial, front, learning curves, importance, architectures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sweep.figures.colors import BEST_COLOR, COLORS, FRONT_COLOR, HAND_TUNED_COLOR
from sweep.figures.groups import Group, find_front, group_trials
from sweep.figures.style import (
    ROW_HEIGHT,
    SHARE_RANGE,
    SPACING,
    SYMBOLS,
    find_rate_range,
    finish,
    style_epoch_axis,
    style_loss_axis,
    style_metric_axis,
)
from sweep.metrics.score import Score, get_score
from sweep.metrics.table import EFFICIENCY, FP_RATE, OBJECTIVES, Metric
from sweep.metrics.wording import round_digits
from sweep.metrics.writing import list_known
from sweep.results.best import get_epoch, get_number, get_trial_score, list_records
from sweep.results.status import Status
from sweep.storage.epochs import Curves, TrialRow

MAX_TRIALS, MAX_CURVES = 1000, 100
"""Drawn as points, and as curves: half of them the best trials, then the latest."""


def draw_history(status: Status, max_trials: int = MAX_TRIALS) -> go.Figure:
    """Draw the metrics by trial, the null loss, and the best of the objective so far."""
    groups = group_trials(status, max_trials)
    scores = [get_trial_score(trial) for group in groups for trial in group.trials]
    metrics = list_known(scores)
    figure = make_subplots(rows=len(metrics), cols=1, shared_xaxes=True, vertical_spacing=SPACING)
    for group in groups:
        rated = _rate(group.trials)
        for row, metric in enumerate(metrics, start=1):
            figure.add_trace(
                go.Scatter(
                    x=[number for number, _ in rated],
                    y=[round_digits(metric.measure(score)) for _, score in rated],
                    mode="markers",
                    name=group.name,
                    legendgroup=group.name,
                    showlegend=row == 1 and bool(rated),
                    marker=_style(group),
                ),
                row=row,
                col=1,
            )
    _add_best_so_far(figure, status, metrics)
    null_loss, useful = status.config.data.null_loss, _list_useful_scores(status)
    for row, metric in enumerate(metrics, start=1):
        style_metric_axis(figure, metric, scores, null_loss, row=row, shown=useful)
    figure.update_xaxes(title="trial", row=len(metrics), col=1)
    return finish(figure, height=110 + ROW_HEIGHT * len(metrics))


def _add_best_so_far(figure: go.Figure, status: Status, metrics: Sequence[Metric]) -> None:
    records = list_records(status)
    if not records:
        return
    numbers, values = map(list, zip(*records, strict=True))
    numbers.append(max(get_number(trial) for trial in status.begun))
    values.append(values[-1])
    figure.add_trace(
        go.Scatter(
            x=numbers,
            y=[round_digits(value) for value in values],
            mode="lines",
            name="best so far",
            line={"color": BEST_COLOR, "shape": "hv", "width": 1.5},
        ),
        row=1 + metrics.index(OBJECTIVES[status.config.search.objective]),
        col=1,
    )


def draw_front(status: Status, max_trials: int = MAX_TRIALS) -> go.Figure:
    """Draw efficiency against FP rate with 68 % intervals, the front and the hand-tuned points."""
    figure = go.Figure()
    for group in group_trials(status, max_trials):
        figure.add_trace(
            _make_points(group.name, _rate(group.trials), _style(group), group.is_complete)
        )
    front = find_front([get_trial_score(trial) for trial in status.ranked])
    figure.add_trace(
        go.Scatter(
            x=[round_digits(fp_rate) for fp_rate, _efficiency in front],
            y=[round_digits(efficiency) for _fp_rate, efficiency in front],
            mode="lines",
            line={"color": FRONT_COLOR, "shape": "hv", "width": 1, "dash": "dot"},
            name="front",
        )
    )
    fp_range = find_rate_range(FP_RATE, _list_useful_scores(status))
    figure.add_trace(_draw_hand_tuned(status, fp_range))
    figure.update_xaxes(title=FP_RATE.title, range=fp_range)
    figure.update_yaxes(title=EFFICIENCY.title, range=_find_efficiency_range(status, fp_range))
    return finish(figure, height=430)


def _draw_hand_tuned(status: Status, fp_range: Sequence[float] | None) -> go.Scatter:
    """Mark the trials whose settings were tuned by hand, and say how many lie beyond the axis."""
    rated = _rate([trial for trial in list_hand_tuned(status) if trial.best is not None])
    beyond = sum(fp_range is not None and FP_RATE.measure(s) > fp_range[1] for _, s in rated)
    name = f"hand-tuned ({beyond} of {len(rated)} off the axis)" if beyond else "hand-tuned"
    circle = {"symbol": "circle-open", "size": 15, "color": HAND_TUNED_COLOR}
    return _make_points(name, rated, circle, with_intervals=False)


def _find_efficiency_range(status: Status, fp_range: Sequence[float] | None) -> list[float]:
    """Find the axis of efficiencies that shows what is on the axis of FP rates, but dead ones."""
    scores = [
        get_score(trial.best)
        for trial in status.begun
        if trial.best is not None and trial.outcome != "dead"
    ]
    shown = [
        EFFICIENCY.measure(score)
        for score in scores
        if fp_range is not None and FP_RATE.measure(score) <= fp_range[1]
    ]
    if not shown:
        return SHARE_RANGE
    return [round_digits(min(shown) - 0.05), round_digits(min(1.03, max(shown) + 0.05))]


def _rate(trials: Sequence[TrialRow]) -> list[tuple[int, Score]]:
    return [(get_number(trial), get_trial_score(trial)) for trial in trials]


def _make_points(
    name: str, rated: Sequence[tuple[int, Score]], marker: dict[str, object], with_intervals: bool
) -> go.Scatter:
    scores = [score for _, score in rated]
    return go.Scatter(
        x=_list_values(FP_RATE, scores),
        y=_list_values(EFFICIENCY, scores),
        error_x=_draw_bars(FP_RATE, scores) if with_intervals else None,
        error_y=_draw_bars(EFFICIENCY, scores) if with_intervals else None,
        customdata=[number for number, _ in rated],
        hovertemplate="trial %{customdata}: %{y} at %{x} FP / event",
        mode="markers",
        name=name,
        showlegend=bool(rated),
        marker=marker,
    )


def _list_values(metric: Metric, scores: Sequence[Score]) -> list[float]:
    return [round_digits(metric.measure(score)) for score in scores]


def _draw_bars(metric: Metric, scores: Sequence[Score]) -> dict[str, object]:
    """Give the error bars of a metric with an interval, as Plotly wants them."""
    ends = [
        (metric.measure(score), metric.compute_interval(score) or (math.nan, math.nan))
        for score in scores
    ]
    return {
        "type": "data",
        "symmetric": False,
        "array": [round_digits(high - value, 3) for value, (_low, high) in ends],
        "arrayminus": [round_digits(value - low, 3) for value, (low, _high) in ends],
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


def _list_useful_scores(status: Status) -> list[Score]:
    return [get_trial_score(trial) for trial in list_useful(status)]


def draw_all_curves(status: Status, curves: Curves) -> go.Figure:
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
                    y=[round_digits(epoch.validation_loss) for epoch in curve],
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
        best = status.ranked[0]
        marker = {
            "color": COLORS[number % len(COLORS)],
            "symbol": SYMBOLS[number % len(SYMBOLS)],
            "size": 11,
        }
        figure.add_trace(_make_points(status.title, _rate([best]), marker, with_intervals=True))
    useful = [status for status in statuses if list_useful(status)[:1] == [status.ranked[0]]]
    scores = [get_trial_score(status.ranked[0]) for status in useful or statuses]
    figure.update_xaxes(title=FP_RATE.title, range=_find_range(FP_RATE, scores))
    figure.update_yaxes(title=EFFICIENCY.title, range=_find_range(EFFICIENCY, scores))
    return finish(figure, height=400)


def _find_range(metric: Metric, scores: Sequence[Score]) -> list[float]:
    intervals = [ends for ends in map(metric.compute_interval, scores) if ends is not None]
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    pad = 0.1 * (high - low)
    return [low - pad, high + pad]


def _style(group: Group) -> dict[str, object]:
    return {"color": group.color, "symbol": group.symbol, "size": group.size}

"""The two figures on the dashboard's first page: the metrics by trial, efficiency against FP rate.

They are kept in the database as text and sent whole at every refresh, so they stay below 20 kB:
rounded numbers, a bare template, and at most MAX_POINTS trials.
"""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sweep.figures.trials import draw_bars
from sweep.metrics.score import Score, get_score
from sweep.metrics.table import EFFICIENCY, FP_RATE, Metric
from sweep.metrics.writing import list_known
from sweep.results.best import get_epoch
from sweep.results.groups import MAX_POINTS, find_front, group_trials
from sweep.results.status import Status

DECADES = (0.001, 0.01, 0.1, 1, 10, 100)
FINE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
METRICS_CARD = "metrics-by-trial"
FRONT_CARD = "efficiency-against-fp-rate"
WITH_INTERVALS = ("complete", "best")
"""Groups whose 68 % intervals are drawn; those of all would hide them."""


def draw_metrics(status: Status) -> go.Figure:
    """Draw the metrics by trial, with the null loss."""
    groups = group_trials(status)
    scores = [get_score(get_epoch(trial)) for group in groups for trial in group.trials]
    metrics = list_known(scores)
    figure = make_subplots(rows=len(metrics), cols=1, shared_xaxes=True, vertical_spacing=0.04)
    for group in groups:
        rated = [(trial.number, get_score(get_epoch(trial))) for trial in group.trials]
        for row, metric in enumerate(metrics, start=1):
            figure.add_trace(
                go.Scatter(
                    x=[number for number, _ in rated],
                    y=[_round(metric.measure(score)) for _, score in rated],
                    mode="markers",
                    name=group.name,
                    legendgroup=group.name,
                    showlegend=row == 1,
                    marker={"color": group.color, "symbol": group.symbol, "size": group.size},
                ),
                row=row,
                col=1,
            )
    for row, metric in enumerate(metrics, start=1):
        _style_axis(figure, metric, status, scores, row)
    figure.update_xaxes(title="trial", row=len(metrics), col=1)
    return _finish(figure, f"The metrics by trial{_say_part(status)}")


def _style_axis(
    figure: go.Figure, metric: Metric, status: Status, scores: Sequence[Score], row: int
) -> None:
    figure.update_yaxes(title=metric.head, row=row, col=1)
    if metric.axis == "log":
        null_loss = _round(status.config.data.null_loss)
        line = {"color": "#888", "dash": "dash"}
        figure.add_hline(null_loss, row=row, col=1, line=line, annotation_text="null loss")
        values = [null_loss, *map(metric.measure, scores)]
        ticks = FINE_TICKS if max(values) < 30 * min(values) else DECADES
        figure.update_yaxes(type="log", tickvals=list(ticks), row=row, col=1)
    elif metric.axis == "share":
        figure.update_yaxes(range=[-0.04, 1.04], row=row, col=1)
    elif metric.axis == "rate":
        figure.update_yaxes(range=_find_rate_range(metric, status), row=row, col=1)
    elif metric.axis == "width":
        figure.update_yaxes(rangemode="tozero", row=row, col=1)


def draw_front(status: Status) -> go.Figure:
    """Draw efficiency against FP rate with 68 % intervals, the front, and the hand-tuned points."""
    figure = go.Figure()
    for group in group_trials(status):
        rated = [
            (trial.number, get_score(trial.best))
            for trial in group.trials
            if trial.best is not None and trial.best.found
        ]
        scores = [score for _, score in rated]
        trace = go.Scatter(
            x=_list_values(FP_RATE, scores),
            y=_list_values(EFFICIENCY, scores),
            customdata=[number for number, _ in rated],
            hovertemplate="trial %{customdata}: %{y} at %{x} FP / event",
            mode="markers",
            name=group.name,
            marker={"color": group.color, "symbol": group.symbol, "size": group.size},
        )
        if group.name in WITH_INTERVALS:
            thin = {"thickness": 0.6, "width": 0}
            trace.error_x = draw_bars(FP_RATE, scores, 2) | thin
            trace.error_y = draw_bars(EFFICIENCY, scores, 2) | thin
        figure.add_trace(trace)
    front = find_front([get_score(get_epoch(trial)) for trial in status.ranked])
    figure.add_trace(
        go.Scatter(
            x=[_round(fp_rate) for fp_rate, _efficiency in front],
            y=[_round(efficiency) for _fp_rate, efficiency in front],
            mode="lines",
            line={"color": "#1f77b4", "shape": "hv", "width": 1},
            name="front",
        )
    )
    fp_range = _find_rate_range(FP_RATE, status)
    figure.add_trace(_draw_hand_tuned(status, fp_range))
    figure.update_xaxes(title=FP_RATE.title, range=fp_range)
    figure.update_yaxes(title=EFFICIENCY.title, range=_find_efficiency_range(status, fp_range))
    return _finish(figure, f"Efficiency against FP rate{_say_part(status)}")


def _list_values(metric: Metric, scores: Sequence[Score]) -> list[float]:
    return [_round(metric.measure(score)) for score in scores]


def _draw_hand_tuned(status: Status, fp_range: Sequence[float] | None) -> go.Scatter:
    """Mark the trials whose settings were tuned by hand, and say how many lie beyond the axis."""
    scores = [
        get_score(trial.best)
        for trial in status.begun
        if trial.slot < status.config.num_hand_tuned and trial.best is not None
    ]
    beyond = sum(fp_range is not None and FP_RATE.measure(s) > fp_range[1] for s in scores)
    return go.Scatter(
        x=_list_values(FP_RATE, scores),
        y=_list_values(EFFICIENCY, scores),
        mode="markers",
        name=f"hand-tuned ({beyond} of {len(scores)} off the axis)" if beyond else "hand-tuned",
        marker={"symbol": "circle-open", "size": 14, "color": "#2ca02c"},
    )


def _find_rate_range(metric: Metric, status: Status) -> list[float] | None:
    """Find the axis of a rate that shows the networks worth comparing.

    A network that is no better than predicting zero may have hundreds of false positives an
    event; it lies beyond the axis until somebody zooms out.
    """
    rates = [metric.measure(get_score(get_epoch(trial))) for trial in status.ranked]
    highest = max(0.05, 1.5 * max(rates, default=0.0))
    return [-0.03 * highest, highest] if rates else None


def _find_efficiency_range(status: Status, fp_range: Sequence[float] | None) -> list[float] | None:
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
    return [_round(min(shown) - 0.05), _round(min(1.02, max(shown) + 0.05))] if shown else None


def _say_part(status: Status) -> str:
    """Say in a title which trials are shown where they are not all."""
    rated = sum(trial.best is not None for trial in status.begun)
    return f" (the best and latest {MAX_POINTS} of {rated})" if rated > MAX_POINTS else ""


def _finish(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 14}, "x": 0.02, "xanchor": "left", "y": 0.97},
        margin={"l": 60, "r": 20, "t": 40, "b": 45},
        legend={"orientation": "h", "y": -0.2, "x": 0.5, "xanchor": "center", "yanchor": "top"},
    )
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(zeroline=False)
    return figure


def _round(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")

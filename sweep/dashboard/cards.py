"""The two figures on the dashboard's first page: the metrics by trial, efficiency against FP rate.

They are kept in the database as text and sent whole at every refresh, so they stay below 20 kB:
rounded numbers, a bare template, and at most MAX_POINTS trials.
"""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from storage.epochs import Epoch
from sweep.metrics.score import get_score
from sweep.results.groups import MAX_POINTS, find_front, group_trials
from sweep.results.status import Status

DECADES = (0.001, 0.01, 0.1, 1, 10, 100)
FINE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
METRICS_CARD = "metrics-by-trial"
FRONT_CARD = "efficiency-against-fp-rate"
WITH_INTERVALS = ("complete", "best")
"""Groups whose 68 % intervals are drawn; those of all would hide them."""


def draw_metrics(status: Status) -> go.Figure:
    """Draw validation loss, efficiency and FP rate by trial, with the null loss."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    losses = [status.config.data.null_loss]
    for group in group_trials(status):
        rated = [(trial.number, trial.best) for trial in group.trials if trial.best is not None]
        losses += [epoch.validation_loss for _, epoch in rated]
        for row, values in enumerate(
            (
                [_round(epoch.validation_loss) for _, epoch in rated],
                [_round(epoch.efficiency) for _, epoch in rated],
                [_round(epoch.fp_rate) for _, epoch in rated],
            ),
            start=1,
        ):
            figure.add_trace(
                go.Scatter(
                    x=[number for number, _ in rated],
                    y=values,
                    mode="markers",
                    name=group.name,
                    legendgroup=group.name,
                    showlegend=row == 1,
                    marker={"color": group.color, "symbol": group.symbol, "size": group.size},
                ),
                row=row,
                col=1,
            )
    null_loss = _round(status.config.data.null_loss)
    figure.add_hline(
        null_loss, row=1, col=1, line={"color": "#888", "dash": "dash"}, annotation_text="null loss"
    )
    ticks = FINE_TICKS if max(losses) < 30 * min(losses) else DECADES
    figure.update_yaxes(type="log", tickvals=list(ticks), title="loss", row=1, col=1)
    figure.update_yaxes(range=[-0.04, 1.04], title="efficiency", row=2, col=1)
    figure.update_yaxes(range=_find_fp_range(status), title="FP / event", row=3, col=1)
    figure.update_xaxes(title="trial", row=3, col=1)
    return _finish(figure, f"Validation loss, efficiency, FP rate by trial{_say_part(status)}")


def draw_front(status: Status) -> go.Figure:
    """Draw efficiency against FP rate with 68 % intervals, the front, and the hand-tuned points."""
    figure = go.Figure()
    for group in group_trials(status):
        rated = [
            (trial.number, get_score(trial.best))
            for trial in group.trials
            if trial.best is not None and trial.best.found
        ]
        trace = go.Scatter(
            x=[_round(score.fp_rate) for _, score in rated],
            y=[_round(score.efficiency) for _, score in rated],
            customdata=[number for number, _ in rated],
            hovertemplate="trial %{customdata}: %{y} at %{x} FP / event",
            mode="markers",
            name=group.name,
            marker={"color": group.color, "symbol": group.symbol, "size": group.size},
        )
        if group.name in WITH_INTERVALS:
            scores = [score for _, score in rated]
            trace.error_x = _draw_intervals([(s.fp_rate, s.fp_rate_interval) for s in scores])
            trace.error_y = _draw_intervals([(s.efficiency, s.efficiency_interval) for s in scores])
        figure.add_trace(trace)
    front = find_front([trial.best for trial in status.ranked if trial.best is not None])
    figure.add_trace(
        go.Scatter(
            x=[_round(epoch.fp_rate) for epoch in front],
            y=[_round(epoch.efficiency) for epoch in front],
            mode="lines",
            line={"color": "#1f77b4", "shape": "hv", "width": 1},
            name="front",
        )
    )
    fp_range = _find_fp_range(status)
    figure.add_trace(_draw_hand_tuned(status, fp_range))
    figure.update_xaxes(title="false positives per event", range=fp_range)
    figure.update_yaxes(title="efficiency", range=_find_efficiency_range(status, fp_range))
    return _finish(figure, f"Efficiency against FP rate{_say_part(status)}")


def _draw_hand_tuned(status: Status, fp_range: Sequence[float] | None) -> go.Scatter:
    """Mark the trials whose settings were tuned by hand, and say how many lie beyond the axis."""
    epochs: list[Epoch] = [
        trial.best
        for trial in status.begun
        if trial.slot < status.config.num_hand_tuned and trial.best is not None
    ]
    beyond = sum(fp_range is not None and epoch.fp_rate > fp_range[1] for epoch in epochs)
    return go.Scatter(
        x=[_round(epoch.fp_rate) for epoch in epochs],
        y=[_round(epoch.efficiency) for epoch in epochs],
        mode="markers",
        name=f"hand-tuned ({beyond} of {len(epochs)} off the axis)" if beyond else "hand-tuned",
        marker={"symbol": "circle-open", "size": 14, "color": "#2ca02c"},
    )


def _find_fp_range(status: Status) -> list[float] | None:
    """Find the axis of FP rates that shows the networks worth comparing.

    A network that is no better than predicting zero may have hundreds of false positives an
    event; it lies beyond the axis until somebody zooms out.
    """
    rates = [trial.best.fp_rate for trial in status.ranked if trial.best is not None]
    highest = max(0.05, 1.5 * max(rates, default=0.0))
    return [-0.03 * highest, highest] if rates else None


def _find_efficiency_range(status: Status, fp_range: Sequence[float] | None) -> list[float] | None:
    """Find the axis of efficiencies that shows what is on the axis of FP rates, but dead ones."""
    shown = [
        trial.best.efficiency
        for trial in status.begun
        if trial.best is not None
        and trial.outcome != "dead"
        and fp_range is not None
        and trial.best.fp_rate <= fp_range[1]
    ]
    return [_round(min(shown) - 0.05), _round(min(1.02, max(shown) + 0.05))] if shown else None


def _say_part(status: Status) -> str:
    """Say in a title which trials are shown where they are not all."""
    rated = sum(trial.best is not None for trial in status.begun)
    return f" (the best and latest {MAX_POINTS} of {rated})" if rated > MAX_POINTS else ""


def _draw_intervals(values: Sequence[tuple[float, tuple[float, float]]]) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [_round(high - value, 2) for value, (_low, high) in values],
        "arrayminus": [_round(value - low, 2) for value, (low, _high) in values],
        "thickness": 0.6,
        "width": 0,
    }


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

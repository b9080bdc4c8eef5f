"""The two figures on the dashboard's first page: the metrics by trial, efficiency against FP rate.

They are kept in the database as text and sent whole at every refresh, so they stay small: rounded
numbers, a bare template, and at most MAX_POINTS trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from storage.epochs import Epoch, TrialRow
from storage.sweeps import PRUNED
from sweep.results.scores import get_score
from sweep.results.status import Status

MAX_POINTS = 300
"""Trials in a figure: the best, then the latest. With 300 a card takes about 15 kB."""
LOSS_TICKS = (0.01, 0.02, 0.05, 0.1, 1, 10, 100)
METRICS_CARD = "metrics-by-trial"
FRONT_CARD = "efficiency-against-fp-rate"


@dataclass(frozen=True)
class Group:
    """Trials that are drawn alike."""

    name: str
    color: str
    symbol: str
    size: int
    trials: Sequence[TrialRow]


def draw_metrics(status: Status) -> go.Figure:
    """Draw validation loss, efficiency and FP rate by trial, with the null loss."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for group in group_trials(status):
        rated = [(trial.number, trial.best) for trial in group.trials if trial.best is not None]
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
    figure.update_yaxes(
        type="log", tickvals=list(LOSS_TICKS), title="validation loss", row=1, col=1
    )
    figure.update_yaxes(range=[0, 1], title="efficiency", row=2, col=1)
    figure.update_yaxes(range=get_fp_range(status), title="FP / event", row=3, col=1)
    figure.update_xaxes(title="trial", row=3, col=1)
    return _finish(figure, "Validation loss, efficiency and FP rate by trial")


def draw_front(status: Status) -> go.Figure:
    """Draw efficiency against FP rate with 68 % intervals, the front, and the hand-tuned points."""
    figure = go.Figure()
    for group in group_trials(status):
        rated = [
            (trial, get_score(trial.best))
            for trial in group.trials
            if trial.best is not None and trial.best.found
        ]
        efficiencies = [(score.efficiency, score.efficiency_interval) for _, score in rated]
        rates = [(score.fp_rate, score.fp_rate_interval) for _, score in rated]
        figure.add_trace(
            go.Scatter(
                x=[_round(rate) for rate, _ in rates],
                y=[_round(efficiency) for efficiency, _ in efficiencies],
                error_x=_draw_intervals(rates),
                error_y=_draw_intervals(efficiencies),
                text=[f"trial {trial.number}" for trial, _ in rated],
                mode="markers",
                name=group.name,
                marker={"color": group.color, "symbol": group.symbol, "size": group.size},
            )
        )
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
    hand_tuned = [
        trial.best
        for trial in status.begun
        if trial.slot < status.config.num_hand_tuned and trial.best is not None
    ]
    figure.add_trace(
        go.Scatter(
            x=[_round(epoch.fp_rate) for epoch in hand_tuned],
            y=[_round(epoch.efficiency) for epoch in hand_tuned],
            mode="markers",
            name="hand-tuned",
            marker={"symbol": "circle-open", "size": 14, "color": "#2ca02c"},
        )
    )
    figure.update_xaxes(title="false positives per event", range=get_fp_range(status))
    figure.update_yaxes(title="efficiency")
    return _finish(figure, "Efficiency against FP rate")


def get_fp_range(status: Status) -> list[float] | None:
    """Give the axis of FP rates that shows the networks worth comparing.

    A network that is no better than predicting zero may have hundreds of false positives an
    event; it lies beyond the axis until somebody zooms out.
    """
    rates = [trial.best.fp_rate for trial in status.ranked if trial.best is not None]
    return [0.0, max(0.05, 1.5 * max(rates))] if rates else None


def group_trials(status: Status) -> list[Group]:
    """Tell finished trials apart: complete, pruned, dead, and the best one.

    Returns:
        The groups in drawing order; together at most MAX_POINTS trials.
    """
    best = status.ranked[0] if status.ranked else None
    order = [*status.ranked, *sorted(status.begun, key=lambda trial: -trial.slot)]
    kept = {trial.id: trial for trial in order if trial.best is not None}
    shown = sorted(list(kept.values())[:MAX_POINTS], key=lambda trial: trial.slot)
    dead = [trial for trial in shown if trial.outcome == "dead"]
    pruned = [trial for trial in shown if trial.state == PRUNED and trial.outcome != "dead"]
    complete = [trial for trial in shown if trial.feasible and best and trial.id != best.id]
    return [
        Group("pruned", "#bbbbbb", "circle", 6, pruned),
        Group("dead", "#d62728", "x", 6, dead),
        Group("complete", "#1f77b4", "circle", 7, complete),
        Group("best", "#ff7f0e", "star", 13, [best] if best else []),
    ]


def find_front(epochs: Sequence[Epoch]) -> list[Epoch]:
    """Find those that no other beats in both efficiency and FP rate, by rising FP rate."""
    front: list[Epoch] = []
    for epoch in sorted(epochs, key=lambda e: (e.fp_rate, -e.efficiency)):
        if not front or epoch.efficiency > front[-1].efficiency:
            front.append(epoch)
    return front


def _draw_intervals(values: Sequence[tuple[float, tuple[float, float]]]) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [_round(high - value) for value, (_low, high) in values],
        "arrayminus": [_round(value - low) for value, (low, _high) in values],
        "thickness": 0.6,
        "width": 0,
    }


def _finish(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 15}, "x": 0.02, "xanchor": "left", "y": 0.97},
        margin={"l": 60, "r": 20, "t": 75, "b": 45},
        legend={"orientation": "h", "y": 1.02, "x": 1, "xanchor": "right", "yanchor": "bottom"},
    )
    return figure


def _round(value: float) -> float:
    return float(f"{value:.4g}")

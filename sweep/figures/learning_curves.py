"""Draws a trial's learning curves: the losses beside the null loss, and the other metrics."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sweep.figures.colors import COLORS
from sweep.figures.style import (
    ROW_HEIGHT,
    SPACING,
    finish,
    style_epoch_axis,
    style_loss_axis,
    style_metric_axis,
)
from sweep.metrics.score import get_score
from sweep.metrics.wording import round_digits
from sweep.metrics.writing import list_known
from sweep.storage.tables import Epoch


def draw_learning_curves(curve: Sequence[Epoch], null_loss: float) -> go.Figure:
    """Draw the training loss and the metrics of one trial by epoch."""
    scores = [get_score(epoch) for epoch in curve]
    metrics = list_known(scores)
    figure = make_subplots(rows=len(metrics), cols=1, shared_xaxes=True, vertical_spacing=SPACING)
    lines = [(1, "training loss", [epoch.train_loss for epoch in curve], "circle-open")]
    lines += [
        (row, metric.label, [metric.measure(score) for score in scores], "circle")
        for row, metric in enumerate(metrics, start=1)
    ]
    for (row, name, values, symbol), color in zip(lines, COLORS, strict=False):
        figure.add_trace(
            go.Scatter(
                x=[epoch.epoch for epoch in curve],
                y=[round_digits(value) for value in values],
                mode="lines+markers",
                name=name,
                marker={"color": color, "symbol": symbol},
            ),
            row=row,
            col=1,
        )
    for row, metric in enumerate(metrics[1:], start=2):
        style_metric_axis(figure, metric, scores, null_loss, row=row)
    losses = [loss for epoch in curve for loss in (epoch.train_loss, epoch.validation_loss)]
    style_loss_axis(figure, losses, null_loss, row=1)
    figure.update_yaxes(title="loss per event", row=1, col=1)
    figure.update_xaxes(title="epoch", row=len(metrics), col=1)
    style_epoch_axis(figure, len(curve))
    return finish(figure, height=70 + ROW_HEIGHT * len(metrics))

"""Draws a trial's learning curves: the losses beside the null loss, efficiency, and FP rate."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from storage.epochs import Epoch
from sweep.figures.style import (
    COLORS,
    EFFICIENCY_RANGE,
    finish,
    style_epoch_axis,
    style_loss_axis,
)
from sweep.wording import round_digits


def draw_learning_curves(curve: Sequence[Epoch], null_loss: float) -> go.Figure:
    """Draw training and validation loss, efficiency and FP rate of one trial by epoch."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
    epochs = [epoch.epoch for epoch in curve]
    for row, name, values, color, symbol in (
        (1, "training loss", [epoch.train_loss for epoch in curve], COLORS[0], "circle-open"),
        (1, "validation loss", [epoch.validation_loss for epoch in curve], COLORS[1], "circle"),
        (2, "efficiency", [epoch.efficiency for epoch in curve], COLORS[2], "circle"),
        (3, "FP / event", [epoch.fp_rate for epoch in curve], COLORS[3], "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                x=epochs,
                y=[round_digits(value) for value in values],
                mode="lines+markers",
                name=name,
                marker={"color": color, "symbol": symbol},
            ),
            row=row,
            col=1,
        )
    losses = [loss for epoch in curve for loss in (epoch.train_loss, epoch.validation_loss)]
    style_loss_axis(figure, losses, null_loss, row=1)
    figure.update_yaxes(title="loss per event", row=1, col=1)
    figure.update_yaxes(title="efficiency", range=EFFICIENCY_RANGE, row=2, col=1)
    figure.update_yaxes(title="FP / event", rangemode="tozero", row=3, col=1)
    figure.update_xaxes(title="epoch", row=3, col=1)
    style_epoch_axis(figure, len(curve))
    return finish(figure, height=520)

"""How all figures look: small in bytes, legible in print, told apart without colour."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from sweep.figures.colors import AXIS_COLOR, GRID_COLOR, NULL_COLOR
from sweep.metrics.score import Score
from sweep.metrics.table import Metric

MAX_TICKS = 7
SHARE_RANGE = [-0.03, 1.03]
ROW_HEIGHT, SPACING = 170, 0.05
"""Of a row of a figure with one metric each: pixels, and the share between two."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


def finish(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure the page's look and a height in pixels; its width is the page's.

    The whole layout is set at once: Plotly takes ten times as long to change it key by key.
    """
    layout: dict[str, Any] = {"xaxis": {}, "yaxis": {}, **figure.layout.to_plotly_json()}
    axis = {"linecolor": AXIS_COLOR, "gridcolor": GRID_COLOR, "zeroline": False, "showline": True}
    look: dict[str, dict[str, Any]] = {
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "margin": {"l": 62, "r": 16, "t": 50, "b": 50},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    for name in layout:
        if re.fullmatch("[xy]axis[0-9]*", name):
            look[name] = {**axis, "ticks": "outside", "automargin": True}
    for name, settings in look.items():
        layout[name] = {**layout.get(name, {}), **settings}
    figure.layout = {**layout, "template": "none", "height": height, "autosize": True}
    return figure


def style_loss_axis(
    figure: go.Figure, values: Sequence[float], null_loss: float, row: int | None = None
) -> None:
    """Give an axis of losses a log scale with plain ticks, and draw the null loss.

    Args:
        figure: With subplots where a row is given.
    """
    place = {} if row is None else {"row": row, "col": 1}
    logs = [math.log10(value) for value in (*values, null_loss) if value > 0]
    low, high = min(logs), max(logs)
    pad = 0.08 * max(high - low, 0.5)
    ticks = list_ticks(low - pad, high + pad)
    figure.update_yaxes(
        type="log",
        range=[round(low - pad, 3), round(high + pad, 3)],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        **place,
    )
    figure.add_hline(null_loss, line={"color": NULL_COLOR, "dash": "dash", "width": 1}, **place)
    figure.add_annotation(
        text="null loss",
        font={"color": NULL_COLOR},
        showarrow=False,
        x=1,
        xref="x domain",
        xanchor="right",
        y=math.log10(null_loss),
        yanchor="bottom",
        **place,
    )


def list_ticks(low: float, high: float) -> list[float]:
    """List round numbers between two powers of ten, at most MAX_TICKS where decades do."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) <= MAX_TICKS:
            break
    return ticks


def style_metric_axis(
    figure: go.Figure,
    metric: Metric,
    scores: Sequence[Score],
    null_loss: float,
    *,
    row: int,
    shown: Sequence[Score] = (),
) -> None:
    """Give the axis of a metric its scale, its range and its title.

    Args:
        figure: With a row of subplots for each metric.
        shown: Those worth comparing, which a rate's axis is made for; none for all.
    """
    figure.update_yaxes(title=metric.head, row=row, col=1)
    if metric.axis == "log":
        values = [value for value in map(metric.measure, scores) if not math.isnan(value)]
        style_loss_axis(figure, values, null_loss, row=row)
    elif metric.axis == "share":
        figure.update_yaxes(range=SHARE_RANGE, row=row, col=1)
    elif metric.axis == "rate" and shown:
        figure.update_yaxes(range=find_rate_range(metric, shown), row=row, col=1)
    elif metric.axis != "signed":
        figure.update_yaxes(rangemode="tozero", row=row, col=1)


def find_rate_range(metric: Metric, shown: Sequence[Score]) -> list[float] | None:
    """Find the axis from 0 that holds the intervals of the networks worth comparing; None for all.

    A network with a loss above the null loss may have hundreds of false positives an event.
    """
    highs = [ends[1] for ends in map(metric.compute_interval, shown) if ends is not None]
    return [-0.03 * max(highs), 1.1 * max(highs)] if highs else None


def style_epoch_axis(figure: go.Figure, num_epochs: int) -> None:
    """Give an axis of epochs whole numbers as ticks."""
    figure.update_xaxes(tickformat="d", dtick=max(1, round(num_epochs / 12)), tick0=0)

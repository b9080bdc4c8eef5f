"""Draws sample-size curves: the metrics against the number of training events.

The band goes from the lowest repeat to the highest, the line through their mean, each repeat is a
dot, and the bars are the 68 % interval from the number of validation events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.figures.colors import COLORS
from sweep.figures.picture import write_picture
from sweep.figures.style import finish
from sweep.metrics.score import get_score
from sweep.metrics.table import METRICS, Metric
from sweep.results.curve import SampleSizeCurve, Spread, list_metrics

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW_HEIGHT = 200
X_LABEL = "training events"
BAND_LABEL = "band: lowest to highest repeat; bars: 68 % from the validation events"


def write_curves(path: Path, curves: Sequence[SampleSizeCurve], *, title: str) -> None:
    """Write the picture of curves in the format that the file's name asks for.

    Args:
        path: `.html` for a page that zooms and needs no network, `.png` for a picture.
        curves: One colour each.

    Raises:
        DataError: when the name ends otherwise, or the file cannot be written.
    """
    write_picture(path, lambda: draw_curves(curves), title)


def draw_curves(curves: Sequence[SampleSizeCurve]) -> go.Figure:
    """Draw curves as an interactive figure of one row a metric, which share the axis of sizes."""
    from plotly.subplots import make_subplots

    metrics = list_drawn(curves)
    figure = make_subplots(rows=len(metrics), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    for number, curve in enumerate(curves):
        for row, metric in enumerate(metrics, start=1):
            for trace in _list_traces(curve, metric, COLORS[number % len(COLORS)]):
                figure.add_trace(trace, row=row, col=1)
    figure.update_traces(showlegend=False)
    figure.update_traces(showlegend=True, selector={"mode": "lines+markers", "yaxis": "y"})
    for row, metric in enumerate(metrics, start=1):
        figure.update_yaxes(title_text=metric.label, row=row, col=1)
    sizes = sorted({point.num_train for curve in curves for point in curve.points})
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[str(size) for size in sizes])
    said = BAND_LABEL.replace("; ", "<br>")
    figure.update_xaxes(title_text=f"{X_LABEL}<br><sub>{said}</sub>", row=len(metrics), col=1)
    finish(figure, height=80 + ROW_HEIGHT * len(metrics))
    return figure.update_layout(margin={"b": 95})


def list_drawn(curves: Sequence[SampleSizeCurve]) -> list[Metric]:
    """List the metrics that some curve has, in the order of their rows."""
    return [metric for metric in METRICS if any(metric in list_metrics(c) for c in curves)]


def _list_traces(curve: SampleSizeCurve, metric: Metric, color: str) -> list[go.Scatter]:
    """List the band, the mean with its bars, and the repeats of one metric."""
    import plotly.graph_objects as go

    points = [point for point in curve.points if metric.key in point.spreads]
    sizes = [point.num_train for point in points]
    spreads = [point.spreads[metric.key] for point in points]
    group = {"legendgroup": curve.sweep, "name": curve.sweep}
    band = go.Scatter(
        x=[*sizes, *reversed(sizes)],
        y=[*(spread.high for spread in spreads), *(spread.low for spread in reversed(spreads))],
        fill="toself",
        fillcolor=color,
        opacity=0.2,
        mode="none",
        hoverinfo="skip",
        **group,
    )
    mean = go.Scatter(
        x=sizes,
        y=[spread.mean for spread in spreads],
        error_y=_draw_bars(spreads),
        mode="lines+markers",
        line={"color": color},
        hovertemplate="%{x} events: %{y:.4f}",
        **group,
    )
    scores = [(p.num_train, get_score(e)) for p in curve.points for e in p.epochs.values()]
    repeats = go.Scatter(
        x=[size for size, _score in scores],
        y=[metric.measure(score) for _size, score in scores],
        mode="markers",
        marker={"color": color, "size": 5, "symbol": "circle-open"},
        hovertemplate="%{x} events: %{y:.4f}",
        **group,
    )
    return [band, mean, repeats]


def _draw_bars(spreads: Sequence[Spread]) -> dict[str, object]:
    """Give the error bars of intervals; 0 where there is none.

    The interval is that of whole counts, so its ends may lie a hair inside of the mean.
    """
    ends = [(spread.mean, spread.interval or (spread.mean, spread.mean)) for spread in spreads]
    above = [max(0.0, high - mean) for mean, (_low, high) in ends]
    below = [max(0.0, mean - low) for mean, (low, _high) in ends]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "width": 4}

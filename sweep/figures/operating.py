"""Draws efficiency against false positives, for each setting of the peak finder worth having."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweep.figures.colors import COLORS
from sweep.figures.style import finish
from sweep.metrics.table import EFFICIENCY, FP_RATE
from sweep.results.operating_curve import OperatingCurve, TriedSetting

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 480
SHOWN = 3.0
"""Rates beyond so many times that of the settings in use are left out: nobody would have them."""
LEAST_SHOWN = 0.2


def draw_operating_curves(curves: Sequence[OperatingCurve]) -> go.Figure:
    """Draw curves as an interactive figure, each with a dot where its model is used."""
    import plotly.graph_objects as go

    figure = go.Figure()
    end = max(LEAST_SHOWN, SHOWN * max(curve.own.fp_rate for curve in curves))
    for number, curve in enumerate(curves):
        color = COLORS[number % len(COLORS)]
        shown = [point for point in curve.points if point.fp_rate <= end]
        line = {"color": color, "shape": "hv", "width": 1.5}
        figure.add_trace(_trace(shown, curve.label, mode="lines", line=line))
        marker = {"color": color, "size": 9}
        figure.add_trace(
            _trace([curve.own], f"{curve.label}: as used", mode="markers", marker=marker)
        )
    figure.update_xaxes(title=FP_RATE.label, range=[0, end])
    figure.update_yaxes(title=EFFICIENCY.label)
    return finish(figure, height=HEIGHT)


def _trace(points: Sequence[TriedSetting], name: str, **look: object) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=[round(point.fp_rate, 5) for point in points],
        y=[round(point.efficiency, 5) for point in points],
        text=[str(point.decode) for point in points],
        name=name,
        **look,
    )

"""Draws efficiency.png: efficiency against false positives, published, by hand and by `sweep`.

    python docs/draw_results.py MODEL_DIR VAL.npz

Each on its own events (PHYSICS.md, "Published results"); those of `sweep` on VAL.npz.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from sweep.figures.colors import COLORS
from sweep.figures.png import save_png
from sweep.figures.style import finish
from sweep.results.evaluation import open_judged
from sweep.results.operating_curve import trace_operating_curve

PICTURE = Path(__file__).with_name("efficiency.png")
LEAST_FP, MOST_FP = 0.02, 2.0
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
PUBLISHED = {
    "CNN, 240,000 events (arXiv:1906.08306)": (
        (0.0485, 0.8805),
        (0.08, 0.904),
        (0.13, 0.921),
        (0.251, 0.9387),
    ),
    "U-Net, 320,000 events (arXiv:2103.04962)": (
        (0.093, 0.932),
        (0.131, 0.943),
        (0.158, 0.948),
        (0.173, 0.950),
        (0.193, 0.952),
        (0.213, 0.954),
        (0.235, 0.9555),
    ),
}
REPORT = {"birnn": (0.161, 0.762), "rcnn": (0.174, 0.784), "cnn": (1.625, 0.892)}
SWEPT = {"birnn": (0.058, 0.868), "rcnn": (0.088, 0.899), "cnn": (0.066, 0.883)}
"""One sweep for each of the report's architectures (RESULTS.md)."""


def draw(folder: Path, events: Path) -> go.Figure:
    """Draw what others have, and an exported model's curve on some events."""
    figure = go.Figure()
    for number, (name, points) in enumerate(PUBLISHED.items()):
        line = {"color": COLORS[number + 2], "dash": "dot", "width": 1}
        _add(figure, name, points, mode="lines+markers", line=line, marker={"size": 6})
    curve = trace_operating_curve(*open_judged(folder, [events]), label="coarsefine")
    shown = [(p.fp_rate, p.efficiency) for p in curve.points if p.fp_rate >= LEAST_FP]
    name = "sweep: coarsefine, 5,000 events and 15,000 own toys"
    _add(figure, name, shown, mode="lines", line={"color": COLORS[0], "shape": "hv"})
    own = [(curve.own.fp_rate, curve.own.efficiency)]
    _add(figure, "as exported", own, mode="markers", marker={"color": COLORS[0], "size": 10})
    for name, points, symbol, color in (
        ("sweep: the report's architectures, 3,000 events", SWEPT, "diamond", COLORS[0]),
        ("the report, by hand, 5,000 events", REPORT, "x", COLORS[1]),
    ):
        marker = {"color": color, "size": 10, "symbol": symbol}
        _add(figure, name, list(points.values()), mode="markers", marker=marker)
    for model, (rate, efficiency) in REPORT.items():
        figure.add_annotation(
            xref="x",
            yref="y",
            x=math.log10(rate),
            y=efficiency - 0.005,
            text=model,
            showarrow=False,
            yanchor="top",
        )
    figure.update_xaxes(
        title="false positives per event",
        type="log",
        range=[math.log10(LEAST_FP), math.log10(MOST_FP)],
        tickvals=list(TICKS),
        ticktext=[f"{tick:g}" for tick in TICKS],
    )
    figure.update_yaxes(title="efficiency", range=[0.74, 0.97])
    return finish(figure, height=560).update_layout(margin={"t": 90})


def _add(
    figure: go.Figure, name: str, points: Sequence[tuple[float, float]], **look: object
) -> None:
    rates, shares = zip(*points, strict=True)
    figure.add_trace(go.Scatter(x=rates, y=shares, name=name, **look))


if __name__ == "__main__":
    save_png(PICTURE, draw(*map(Path, sys.argv[1:3])), width_px=1000)

"""Draws one event along the beam line: density and target, and where in x and y the density is.

Shapes: C feature, L bin.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sweep.data.geometry import (
    BIN_WIDTH_MM,
    FEATURE_PER_MM,
    Z_MAX_MM,
    Z_MIN_MM,
    compute_bin_centers_mm,
)
from sweep.figures.colors import (
    DENSITY_COLOR,
    MASK_COLOR,
    PREDICTION_COLOR,
    TARGET_COLOR,
    X_COLOR,
    Y_COLOR,
)
from sweep.figures.style import finish

Z_LABEL = "z along the beam (mm)"
EVENT_LABEL = "density / 2500, target"
POSITION_LABEL = "x, y (mm)"
HEIGHT_DECIMALS = 4


def draw_event(
    x_CL: NDArray[np.float32],
    y_L: NDArray[np.float32],
    prediction_L: NDArray[np.float32] | None = None,
    *,
    is_still: bool = False,
) -> go.Figure:
    """Draw one event.

    Above, the density estimate with the target (and a prediction) on top; below, where in x and y
    the density is largest, with gaps where there is none. Both share one axis along the beam, which
    zooms alone; a double click shows all of it again. Masked bins are shaded.

    Args:
        x_CL: Features [density / 2500, its square, 2 x_mm, 2 y_mm], shape (4, 4000).
        y_L: Target, shape (4000,), NaN where masked.
        prediction_L: A network's output, shape (4000,), or None.
        is_still: Whether nobody will zoom: the busiest 40 mm are enlarged then, x and y of them.

    Returns:
        The figure, small enough for a page of many.
    """
    heights = [0.4, 0.4, 0.2] if is_still else [0.75, 0.25]
    num_rows = len(heights)
    figure = make_subplots(
        rows=num_rows,
        cols=1,
        shared_xaxes=not is_still,
        row_heights=heights,
        vertical_spacing=0.08 if is_still else 0.04,
    )
    curves = list_event_curves(x_CL, y_L, prediction_L)
    for row in range(1, num_rows + 1):
        for name, values, color, place in curves:
            if (place == "below") == (row == num_rows):
                trace = _make_curve(name, values, color, is_named=row != 2 or not is_still)
                figure.add_trace(trace, row=row, col=1)
        if row != num_rows:
            shade_masked(figure, y_L, row=row)
    _add_mask_to_legend(figure, y_L)
    figure.update_xaxes(range=[Z_MIN_MM, Z_MAX_MM], hoverformat=".2f", showgrid=False)
    figure.update_xaxes(title_text=Z_LABEL, row=num_rows, col=1)
    figure.update_yaxes(title_text=EVENT_LABEL, rangemode="tozero", fixedrange=True)
    figure.update_yaxes(title_text=POSITION_LABEL, range=[-0.6, 0.6], row=num_rows, col=1)
    if is_still:
        span_mm = find_busiest_span_mm(y_L)
        add_box(figure, *span_mm, row=1)
        for row in (2, num_rows):
            figure.update_xaxes(range=span_mm, row=row, col=1)
        height = _find_height(curves, *span_mm)
        figure.update_yaxes(range=[0.0, 1.05 * height], row=2, col=1)
    return finish(figure, height=900 if is_still else 520)


def _make_curve(
    name: str, values: NDArray[np.float32], color: str, *, is_named: bool
) -> go.Scatter:
    x, y = thin(compute_bin_centers_mm(), values)
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        showlegend=is_named,
        mode="lines",
        line={"color": color, "width": 1.3, "shape": "hvh"},
        fill="tozeroy" if name == "density" else None,
        fillcolor="rgba(68, 119, 170, 0.25)",
        hovertemplate="%{y:.3f}",
    )


def shade_masked(
    figure: go.Figure,
    y_L: NDArray[np.float32],
    *,
    row: int,
    column: int = 1,
    within_mm: tuple[float, float] = (Z_MIN_MM, Z_MAX_MM),
) -> None:
    """Shade the masked bins over the whole height of a subplot.

    Args:
        within_mm: The stretch of the beam line that the subplot shows.
    """
    axes = figure.get_subplot(row, column)
    shape = {
        "type": "rect",
        "xref": axes.xaxis.plotly_name.replace("axis", ""),
        "yref": f"{axes.yaxis.plotly_name.replace('axis', '')} domain",
        "y0": 0,
        "y1": 1,
        "fillcolor": MASK_COLOR,
        "opacity": 0.4,
        "line": {"width": 0},
        "layer": "below",
    }
    # At once: Plotly checks all shapes of a figure again with each that is added.
    figure.layout.shapes += tuple(
        {**shape, "x0": round(first_mm, 2), "x1": round(last_mm, 2)}
        for first_mm, last_mm in find_masked_spans_mm(y_L)
        if first_mm < within_mm[1] and last_mm > within_mm[0]
    )


def add_box(figure: go.Figure, start_mm: float, stop_mm: float, *, row: int) -> None:
    """Draw a dotted box around the stretch of the beam line that stands enlarged elsewhere."""
    figure.add_shape(
        type="rect",
        x0=start_mm,
        x1=stop_mm,
        y0=0,
        y1=1,
        yref="y domain",
        line={"color": "black", "width": 1, "dash": "dot"},
        row=row,
        col=1,
    )


EventCurve = tuple[str, NDArray[np.float32], str, Literal["above", "below"]]
"""Name, values (4000,), colour, and subplot: density and targets above, positions below."""


def list_event_curves(
    x_CL: NDArray[np.float32],
    y_L: NDArray[np.float32],
    prediction_L: NDArray[np.float32] | None,
) -> list[EventCurve]:
    """List what an event's picture shows; positions are NaN where the density is zero."""
    dark = x_CL[0] == 0
    curves: list[EventCurve] = [("density", x_CL[0], DENSITY_COLOR, "above")]
    curves.append(("target", y_L, TARGET_COLOR, "above"))
    if prediction_L is not None:
        curves.append(("prediction", prediction_L, PREDICTION_COLOR, "above"))
    for name, feature, color in (("x", x_CL[2], X_COLOR), ("y", x_CL[3], Y_COLOR)):
        position_mm = np.where(dark, np.float32(np.nan), feature / np.float32(FEATURE_PER_MM))
        curves.append((name, position_mm, color, "below"))
    return curves


def thin(
    z_mm: NDArray[np.float64], values: NDArray[np.floating], decimals: int = HEIGHT_DECIMALS
) -> tuple[list[float], list[float | None]]:
    """Round a curve and leave out the points inside of a run of equal ones.

    Args:
        values: Shape (L,); NaN is a gap.
        decimals: Kept of the values.

    Returns:
        Positions and values; None for NaN.
    """
    rounded = np.round(values.astype(np.float64), decimals)
    same = (rounded[1:] == rounded[:-1]) | (np.isnan(rounded[1:]) & np.isnan(rounded[:-1]))
    is_inside = np.concatenate([[False], same]) & np.concatenate([same, [False]])
    kept = np.flatnonzero(~is_inside)
    heights = [None if np.isnan(v) else float(v) for v in rounded[kept]]
    return np.round(z_mm[kept], 2).tolist(), heights


def find_masked_spans_mm(y_L: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Find the first and last edge of each run of masked bins of a target (4000,), in order."""
    masked = np.concatenate([[False], np.isnan(y_L), [False]])
    edges_mm = Z_MIN_MM + BIN_WIDTH_MM * np.flatnonzero(masked[1:] != masked[:-1])
    return [(float(first), float(last)) for first, last in edges_mm.reshape(-1, 2)]


def find_busiest_span_mm(y_L: NDArray[np.float32], length_mm: float = 40.0) -> tuple[float, float]:
    """Find the stretch of the beam line with the largest sum of the target.

    Args:
        length_mm: Length of the stretch, at most 400 mm.

    Returns:
        Its ends in mm, inside the histogram; with no target at all, the middle of it.
    """
    num_bins = round(length_mm / BIN_WIDTH_MM)
    filled = np.where(np.isnan(y_L), 0.0, np.round(y_L, 3))
    running = np.concatenate([[0.0], np.cumsum(filled, dtype=np.float64)])
    sums = running[num_bins:] - running[:-num_bins]
    best = np.flatnonzero(sums >= sums.max() - 1e-6)
    start_mm = Z_MIN_MM + BIN_WIDTH_MM * float(best[len(best) // 2])
    return start_mm, start_mm + length_mm


def _find_height(curves: list[EventCurve], start_mm: float, stop_mm: float) -> float:
    """Find the largest value drawn above between two positions; 1 where all is 0."""
    z_mm = compute_bin_centers_mm()
    shown = (z_mm >= start_mm) & (z_mm <= stop_mm)
    rows = np.stack([values[shown] for _, values, _, place in curves if place == "above"])
    finite = rows[np.isfinite(rows)]
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0


def _add_mask_to_legend(figure: go.Figure, y_L: NDArray[np.float32]) -> None:
    if np.isnan(y_L).any():
        square = {"symbol": "square", "size": 12, "color": MASK_COLOR, "opacity": 0.5}
        entry = go.Scatter(x=[None], y=[None], mode="markers", marker=square, name="masked")
        figure.add_trace(entry, row=1, col=1)

"""Pictures: arrays in, figures out; nothing here reads a file of events or a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import DataError
from sweep.geometry import BIN_WIDTH_MM, Z_MAX_MM, Z_MIN_MM, compute_bin_centers_mm

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes

DENSITY_COLOR = "#4477aa"
TARGET_COLOR = "#cc3311"
PREDICTION_COLOR = "#228833"
X_COLOR = "#aa7700"
Y_COLOR = "#882299"
MASK_COLOR = "#bbbbbb"

FEATURE_PER_MM = 2.0
"""Features 2 and 3 are positions in mm times this."""

Z_LABEL = "z along the beam (mm)"
EVENT_LABEL = "density / 2500, target"
POSITION_LABEL = "x, y (mm)"


def draw_event(
    x_CL: NDArray[np.float32],
    y_L: NDArray[np.float32],
    prediction_L: NDArray[np.float32] | None = None,
    *,
    title: str,
) -> go.Figure:
    """Draw one event as an interactive figure.

    Above, the density estimate with the target (and a prediction) on top; below, where in x and y
    the density is largest, with gaps where there is none. Both share one axis along the beam, which
    zooms alone; a double click shows all of it again. Masked bins are shaded.

    Args:
        x_CL: Features [density / 2500, its square, 2 x_mm, 2 y_mm], shape (4, 4000).
        y_L: Target, shape (4000,), NaN where masked.
        prediction_L: A network's output, shape (4000,), or None.
        title: What stands above the figure.

    Returns:
        The figure; `write_html` makes a page of it.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.04
    )
    z_mm = compute_bin_centers_mm()
    curves = list_event_curves(x_CL, y_L, prediction_L)
    for name, values, color, row in curves:
        trace = go.Scatter(
            x=np.round(z_mm, 2),
            y=np.round(values.astype(np.float64), 5),
            name=name,
            mode="lines",
            line={"color": color, "width": 1.3, "shape": "hvh"},
            fill="tozeroy" if name == "density" else None,
            fillcolor="rgba(68, 119, 170, 0.25)",
            hovertemplate="%{y:.3f}",
        )
        figure.add_trace(trace, row=row, col=1)
    for first_mm, last_mm in find_masked_spans_mm(y_L):
        figure.add_shape(
            type="rect",
            x0=first_mm,
            x1=last_mm,
            y0=0,
            y1=1,
            yref="y domain",
            fillcolor=MASK_COLOR,
            opacity=0.4,
            line_width=0,
            layer="below",
            row=1,
            col=1,
        )
    _add_mask_to_legend(figure, y_L)
    figure.update_layout(
        title=title,
        template="plotly_white",
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        margin={"l": 70, "r": 20, "t": 90, "b": 50},
        dragmode="zoom",
    )
    figure.update_xaxes(
        range=[Z_MIN_MM, Z_MAX_MM],
        hoverformat=".2f",
        showgrid=False,
        zeroline=False,
        ticks="outside",
    )
    figure.update_xaxes(title_text=Z_LABEL, row=2, col=1)
    figure.update_yaxes(title_text=EVENT_LABEL, fixedrange=True, rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text=POSITION_LABEL, fixedrange=True, range=[-0.6, 0.6], row=2, col=1)
    return figure


def save_event_png(
    path: Path,
    x_CL: NDArray[np.float32],
    y_L: NDArray[np.float32],
    prediction_L: NDArray[np.float32] | None = None,
    *,
    title: str,
) -> None:
    """Save the picture of `draw_event` as PNG: the whole beam line, and its busiest 40 mm enlarged.

    Args:
        path: The file to write; its directory exists.
        x_CL: Features, shape (4, 4000).
        y_L: Target, shape (4000,), NaN where masked.
        prediction_L: A network's output, shape (4000,), or None.
        title: What stands above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 9.0), layout="constrained")
    FigureCanvasAgg(figure)
    whole, near, position = figure.subplots(3, 1, height_ratios=[3, 3, 1.6])
    start_mm, stop_mm = find_busiest_span_mm(y_L)
    curves = list_event_curves(x_CL, y_L, prediction_L)
    for axes in (whole, near):
        _plot_curves(axes, curves, row=1)
        for first_mm, last_mm in find_masked_spans_mm(y_L):
            axes.axvspan(first_mm, last_mm, color=MASK_COLOR, alpha=0.4, linewidth=0)
        axes.set_ylabel(EVENT_LABEL)
    _plot_curves(position, curves, row=2)
    whole.axvspan(start_mm, stop_mm, facecolor="none", edgecolor="black", linestyle=":")
    whole.set_xlim(Z_MIN_MM, Z_MAX_MM)
    near.set_xlim(start_mm, stop_mm)
    whole.set_ylim(0.0, 1.05 * _find_height(curves, Z_MIN_MM, Z_MAX_MM))
    near.set_ylim(0.0, 1.05 * _find_height(curves, start_mm, stop_mm))
    position.set_xlim(start_mm, stop_mm)
    position.set_ylim(-0.6, 0.6)
    position.set_ylabel(POSITION_LABEL)
    position.set_xlabel(Z_LABEL)
    whole.set_title(title, loc="left")
    near.set_title("the busiest 40 mm (dotted box above)", loc="left", fontsize="medium")
    if np.isnan(y_L).any():
        whole.fill_between([], [], color=MASK_COLOR, alpha=0.4, label="masked")
    whole.legend(loc="upper right", ncols=4, frameon=False)
    position.legend(loc="upper right", ncols=2, frameon=False)
    figure.savefig(path, dpi=110, format="png")


def check_picture_path(path: Path) -> None:
    """Check before long work that a picture can be given this name.

    Args:
        path: The file to write.

    Raises:
        DataError: When the name ends in neither .html nor .png, or its directory does not exist.
    """
    if path.suffix not in (".html", ".png"):
        raise DataError(
            f"{path}: unknown format, got {path.suffix!r}, expected .html or .png; rename it"
        )
    if not path.parent.is_dir():
        raise DataError(f"{path}: no such directory, got {path.parent}; make it first")


EventCurve = tuple[str, NDArray[np.float32], str, int]
"""Name, values (4000,), colour, and row (1: density and targets, 2: positions)."""


def list_event_curves(
    x_CL: NDArray[np.float32],
    y_L: NDArray[np.float32],
    prediction_L: NDArray[np.float32] | None,
) -> list[EventCurve]:
    """List what an event's picture shows; positions are NaN where the density is zero.

    Args:
        x_CL: Features, shape (4, 4000).
        y_L: Target, shape (4000,), NaN where masked.
        prediction_L: A network's output, shape (4000,), or None.

    Returns:
        The curves in drawing order.
    """
    dark = x_CL[0] == 0
    curves: list[EventCurve] = [("density", x_CL[0], DENSITY_COLOR, 1)]
    curves.append(("target", y_L, TARGET_COLOR, 1))
    if prediction_L is not None:
        curves.append(("prediction", prediction_L, PREDICTION_COLOR, 1))
    for name, feature, color in (("x", x_CL[2], X_COLOR), ("y", x_CL[3], Y_COLOR)):
        position_mm = np.where(dark, np.float32(np.nan), feature / np.float32(FEATURE_PER_MM))
        curves.append((name, position_mm, color, 2))
    return curves


def find_masked_spans_mm(y_L: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Find the runs of masked bins.

    Args:
        y_L: Target, shape (4000,), NaN where masked.

    Returns:
        First and last edge of each run in mm, in order; empty when nothing is masked.
    """
    masked = np.concatenate([[False], np.isnan(y_L), [False]])
    edges_mm = Z_MIN_MM + BIN_WIDTH_MM * np.flatnonzero(masked[1:] != masked[:-1])
    return [(float(first), float(last)) for first, last in edges_mm.reshape(-1, 2)]


def find_busiest_span_mm(y_L: NDArray[np.float32], length_mm: float = 40.0) -> tuple[float, float]:
    """Find the stretch of the beam line with the largest sum of the target.

    Args:
        y_L: Target, shape (4000,), NaN where masked.
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


def _plot_curves(axes: Axes, curves: list[EventCurve], row: int) -> None:
    z_mm = compute_bin_centers_mm()
    for name, values, color, own_row in curves:
        if own_row != row:
            continue
        if name == "density":
            axes.fill_between(z_mm, values, step="mid", color=color, alpha=0.25, linewidth=0)
        axes.step(z_mm, values, where="mid", color=color, linewidth=1.1, label=name)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _find_height(curves: list[EventCurve], start_mm: float, stop_mm: float) -> float:
    """Find the largest value drawn in the first row between two positions; 1 where all is 0."""
    z_mm = compute_bin_centers_mm()
    shown = (z_mm >= start_mm) & (z_mm <= stop_mm)
    rows = np.stack([values[shown] for _, values, _, row in curves if row == 1])
    finite = rows[np.isfinite(rows)]
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0


def _add_mask_to_legend(figure: Any, y_L: NDArray[np.float32]) -> None:
    import plotly.graph_objects as go

    if np.isnan(y_L).any():
        square = {"symbol": "square", "size": 12, "color": MASK_COLOR, "opacity": 0.5}
        entry = go.Scatter(x=[None], y=[None], mode="markers", marker=square, name="masked")
        figure.add_trace(entry, row=1, col=1)

"""Figures of events: one event, vertices an event, the average peak, a network's outputs.

Curves over the beam line are thinned: a bin that is equal to both of its neighbours adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sweep.figures.event import (
    DENSITY_COLOR,
    MASK_COLOR,
    PREDICTION_COLOR,
    TARGET_COLOR,
    Z_LABEL,
    draw_event,
    find_masked_spans_mm,
)
from sweep.figures.outcomes import FALSE_COLOR, FOUND_COLOR, Outcome, find_top, to_mm
from sweep.figures.style import finish
from sweep.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MAX_MM, Z_MIN_MM, compute_bin_centers_mm

HEIGHT_DECIMALS = 4


def thin(
    z_mm: NDArray[np.float64], values: NDArray[np.floating], decimals: int = HEIGHT_DECIMALS
) -> tuple[list[float], list[float | None]]:
    """Round a curve and leave out the points inside of a run of equal ones.

    Args:
        z_mm: Positions, shape (L,).
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


def draw_thin_event(x_CL: NDArray[np.float32], y_L: NDArray[np.float32]) -> go.Figure:
    """Draw features and target of one event, small enough for a page of many figures."""
    figure = draw_event(x_CL, y_L, title="")
    for trace in figure.data:
        if trace.mode == "lines":
            trace.x, trace.y = thin(np.asarray(trace.x), np.asarray(trace.y, dtype=np.float64))
    figure.update_layout(hovermode="closest", title=None)
    return finish(figure, height=520)


def draw_vertex_counts(counts: Sequence[tuple[str, Sequence[int]]]) -> go.Figure:
    """Draw how many events have how many true peaks, for each named set of events."""
    figure = go.Figure()
    for (name, events), color in zip(counts, (DENSITY_COLOR, TARGET_COLOR), strict=False):
        share = [round(number / sum(events), 5) for number in events]
        figure.add_trace(
            go.Bar(x=list(range(len(events))), y=share, name=name, marker={"color": color})
        )
    figure.update_xaxes(title="true peaks in the event")
    figure.update_yaxes(title="share of events", rangemode="tozero")
    return finish(figure, height=320)


def draw_mean_peak(
    offset_mm: NDArray[np.float64], density: NDArray[np.float64], target: NDArray[np.float64]
) -> go.Figure:
    """Draw density and target around the true peaks, averaged over the peaks.

    Args:
        offset_mm: Distance from the peak, shape (W,).
        density, target: Mean height at that distance, shape (W,).
    """
    figure = go.Figure()
    for name, values, color in (
        ("density", density, DENSITY_COLOR),
        ("target", target, TARGET_COLOR),
    ):
        figure.add_trace(
            go.Scatter(
                x=np.round(offset_mm, 2).tolist(),
                y=np.round(values / values.max(), 4).tolist() if values.max() > 0 else [],
                name=f"{name}, mean",
                mode="lines",
                line={"color": color, "shape": "hvh"},
            )
        )
    figure.update_xaxes(title="distance from the true peak (mm)")
    figure.update_yaxes(title="mean height / its maximum", rangemode="tozero")
    return finish(figure, height=320)


def draw_outcomes(outcomes: Sequence[Outcome]) -> go.Figure:
    """Draw events one below the other: the prediction on top of the target, peaks marked.

    Args:
        outcomes: At least one event.
    """
    titles = [f"validation event {outcome.event}" for outcome in outcomes]
    figure = make_subplots(
        rows=len(outcomes),
        cols=1,
        shared_xaxes=True,
        subplot_titles=titles,
        vertical_spacing=0.22 / len(outcomes),
    )
    figure.update_annotations(font={"size": 13}, x=0, xanchor="left")
    shapes: list[dict[str, object]] = []
    named: set[str] = set()
    for row, outcome in enumerate(outcomes, start=1):
        for trace in _list_outcome_traces(outcome):
            trace.legendgroup, trace.showlegend = trace.name, trace.name not in named
            named |= {trace.name} if trace.x else set()
            figure.add_trace(trace, row=row, col=1)
        shapes += [_shade(row, *span) for span in find_masked_spans_mm(outcome.target_L)]
    figure.update_layout(shapes=shapes)
    figure.update_xaxes(range=[Z_MIN_MM, Z_MAX_MM], showgrid=False)
    figure.update_xaxes(title=Z_LABEL, row=len(outcomes), col=1)
    figure.update_yaxes(title="height", fixedrange=True, rangemode="tozero")
    finish(figure, height=140 + 190 * len(outcomes))
    figure.update_layout(margin={"t": 74}, legend={"y": 1 + 0.11 / len(outcomes)})
    return figure


def _shade(row: int, first_mm: float, last_mm: float) -> dict[str, object]:
    """Shade masked bins over the height of a row."""
    axis = "" if row == 1 else str(row)
    return {
        "type": "rect",
        "xref": f"x{axis}",
        "yref": f"y{axis} domain",
        "x0": round(first_mm, 2),
        "x1": round(last_mm, 2),
        "y0": 0,
        "y1": 1,
        "fillcolor": MASK_COLOR,
        "opacity": 0.4,
        "line": {"width": 0},
        "layer": "below",
    }


def _list_outcome_traces(outcome: Outcome) -> list[go.Scatter]:
    z_mm = compute_bin_centers_mm()
    traces = []
    for name, values_L, color in (
        ("target", outcome.target_L, TARGET_COLOR),
        ("prediction", outcome.prediction_L, PREDICTION_COLOR),
    ):
        x, y = thin(z_mm, values_L, decimals=3)
        traces.append(
            go.Scatter(
                x=x,
                y=y,
                name=name,
                mode="lines",
                line={"color": color, "width": 1.3, "shape": "hvh"},
                fill="tozeroy" if name == "target" else None,
                fillcolor="rgba(204, 51, 17, 0.2)",
            )
        )
    height = max(float(np.nanmax(outcome.target_L)), float(np.nanmax(outcome.prediction_L)), 1e-3)
    peaks = outcome.peaks
    for name, positions_P, curve_L, symbol, color in (
        ("true peak, found", peaks.found_P, outcome.target_L, "triangle-down", FOUND_COLOR),
        ("true peak, missed", peaks.missed_P, outcome.target_L, "x", TARGET_COLOR),
        ("false peak", peaks.false_P, outcome.prediction_L, "diamond", FALSE_COLOR),
    ):
        tops = [find_top(curve_L, position) + 0.07 * height for position in positions_P.tolist()]
        traces.append(
            go.Scatter(
                x=np.round(to_mm(positions_P), 2).tolist(),
                y=np.round(tops, 3).tolist(),
                name=name,
                mode="markers",
                marker={"symbol": symbol, "color": color, "size": 9},
                hovertemplate="%{x} mm",
            )
        )
    return traces


def measure_mean_peak(
    x_BL: NDArray[np.float32], y_BL: NDArray[np.float32], centers: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Average density and target around true peaks.

    Args:
        x_BL: Density, shape (B, 4000).
        y_BL: Target, shape (B, 4000), NaN where masked (left out of the mean).
        centers: Event and bin of each peak, at least one.

    Returns:
        Distance in mm, mean density, mean target, each of shape (W,).
    """
    reach = round(4.0 / BIN_WIDTH_MM)
    inner = [(e, c) for e, c in centers if reach <= c < NUM_BINS - reach]
    offset_mm = BIN_WIDTH_MM * np.arange(-reach, reach + 1, dtype=np.float64)
    density, target = (np.zeros((len(inner), len(offset_mm))) for _ in range(2))
    for number, (event, center) in enumerate(inner):
        window = slice(center - reach, center + reach + 1)
        density[number], target[number] = x_BL[event, window], y_BL[event, window]
    is_valid = ~np.isnan(target)
    num_valid = np.maximum(is_valid.sum(axis=0), 1)
    return (
        offset_mm,
        density.sum(axis=0) / max(len(inner), 1),
        np.where(is_valid, target, 0.0).sum(axis=0) / num_valid,
    )

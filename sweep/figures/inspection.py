"""Draws what a network made of single events: prediction on target, each peak marked.

Shapes: L bin, P peak.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sweep.data.geometry import (
    BIN_WIDTH_MM,
    NUM_BINS,
    Z_MAX_MM,
    Z_MIN_MM,
    compute_bin_centers_mm,
    to_mm,
)
from sweep.figures.colors import FALSE_COLOR, FOUND_COLOR, PREDICTION_COLOR, TARGET_COLOR
from sweep.figures.event import Z_LABEL, add_box, find_busiest_span_mm, shade_masked, thin
from sweep.figures.style import finish
from sweep.metrics.inspected import InspectedEvent

NEAR_MM = 40.0


def draw_inspected(events: Sequence[InspectedEvent], *, is_still: bool = False) -> go.Figure:
    """Draw events one below the other: the prediction on top of the target, peaks marked.

    Args:
        events: At least one.
        is_still: Whether nobody will zoom: beside each event then stand the 40 mm with the most
            mistakes, or, without any, the busiest ones.
    """
    num_rows, num_columns = len(events), 2 if is_still else 1
    titles = [title for event in events for title in _list_titles(event)[:num_columns]]
    figure = make_subplots(
        rows=num_rows,
        cols=num_columns,
        shared_xaxes="columns" if not is_still else False,
        subplot_titles=titles,
        column_widths=[0.67, 0.33] if is_still else None,
        vertical_spacing=0.22 / num_rows,
        horizontal_spacing=0.06,
    )
    figure.update_annotations(font={"size": 13})
    named: set[str] = set()
    for row, event in enumerate(events, start=1):
        for column in range(1, num_columns + 1):
            for trace in _list_traces(event):
                trace.legendgroup, trace.showlegend = trace.name, trace.name not in named
                named |= {trace.name} if trace.x else set()
                figure.add_trace(trace, row=row, col=column)
            figure.update_yaxes(range=[0, 1.16 * _find_height(event)], row=row, col=column)
        shade_masked(figure, event.target_L, row=row)
        if is_still:
            span_mm = _choose_span_mm(event)
            figure.update_xaxes(range=span_mm, row=row, col=2)
            shade_masked(figure, event.target_L, row=row, column=2, within_mm=span_mm)
            add_box(figure, *span_mm, row=row)
    figure.update_xaxes(range=[Z_MIN_MM, Z_MAX_MM], col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title=Z_LABEL, row=num_rows)
    figure.update_yaxes(fixedrange=True)
    figure.update_yaxes(title="height", col=1)
    finish(figure, height=140 + 190 * num_rows)
    for note, axis in zip(figure.layout.annotations, figure.select_xaxes(), strict=True):
        note.update(x=axis.domain[0], xanchor="left")
    figure.update_layout(margin={"t": 74}, legend={"y": 1 + 0.11 / num_rows})
    return figure


def _list_titles(event: InspectedEvent) -> list[str]:
    counts = f"{event.num_found} found, {event.num_missed} missed, {event.num_false} false"
    return [f"validation event {event.event}: {counts}", "the dotted box, enlarged"]


def _list_traces(event: InspectedEvent) -> list[go.Scatter]:
    z_mm = compute_bin_centers_mm()
    traces = []
    for name, values_L, color in (
        ("target", event.target_L, TARGET_COLOR),
        ("prediction", event.prediction_L, PREDICTION_COLOR),
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
    height, peaks = _find_height(event), event.peaks
    for name, positions_P, curve_L, symbol, color in (
        ("true peak, found", peaks.found_P, event.target_L, "triangle-down", FOUND_COLOR),
        ("true peak, missed", peaks.missed_P, event.target_L, "x", TARGET_COLOR),
        ("false peak", peaks.false_P, event.prediction_L, "diamond", FALSE_COLOR),
    ):
        tops = [_find_top(curve_L, position) + 0.07 * height for position in positions_P.tolist()]
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


def _choose_span_mm(event: InspectedEvent) -> tuple[float, float]:
    """Choose the stretch to enlarge: with the most mistakes, or the busiest without any."""
    wrong_mm = np.concatenate([to_mm(event.peaks.missed_P), to_mm(event.peaks.false_P)])
    if not len(wrong_mm):
        return find_busiest_span_mm(event.target_L, NEAR_MM)
    starts_mm = np.clip(wrong_mm - NEAR_MM / 2, Z_MIN_MM, Z_MAX_MM - NEAR_MM)
    found_mm = to_mm(event.peaks.found_P)
    num_within = [
        (_count_within(wrong_mm, start), _count_within(found_mm, start)) for start in starts_mm
    ]
    start_mm = float(starts_mm[num_within.index(max(num_within))])
    return start_mm, start_mm + NEAR_MM


def _count_within(position_mm: NDArray[np.float64], start_mm: float) -> int:
    return int(((position_mm >= start_mm) & (position_mm <= start_mm + NEAR_MM)).sum())


def _find_top(curve_L: NDArray[np.float32], position: float) -> float:
    """Find the height of a peak: the largest value within half a millimetre."""
    center, reach = round(position), round(0.5 / BIN_WIDTH_MM)
    return float(np.nanmax(curve_L[max(0, center - reach) : min(NUM_BINS, center + reach + 1)]))


def _find_height(event: InspectedEvent) -> float:
    shown = np.concatenate([event.target_L, event.prediction_L])
    return max(float(np.nanmax(shown)), 1e-3)

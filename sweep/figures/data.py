"""Figures of a set of events: vertices an event, the average peak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sweep.data.geometry import BIN_WIDTH_MM, NUM_BINS
from sweep.figures.colors import DENSITY_COLOR, TARGET_COLOR
from sweep.figures.style import finish


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

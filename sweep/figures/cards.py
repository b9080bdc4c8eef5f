"""The two figures on the dashboard's first page, as the report has them, but smaller.

They are kept in the database as text and sent whole at every refresh, so they stay below 20 kB: at
most MAX_POINTS trials. Their height is the dashboard's, little for five rows: what is written is
smaller, and the legend is below.
"""

from __future__ import annotations

import plotly.graph_objects as go

from sweep.figures import trials
from sweep.results.status import Status

MAX_POINTS = 230
"""Trials in a card: half of them the best, then the latest of every kind."""

METRICS_CARD = "metrics-by-trial"
FRONT_CARD = "efficiency-against-fp-rate"


def draw_metrics(status: Status) -> go.Figure:
    """Draw the metrics by trial, the null loss, and the best of the objective so far."""
    return _make_card(trials.draw_history(status, MAX_POINTS), "The metrics by trial", status)


def draw_front(status: Status) -> go.Figure:
    """Draw efficiency against FP rate with 68 % intervals, the front and the hand-tuned points."""
    return _make_card(trials.draw_front(status, MAX_POINTS), "Efficiency against FP rate", status)


def _make_card(figure: go.Figure, title: str, status: Status) -> go.Figure:
    """Put a title above a figure, which says which trials are shown where they are not all."""
    rated = sum(trial.best is not None for trial in status.begun)
    part = f" (the best and latest {MAX_POINTS} of {rated})" if rated > MAX_POINTS else ""
    legend = {"y": -0.16, "x": 0.5, "xanchor": "center", "yanchor": "top", "font": {"size": 11}}
    figure.update_layout(
        height=None,
        title={"text": title + part, "font": {"size": 14}, "x": 0.02, "xanchor": "left", "y": 0.97},
        margin={"t": 36, "b": 45},
        font={"size": 11},
        legend=legend,
    )
    return figure.update_yaxes(title_font={"size": 10})

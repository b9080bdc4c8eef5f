"""What a network made of single events: its output, and which peaks it found, missed or invented.

Shapes: B event, C feature, L bin, P peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sweep.data.events import EventSet
from sweep.data.store import Progress
from sweep.figures.event import (
    MASK_COLOR,
    PREDICTION_COLOR,
    TARGET_COLOR,
    Z_LABEL,
    find_busiest_span_mm,
    find_masked_spans_mm,
)
from sweep.geometry import BIN_WIDTH_MM, NUM_BINS, Z_MAX_MM, Z_MIN_MM, compute_bin_centers_mm
from sweep.training.matching import PeakClasses, classify_peaks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BATCH_SIZE = 20
NEAR_MM = 40.0
FALSE_COLOR = "#ee7733"
FOUND_COLOR = "#0077bb"


@dataclass(frozen=True)
class Outcome:
    """One event and a network's output for it.

    Attributes:
        event: Its index among the events that were judged.
        target_L: Target, shape (4000,), NaN where masked.
        prediction_L: The network's output, shape (4000,).
        peaks: Positions of the peaks in bins, by what became of them.
    """

    event: int
    target_L: NDArray[np.float32]
    prediction_L: NDArray[np.float32]
    peaks: PeakClasses

    @property
    def num_found(self) -> int:
        """True peaks that were found."""
        return len(self.peaks.found_P)

    @property
    def num_missed(self) -> int:
        """True peaks that were missed."""
        return len(self.peaks.missed_P)

    @property
    def num_false(self) -> int:
        """Predicted peaks where no true one is."""
        return len(self.peaks.false_P)


def judge_events(
    network: nn.Module, events: EventSet, num_events: int, progress: Progress | None = None
) -> list[Outcome]:
    """Run a network on the first events of a set and sort the peaks of each.

    Args:
        network: Put into evaluation mode; its first parameter says on which device it is.
        events: The events, in order.
        num_events: How many of them at most.
        progress: Told how many of how many events are judged.
    """
    num_events = min(num_events, len(events))
    network.eval()
    device = next(network.parameters()).device
    outcomes = []
    for start in range(0, num_events, BATCH_SIZE):
        indices = range(start, min(start + BATCH_SIZE, num_events))
        x_BCL, y_BL = events.load(indices)
        with torch.inference_mode():
            output_BL = network(torch.from_numpy(x_BCL).to(device)).float().cpu()
        for event, y_L, output_L in zip(indices, y_BL, output_BL, strict=True):
            peaks = classify_peaks(torch.from_numpy(y_L), output_L)
            outcomes.append(Outcome(event, y_L, output_L.numpy(), peaks))
        if progress is not None:
            progress(indices.stop, num_events)
    return outcomes


def find_worst(outcomes: Sequence[Outcome], num_events: int) -> list[Outcome]:
    """Find the events with the most missed and false peaks, worst first, of equals the earliest."""
    order = sorted(outcomes, key=lambda o: (-(o.num_missed + o.num_false), o.event))
    return order[:num_events]


def save_outcomes_png(path: Path, outcomes: Sequence[Outcome], *, title: str) -> None:
    """Save a picture of events with the prediction on top of the target and the peaks marked.

    Each event is a row: the whole beam line, and beside it the 40 mm with the most mistakes, or,
    without any, the busiest ones.

    Args:
        path: PNG to write.
        outcomes: The events from above to below, at least one.
        title: Above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height_in = 1.3 + 2.7 * len(outcomes)
    figure = Figure(figsize=(13.0, height_in), dpi=100)
    FigureCanvasAgg(figure)
    # Margins by hand, in inches: a layout engine takes longer than the drawing itself.
    figure.subplots_adjust(
        left=0.05,
        right=0.985,
        top=1 - 0.65 / height_in,
        bottom=0.85 / height_in,
        hspace=0.3,
        wspace=0.1,
    )
    grid = figure.subplots(len(outcomes), 2, width_ratios=[2.2, 1], squeeze=False)
    for (whole, near), outcome in zip(grid, outcomes, strict=True):
        start_mm, stop_mm = _choose_span_mm(outcome)
        height = _find_height(outcome)
        for axes in (whole, near):
            _plot_outcome(axes, outcome, height)
        whole.axvspan(start_mm, stop_mm, facecolor="none", edgecolor="black", linestyle=":")
        whole.set_xlim(Z_MIN_MM, Z_MAX_MM)
        near.set_xlim(start_mm, stop_mm)
        whole.set_ylabel("height")
        whole.set_title(
            f"validation event {outcome.event}: {outcome.num_found} found, "
            f"{outcome.num_missed} missed, {outcome.num_false} false",
            loc="left",
            fontsize="medium",
        )
        near.set_title("the dotted box, enlarged", loc="left", fontsize="medium")
    for axes in grid[-1]:
        axes.set_xlabel(Z_LABEL)
    grid[0][0].fill_between([], [], color=MASK_COLOR, alpha=0.4, label="masked")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    figure.suptitle(title, x=0.01, y=1 - 0.1 / height_in, ha="left", va="top")
    figure.savefig(path)


def _plot_outcome(axes: Axes, outcome: Outcome, height: float) -> None:
    z_mm = compute_bin_centers_mm()
    target_L = np.nan_to_num(outcome.target_L)
    axes.fill_between(z_mm, target_L, step="mid", color=TARGET_COLOR, alpha=0.2, linewidth=0)
    for curve_L, color, label in (
        (target_L, TARGET_COLOR, "target"),
        (outcome.prediction_L, PREDICTION_COLOR, "prediction"),
    ):
        axes.step(z_mm, curve_L, where="mid", color=color, linewidth=1.1, label=label)
    for first_mm, last_mm in find_masked_spans_mm(outcome.target_L):
        axes.axvspan(first_mm, last_mm, color=MASK_COLOR, alpha=0.4, linewidth=0)
    peaks = outcome.peaks
    for positions_P, curve_L, marker, color, label in (
        (peaks.found_P, target_L, "v", FOUND_COLOR, "true peak, found"),
        (peaks.missed_P, target_L, "x", TARGET_COLOR, "true peak, missed"),
        (peaks.false_P, outcome.prediction_L, "D", FALSE_COLOR, "false peak"),
    ):
        tops = [find_top(curve_L, position) + 0.06 * height for position in positions_P.tolist()]
        axes.plot(
            to_mm(positions_P),
            tops,
            linestyle="none",
            marker=marker,
            markersize=6,
            markeredgewidth=2 if marker == "x" else 1,
            color=color,
            label=label,
        )
    axes.set_ylim(0.0, 1.16 * height)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _choose_span_mm(outcome: Outcome) -> tuple[float, float]:
    """Choose the stretch to enlarge: with the most mistakes, or the busiest without any."""
    wrong_mm = to_mm(torch.cat([outcome.peaks.missed_P, outcome.peaks.false_P]))
    if not len(wrong_mm):
        return find_busiest_span_mm(outcome.target_L, NEAR_MM)
    starts_mm = np.clip(wrong_mm - NEAR_MM / 2, Z_MIN_MM, Z_MAX_MM - NEAR_MM)
    found_mm = to_mm(outcome.peaks.found_P)
    num_within = [
        (_count_within(wrong_mm, start), _count_within(found_mm, start)) for start in starts_mm
    ]
    start_mm = float(starts_mm[num_within.index(max(num_within))])
    return start_mm, start_mm + NEAR_MM


def _count_within(position_mm: NDArray[np.float64], start_mm: float) -> int:
    return int(((position_mm >= start_mm) & (position_mm <= start_mm + NEAR_MM)).sum())


def to_mm(position_P: Tensor) -> NDArray[np.float64]:
    """Turn positions in bins, shape (P,), into mm along the beam line."""
    return Z_MIN_MM + (position_P.numpy().astype(np.float64) + 0.5) * BIN_WIDTH_MM


def find_top(curve_L: NDArray[np.float32], position: float) -> float:
    """Find the height of a peak: the largest value within half a millimetre."""
    center, reach = round(position), round(0.5 / BIN_WIDTH_MM)
    return float(np.nanmax(curve_L[max(0, center - reach) : min(NUM_BINS, center + reach + 1)]))


def _find_height(outcome: Outcome) -> float:
    shown = np.concatenate([outcome.target_L, outcome.prediction_L])
    height = float(np.nanmax(shown))
    return height if height > 0 else 1.0

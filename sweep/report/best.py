"""The best trial, looked at: its learning curves and what its network makes of events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweep.data.events import EventSet
from sweep.data.geometry import to_mm
from sweep.errors import ConflictError, ModelError
from sweep.figures.inspection import draw_inspected
from sweep.figures.learning_curves import draw_learning_curves
from sweep.metrics.inspected import InspectedEvent
from sweep.metrics.score import get_score
from sweep.metrics.wording import write_count, write_number
from sweep.metrics.writing import list_known, write_plain
from sweep.report.blocks import Block, Column, Figure, Table, Text
from sweep.results.inspection import choose_inspected, describe_inspected
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow
from sweep.storage.tables import Epoch


def show_curves(status: Status, trial: TrialRow, curve: Sequence[Epoch], key: str) -> Figure:
    """Show a trial's learning curves."""
    scores = [get_score(epoch) for epoch in curve]
    metrics = list_known(scores)
    rows = [
        (
            str(epoch.epoch),
            write_number(epoch.train_loss),
            *(write_plain(metric, score, fine=True) for metric in metrics),
            write_number(epoch.lr, 3),
            f"{epoch.duration_s:.1f}",
        )
        for epoch, score in zip(curve, scores, strict=True)
    ]
    labels = [metric.label for metric in metrics]
    names = ("epoch", "training loss", *labels, "learning rate", "seconds")
    columns = tuple(Column(name, True) for name in names)
    told = [
        f"the {metric.label} goes from {ends[0]} to {ends[1]}"
        for metric in metrics
        if (ends := [write_number(metric.measure(scores[place])) for place in (0, -1)])
    ]
    return Figure(
        f"{key}-curves",
        f"Learning curves of trial {trial.number}: losses per event beside the null loss, "
        "and the other metrics.",
        f"Line chart over {write_count(len(curve), 'epoch')}: {', '.join(told)}.",
        draw_learning_curves(curve, status.config.data.null_loss),
        Table(f"Epochs of trial {trial.number} of {status.sweep.name}", columns, rows),
    )


def show_outputs(
    status: Status, trial: TrialRow, artifacts: Path, events: EventSet | None, key: str
) -> list[Block]:
    """Show what a trial's network makes of some validation events, or say why not.

    Args:
        trial: Complete and feasible.
        events: Validation events, or None where they are not on this machine.
    """
    if events is None:
        return [Text("No sample outputs: the events are not on this machine.")]
    try:
        inspected = choose_inspected(status, trial, artifacts, events)
    except (ModelError, ConflictError) as exc:
        return [Text(f"No sample outputs: the network cannot be built again here. ({exc})")]
    return [show_inspected(inspected, trial, key)]


def show_inspected(inspected: Sequence[InspectedEvent], trial: TrialRow, key: str) -> Figure:
    """Show what a network made of events, as `choose_inspected` gives them."""
    rows = [row for event in inspected for row in _list_peaks(event)]
    said = "; ".join(
        f"event {e.event}: {e.num_found} found, {e.num_missed} missed, {e.num_false} false"
        for e in inspected
    )
    columns = (Column("event", True), Column("peak"), Column("z (mm)", True))
    return Figure(
        f"{key}-outputs",
        f"Sample outputs of trial {trial.number}, prediction on top of the target: the "
        f"{describe_inspected(inspected)}. Drag to zoom along the beam line.",
        "Line charts along the beam line with true peaks found, missed, and false ones marked. "
        f"{said}.",
        draw_inspected(inspected),
        Table(f"Peaks of the sample outputs of trial {trial.number}", columns, rows),
    )


def _list_peaks(event: InspectedEvent) -> list[Sequence[str]]:
    found = [
        (z_mm, what)
        for what, positions_P in (
            ("true, found", event.peaks.found_P),
            ("true, missed", event.peaks.missed_P),
            ("false", event.peaks.false_P),
        )
        for z_mm in to_mm(positions_P).tolist()
    ]
    return [(str(event.event), what, f"{z_mm:.2f}") for z_mm, what in sorted(found)]

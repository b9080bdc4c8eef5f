"""The best trial, looked at: its learning curves and what its network makes of events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from storage.epochs import Epoch, TrialRow
from sweep.data.events import EventSet
from sweep.data.store import Progress
from sweep.errors import ModelError
from sweep.figures.event_pages import draw_outcomes
from sweep.figures.outcomes import Outcome, find_worst, judge_events, to_mm
from sweep.figures.trials import draw_learning_curves
from sweep.report.blocks import Block, Column, Figure, Row, Table, Text
from sweep.results.evaluation import rebuild_network
from sweep.results.status import Status
from sweep.wording import write_count, write_number

NUM_FIRST = 2
NUM_JUDGED = 50
"""Among so many validation events, the first ones, the worst is looked for."""


def show_curves(status: Status, trial: TrialRow, curve: Sequence[Epoch], key: str) -> Figure:
    """Show a trial's learning curves."""
    last = curve[-1]
    rows = [
        Row(
            (
                str(epoch.epoch),
                write_number(epoch.train_loss),
                write_number(epoch.validation_loss),
                f"{epoch.efficiency:.4f}",
                write_number(epoch.fp_rate),
                write_number(epoch.lr, 3),
                f"{epoch.duration_s:.1f}",
            )
        )
        for epoch in curve
    ]
    names = ("epoch", "training loss", "validation loss", "efficiency", "FP / event")
    columns = tuple(Column(name, True) for name in (*names, "learning rate", "seconds"))
    return Figure(
        f"{key}-curves",
        f"Learning curves of trial {trial.number}: losses per event beside the null loss, "
        "efficiency, false positives per event.",
        f"Line chart over {write_count(len(curve), 'epoch')}: the validation loss goes from "
        f"{write_number(curve[0].validation_loss)} to {write_number(last.validation_loss)}, the "
        f"efficiency from {curve[0].efficiency:.3f} to {last.efficiency:.3f}.",
        draw_learning_curves(curve, status.config.data.null_loss),
        Table(f"Epochs of trial {trial.number} of {status.sweep.name}", columns, rows),
    )


def choose_outcomes(
    status: Status,
    trial: TrialRow,
    artifacts: Path,
    events: EventSet,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run a trial's network on its first validation events, and find the worst of some more.

    Args:
        status: Of the trial's sweep.
        trial: Complete and feasible.
        artifacts: Folder where the workers kept its weights.
        events: The sweep's validation events.
        progress: Told how many of how many events are judged.

    Returns:
        The first NUM_FIRST, then the one with the most mistakes among the first NUM_JUDGED, where
        that is another.

    Raises:
        ModelError: when the network cannot be built again on this machine.
    """
    network = rebuild_network(status, trial, artifacts)
    outcomes = judge_events(network, events, NUM_JUDGED, progress)
    first = outcomes[:NUM_FIRST]
    return first + [outcome for outcome in find_worst(outcomes, 1) if outcome not in first]


def show_outputs(
    status: Status, trial: TrialRow, artifacts: Path, events: EventSet | None, key: str
) -> list[Block]:
    """Show what a trial's network makes of some validation events, or say why not.

    Args:
        status: Of the trial's sweep.
        trial: Complete and feasible.
        artifacts: Folder where the workers kept its weights.
        events: Validation events, or None where they are not on this machine.
        key: What the figure's key begins with.
    """
    if events is None:
        return [Text("No sample outputs: the events are not on this machine.")]
    try:
        outcomes = choose_outcomes(status, trial, artifacts, events)
    except ModelError as exc:
        return [Text(f"No sample outputs: the network cannot be built again here. ({exc})")]
    return [show_outcomes(outcomes, trial, key)]


def show_outcomes(outcomes: Sequence[Outcome], trial: TrialRow, key: str) -> Figure:
    """Show what a network made of events, as `choose_outcomes` gives them."""
    rows = [row for outcome in outcomes for row in _list_peaks(outcome)]
    said = "; ".join(
        f"event {o.event}: {o.num_found} found, {o.num_missed} missed, {o.num_false} false"
        for o in outcomes
    )
    columns = (Column("event", True), Column("peak"), Column("z (mm)", True))
    return Figure(
        f"{key}-outputs",
        f"Sample outputs of trial {trial.number}, prediction on top of the target: the "
        f"{describe_outcomes(outcomes)}. Drag to zoom along the beam line.",
        "Line charts along the beam line with true peaks found, missed, and false ones marked. "
        f"{said}.",
        draw_outcomes(outcomes),
        Table(f"Peaks of the sample outputs of trial {trial.number}", columns, rows),
    )


def describe_outcomes(outcomes: Sequence[Outcome]) -> str:
    """Say which events these are."""
    worst = f" and the one with the most mistakes of the first {NUM_JUDGED}"
    return f"first {NUM_FIRST} validation events" + worst * (len(outcomes) > NUM_FIRST)


def _list_peaks(outcome: Outcome) -> list[Row]:
    found = [
        (z_mm, what)
        for what, positions_P in (
            ("true, found", outcome.peaks.found_P),
            ("true, missed", outcome.peaks.missed_P),
            ("false", outcome.peaks.false_P),
        )
        for z_mm in to_mm(positions_P).tolist()
    ]
    return [Row((str(outcome.event), what, f"{z_mm:.2f}")) for z_mm, what in sorted(found)]

"""What ending trials early saved: epochs and training time that were not spent, estimated."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

from sweep.metrics.wording import write_count, write_percent, write_time
from sweep.report.blocks import Block, Column, Table, Text
from sweep.results.status import Status
from sweep.storage.epochs import Curves
from sweep.storage.sweeps import FAILED, PRUNED

OUTCOMES = {
    "complete": "trained to the end and found something",
    "pruned": "worse than the other trials at the same epoch",
    "over_limit": "beyond what the sweep allows a network to cost",
    "diverged": "its loss was no number any more",
    "timeout": "trained for longer than a trial may",
    "error": "the network raised an error",
    "out_of_memory": "did not fit into the memory, alone on its device",
    "lost": "its workers were killed again and again",
}
"""What each outcome of a trial means; of a dead one the objective says it."""
ENDINGS = {PRUNED: "ended early", FAILED: "failed"}


@dataclass(frozen=True)
class Savings:
    """Epochs trained and, by an estimate, not trained.

    Attributes:
        num_spent, spent_s: Epochs of all trials, and the time they took.
        num_saved: Epochs that trials ended early did not train.
        saved_s: The time these would have taken at their own trial's mean pace, or the sweep's
            median where the trial has no epoch.
        num_cut: Trials ended early.
    """

    num_spent: int
    spent_s: float
    num_saved: int
    saved_s: float
    num_cut: int


def estimate_savings(status: Status, curves: Curves) -> Savings:
    """Estimate what ending trials early saved; a failed trial saves nothing."""
    durations = [epoch.duration_s for curve in curves.values() for epoch in curve]
    usual_s = statistics.median(durations) if durations else 0.0
    cut = [trial for trial in status.begun if trial.state == PRUNED]
    num_saved, saved_s = 0, 0.0
    for trial in cut:
        curve = curves.get(trial.id, [])
        num_left = max(0, status.config.recipe.epochs - len(curve))
        pace_s = statistics.fmean(e.duration_s for e in curve) if curve else usual_s
        num_saved += num_left
        saved_s += num_left * pace_s
    return Savings(len(durations), sum(durations), num_saved, saved_s, len(cut))


def describe_endings(status: Status, curves: Curves) -> list[Block]:
    """Say what became of the trials, and what ending some early saved."""
    finished = Counter(
        (trial.outcome or trial.state, trial.state)
        for trial in status.begun
        if trial.finished_s is not None
    )
    meanings = OUTCOMES | {"dead": status.explain_death()}
    rows = [
        (
            outcome,
            ENDINGS.get(state, "trained to the end"),
            str(number),
            meanings.get(outcome, ""),
        )
        for (outcome, state), number in finished.most_common()
    ]
    columns = (Column("outcome"), Column("how it ended"), Column("trials", True), Column("why"))
    table = Table(f"What became of the trials of {status.sweep.name}", columns, rows)
    blocks: list[Block] = [table, Text(_say_savings(estimate_savings(status, curves)))]
    if told := status.tell_flatness():
        blocks.append(Text(f"The search ended early. {told[0].upper()}{told[1:]}."))
    blocks += [
        Text(f"Trial {trial.number} failed: {trial.short_reason}")
        for trial in status.begun
        if trial.state == FAILED
    ]
    return blocks


def _say_savings(savings: Savings) -> str:
    spent = f"{write_count(savings.num_spent, 'epoch')} in {write_time(savings.spent_s)}"
    if not savings.num_cut:
        return f"No trial was ended early, so nothing was saved: {spent} of training in all."
    share = savings.saved_s / (savings.saved_s + savings.spent_s or 1.0)
    return (
        f"{write_count(savings.num_cut, 'trial')} ended early. That left "
        f"{write_count(savings.num_saved, 'epoch')} untrained, by an estimate from the recorded "
        f"durations {write_time(savings.saved_s)} of training, {write_percent(share)} of what all "
        f"trials trained to the end would have taken. Trained were {spent}."
    )

"""Tells a sweep's trials apart for pictures of them: complete, pruned, dead, best; the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.figures.colors import (
    BEST_COLOR,
    COLORS,
    COMPLETE_COLOR,
    DEAD_COLOR,
    LIMITED_COLOR,
    PRUNED_COLOR,
)
from sweep.figures.style import SYMBOLS
from sweep.metrics.score import Score
from sweep.metrics.table import EFFICIENCY, FP_RATE
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import COMPLETE, PRUNED


@dataclass(frozen=True)
class Group:
    """Trials that are drawn alike."""

    name: str
    color: str
    symbol: str
    size: int
    trials: Sequence[TrialRow]
    is_complete: bool = False


def group_trials(status: Status, max_points: int) -> list[Group]:
    """Tell finished trials apart: pruned, dead, complete, and the best one.

    Of several architectures those that are complete are told apart by these.

    Returns:
        The groups in drawing order; together at most `max_points` trials, half of them the best,
        then the latest of every kind.
    """
    best = status.best
    order = [
        *status.ranked[: max_points // 2],
        *sorted(status.begun, key=lambda trial: -trial.slot),
    ]
    kept = {trial.id: trial for trial in order if trial.best is not None}
    shown = sorted(list(kept.values())[:max_points], key=lambda trial: trial.slot)
    dead = [trial for trial in shown if trial.outcome == "dead"]
    pruned = [trial for trial in shown if trial.state == PRUNED and trial.outcome != "dead"]
    over = [t for t in shown if t.state == COMPLETE and not t.feasible and t not in dead]
    complete = [trial for trial in shown if trial.feasible and best and trial.id != best.id]
    parts = {part.config.label: {row.id for row in part.begun} for part in status.narrow_all()}
    architectures = [
        Group(
            label,
            COLORS[number % len(COLORS)],
            SYMBOLS[(number + number // len(COLORS)) % len(SYMBOLS)],
            7,
            [trial for trial in complete if trial.id in own],
            is_complete=True,
        )
        for number, (label, own) in enumerate(parts.items())
    ]
    alike = [Group("complete", COMPLETE_COLOR, "circle", 7, complete, is_complete=True)]
    return [
        Group("pruned", PRUNED_COLOR, "circle", 6, pruned),
        Group("dead", DEAD_COLOR, "x", 6, dead),
        *([Group("over a limit", LIMITED_COLOR, "circle-open", 6, over)] if over else []),
        *(architectures if status.config.architectures else alike),
        Group("best", BEST_COLOR, "star", 13, [best] if best else [], is_complete=True),
    ]


def find_front(scores: Sequence[Score]) -> list[tuple[float, float]]:
    """Find the FP rates and efficiencies that no other beats in both, by rising FP rate."""
    front: list[tuple[float, float]] = []
    points = [(FP_RATE.measure(score), EFFICIENCY.measure(score)) for score in scores]
    for fp_rate, efficiency in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or efficiency > front[-1][1]:
            front.append((fp_rate, efficiency))
    return front

"""What a sweep has come to so far: its winner, and its best trials by loss and by efficiency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from sweep.metrics.score import Score
from sweep.metrics.table import EFFICIENCY, OBJECTIVES, VALIDATION_LOSS
from sweep.results.best import get_number, get_trial_score
from sweep.results.confirmation import find_confirmation
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow


@dataclass(frozen=True)
class Champion:
    """A trial that stands for its sweep.

    Attributes:
        title: What makes it one.
        name: Which trial it is.
        events: On which events its score was found.
        trial: Its number in the sweep's study; None where it is a confirmation's.
    """

    title: str
    name: str
    events: str
    score: Score
    trial: int | None


def list_champions(engine: sa.Engine, status: Status) -> list[Champion]:
    """List the trials that stand for a sweep: its confirmed winner first, then the best.

    The best by the objective, by loss and by efficiency are often one trial, which then stands
    once. There is none by false positives: one that predicts nothing has the fewest.

    Returns:
        Nothing where no trial is complete and feasible.
    """
    return [*_find_winner(engine, status), *_list_best(status)]


def _find_winner(engine: sa.Engine, status: Status) -> Iterator[Champion]:
    found = find_confirmation(engine, status)
    if found is None or not found.is_settled:
        return
    winner, trial = found.winner, found.find_trial()
    if winner is None or trial is None:
        return
    name = found.names[winner]
    if found.opened is not None:
        yield Champion("winner", name, f"{found.num_test} events set aside", found.opened, None)
    else:
        score = get_trial_score(trial)
        yield Champion("winner", name, "validation events, trained anew", score, None)


def _list_best(status: Status) -> Iterator[Champion]:
    by_trial: dict[int, tuple[TrialRow, list[str]]] = {}
    metrics = (OBJECTIVES[status.config.search.objective], VALIDATION_LOSS, EFFICIENCY)
    for metric in dict.fromkeys(metrics):
        rated = [
            (metric.sign * value, trial.slot, trial)
            for trial in status.ranked
            if (value := metric.compute(get_trial_score(trial))) is not None
        ]
        if rated:
            best = min(rated, key=lambda entry: entry[:2])[2]
            by_trial.setdefault(best.id, (best, []))[1].append(metric.label)
    for trial, labels in by_trial.values():
        number = get_number(trial)
        model = (
            f", {status.narrow_to(trial)[0].config.label}" if status.config.architectures else ""
        )
        yield Champion(
            f"best by {' and '.join(labels)}",
            f"trial {number}{model}",
            "validation events",
            get_trial_score(trial),
            number,
        )

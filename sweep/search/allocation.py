"""Which architecture the next trial of a sweep of several has: the budget goes to what promises.

Each has a few trials first, so that none is left out before it has shown what it can. Then the
share that comes among the best decides: a number is drawn for each architecture out of what its
trials so far say of that share, and the highest has the trial (Thompson, Biometrika 25:285, 1933).
So one that was unlucky is asked again, ever more rarely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from sweep.config import MODEL
from sweep.search.draw import Outlook
from sweep.search.trial_table import open_table
from sweep.storage.study_cache import get_choice

NUM_FIRST = 2
"""Trials of each architecture before any is preferred, its recommended point among them: as good as
any with many trials, and with 30 of nine architectures better than three (benchmarks/search)."""
MOST_FAILED = 2
"""One whose first so many trials all failed has no more: it would end the sweep for the others."""
BEST_SHARE = 0.2
"""Of the trials that have shown something, those that count as the best."""


@dataclass(frozen=True)
class Tried:
    """A trial that has begun.

    Attributes:
        label: Of its architecture.
        value: Its expected end, lower is better; NaN where nothing is known yet.
        is_failed: Whether it ended by a fault.
    """

    label: str
    value: float
    is_failed: bool = False


def choose_architecture(
    labels: Sequence[str], tried: Sequence[Tried], rng: np.random.Generator
) -> str:
    """Choose the architecture of the next trial.

    Args:
        tried: The trials that have begun, those that run too.
    """
    own = {label: [one for one in tried if one.label == label] for label in labels}
    usable = [label for label in labels if not _has_failed(own[label])] or list(labels)
    fewest = min(usable, key=lambda label: len(own[label]))
    if len(own[fewest]) < NUM_FIRST:
        return fewest
    known = sorted(one.value for one in tried if math.isfinite(one.value))
    bar = known[math.ceil(BEST_SHARE * len(known)) - 1] if known else math.inf
    prior = 1.0, 1.0 / BEST_SHARE - 1.0  # as if one of so many had been among the best
    drawn = {}
    for label in usable:
        values = [one.value for one in own[label] if math.isfinite(one.value) or one.is_failed]
        num_best = sum(value <= bar for value in values)
        drawn[label] = rng.beta(prior[0] + num_best, prior[1] + len(values) - num_best)
    return max(usable, key=drawn.__getitem__)


def list_tried(trials: Sequence[FrozenTrial], outlook: Outlook) -> list[Tried]:
    """List what is known of a study's trials.

    Args:
        trials: Each with its architecture as MODEL.
    """
    value_N = open_table((), outlook, trials).see(np.arange(len(trials))).value_N
    return [
        Tried(str(get_choice(trial, MODEL)), float(value), trial.state == TrialState.FAIL)
        for trial, value in zip(trials, value_N, strict=True)
    ]


def _has_failed(tried: Sequence[Tried]) -> bool:
    """Say whether an architecture has come to nothing but faults."""
    return len(tried) >= MOST_FAILED and all(one.is_failed for one in tried)

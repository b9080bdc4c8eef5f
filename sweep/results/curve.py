"""CurveTrial-size curves: the metrics against the number of training events, with their spread.

With few repeats their mean is given with the lowest and the highest of them, which assume nothing
about their distribution. Beside that stands the 68 % interval from the finite number of validation
events (Clopper-Pearson, Garwood): all trials share those events, so it moves a whole curve up or
down and hardly changes its slope. Networks that found nothing are counted and left out of the
means: their numbers mean nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sweep.config import CurveConfig, SweepConfig
from sweep.metrics.score import average_scores, get_score
from sweep.metrics.table import EFFICIENCY, METRICS, Metric
from sweep.metrics.writing import describe_metrics
from sweep.plan.curve_trials import CurveTrial, list_curve_trials
from sweep.results.best import get_epoch
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow
from sweep.storage.tables import Epoch

LARGE_SHARE = 0.5
"""From this share of the events on, repeats train with mostly the same ones, which is said."""


@dataclass(frozen=True)
class Spread:
    """One metric over the repeats.

    Attributes:
        mean, low, high: Over the repeats: the mean, the lowest, the highest.
        interval: The mean's 68 % interval from the finite number of validation events; None for
            a metric that has none.
    """

    mean: float
    low: float
    high: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class SizePoint:
    """What came of one number of training events.

    Attributes:
        num_train: Training events.
        epochs: The finished trainings that found something, by repeat (from 1).
        num_dead: Finished trainings that found nothing.
        num_lost: Trainings that failed, diverged or were cut short.
        spreads: Of the metrics over `epochs`, by their keys, where all of these have one; empty
            where there are no epochs.
    """

    num_train: int
    epochs: Mapping[int, Epoch]
    num_dead: int
    num_lost: int
    spreads: Mapping[str, Spread]


@dataclass(frozen=True)
class Gain:
    """How much a metric differs between two sizes, repeat by repeat.

    Attributes:
        first, last: The two numbers of training events.
        mean, low, high: Of the differences within a repeat, last minus first.
        num_repeats: Repeats in which both sizes found something.
        num_better: Of these, where the larger size has the higher efficiency.
    """

    first: int
    last: int
    mean: float
    low: float
    high: float
    num_repeats: int
    num_better: int


@dataclass(frozen=True)
class SampleSizeCurve:
    """A sample-size curve as far as it has come."""

    sweep: str
    config: SweepConfig
    design: CurveConfig
    points: Sequence[SizePoint]


def compute_curve(status: Status) -> SampleSizeCurve:
    """Compute a sample-size curve from its trials so far.

    Raises:
        ValueError: when the sweep is a search.
    """
    design = status.config.curve
    if design is None:
        raise ValueError(f"sweep {status.sweep.name}: got a search, expected sizes")
    samples = list_curve_trials(design)
    trials = [(samples[trial.slot], trial) for trial in status.begun]
    points = [_compute_point(size, trials) for size in design.sizes]
    return SampleSizeCurve(status.sweep.name, status.config, design, points)


def _compute_point(size: int, trials: Sequence[tuple[CurveTrial, TrialRow]]) -> SizePoint:
    mine = [(sample.repeat, trial) for sample, trial in trials if sample.num_train == size]
    finished = [trial for _repeat, trial in mine if trial.finished_s is not None]
    epochs = {repeat: get_epoch(trial) for repeat, trial in mine if trial.feasible}
    num_dead = sum(trial.outcome == "dead" for trial in finished)
    return SizePoint(
        num_train=size,
        epochs=epochs,
        num_dead=num_dead,
        num_lost=len(finished) - num_dead - len(epochs),
        spreads=_compute_spreads(list(epochs.values())),
    )


def _compute_spreads(epochs: Sequence[Epoch]) -> dict[str, Spread]:
    """Compute the spreads; the intervals are those of one network with the mean counts."""
    if not epochs:
        return {}
    scores = [get_score(epoch) for epoch in epochs]
    one = average_scores(scores)
    spreads = {}
    for metric in METRICS:
        values = [value for value in map(metric.compute, scores) if value is not None]
        if len(values) == len(scores):
            spreads[metric.key] = _spread(values, metric.compute_interval(one))
    return spreads


def _spread(values: Sequence[float], interval: tuple[float, float] | None) -> Spread:
    return Spread(statistics.fmean(values), min(values), max(values), interval)


def compute_gain(curve: SampleSizeCurve) -> Gain | None:
    """Compute how much efficiency the largest size has over the smallest, repeat by repeat.

    Returns:
        None where no repeat has both.
    """
    first, last = curve.points[0], curve.points[-1]
    differences = [
        EFFICIENCY.measure(get_score(epoch)) - EFFICIENCY.measure(get_score(first.epochs[repeat]))
        for repeat, epoch in last.epochs.items()
        if repeat in first.epochs
    ]
    if not differences or first is last:
        return None
    return Gain(
        first=first.num_train,
        last=last.num_train,
        mean=statistics.fmean(differences),
        low=min(differences),
        high=max(differences),
        num_repeats=len(differences),
        num_better=sum(difference > 0 for difference in differences),
    )


def list_metrics(curve: SampleSizeCurve) -> list[Metric]:
    """List the metrics that some size has, in their order; all where none has any yet."""
    spreads = [point.spreads for point in curve.points if point.spreads]
    return [m for m in METRICS if not spreads or any(m.key in found for found in spreads)]


def describe_caveats(curve: SampleSizeCurve) -> list[str]:
    """Say what a reader of a curve has to know of how it was made, one sentence each."""
    design, data, origin = curve.design, curve.config.data, curve.design.origin
    kept = (
        f"as many event-passes at every size ({curve.config.recipe.epochs} epochs at the largest)"
        if design.equal == "passes"
        else f"{curve.config.recipe.epochs} epochs at every size"
    )
    lines = [f"trained with {kept}; every trial is judged on the same {data.num_validation} events"]
    if origin is None:
        lines.append("hyperparameters: the architecture's own settings, the same at every size")
    else:
        lines.append(
            f"hyperparameters: trial {origin.trial} of sweep {origin.sweep}, found best with "
            f"{origin.num_train} training events, the same at every size"
        )
    if origin is not None and origin.num_shared_validation:
        lines.append(
            f"that trial was chosen on {origin.num_shared_validation} of these validation events: "
            "the level of the curve is flattered, most of all near the size it was found with"
        )
    share = design.sizes[-1] / data.num_train
    if design.repeats > 1 and share >= LARGE_SHARE:
        lines.append(
            f"at {design.sizes[-1]} of {data.num_train} training events the repeats share most or "
            "all of them: their spread there is mainly that of weights and order"
        )
    return lines


def describe_curve(curve: SampleSizeCurve) -> dict[str, Any]:
    """Give what `sweep curve --json` prints of a curve."""
    gain = compute_gain(curve)
    return {
        "model": curve.config.model,
        "equal": curve.design.equal,
        "repeats": curve.design.repeats,
        "training_events": curve.config.data.num_train,
        "validation_events": curve.config.data.num_validation,
        "origin": curve.design.origin.model_dump() if curve.design.origin else None,
        "points": [_describe_point(point) for point in curve.points],
        "gain": asdict(gain) if gain else None,
        "caveats": describe_caveats(curve),
    }


def _describe_point(point: SizePoint) -> dict[str, Any]:
    return {
        "num_train": point.num_train,
        "found_something": len(point.epochs),
        "dead": point.num_dead,
        "lost": point.num_lost,
        **{name: asdict(spread) for name, spread in point.spreads.items()},
        "trials": [
            {"repeat": repeat, "epoch": epoch.epoch, **describe_metrics(get_score(epoch))}
            for repeat, epoch in sorted(point.epochs.items())
        ],
    }

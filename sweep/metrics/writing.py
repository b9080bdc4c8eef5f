"""Writes scores: as JSON, and for people, each metric with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sweep.metrics.score import Score
from sweep.metrics.table import METRICS, Interval, Metric
from sweep.metrics.wording import write_number, write_rate

NOTHING = "none"


def describe_metrics(score: Score) -> dict[str, float]:
    """Give the metrics of a score by their keys; those without a value are left out."""
    found = ((metric.key, metric.compute(score)) for metric in METRICS)
    return {key: value for key, value in found if value is not None}


def describe_score(score: Score) -> dict[str, Any]:
    """Turn a score into what a JSON file holds.

    Returns:
        The counts, the metrics, and intervals as [low, high] with None for an end at infinity;
        metrics and intervals without a value are left out.
    """
    row = score.to_row()
    row["true_peaks"] = score.counts.true_peaks
    row = {name: value for name, value in row.items() if value is not None}
    row |= describe_metrics(score)
    for metric in METRICS:
        interval = metric.compute_interval(score)
        if interval is not None:
            ends = [end if math.isfinite(end) else None for end in interval]
            row[f"{metric.key}_interval"] = ends
    return row


def write_plain(metric: Metric, score: Score | None, *, fine: bool = False, none: str = "") -> str:
    """Write a value alone, to be glanced at or, finely, to be looked up."""
    value = None if score is None else metric.compute(score)
    return none if value is None else f"{value:{metric.fine if fine else metric.form}}"


def write_bars(metric: Metric, score: Score) -> str:
    """Write a value with the distances to its interval's ends: 0.873 +0.007 -0.008."""
    value, interval = metric.compute(score), metric.compute_interval(score)
    if value is None or interval is None:
        return write_plain(metric, score)
    above, below = interval[1] - value, value - interval[0]
    high, low = f"{above:{metric.form}}", f"{below:{metric.form}}"
    ends = f"+-{high}" if math.isclose(above, below) else f"+{high} -{low}"
    return f"{value:{metric.form}} {ends}"


def write_fine(metric: Metric, score: Score) -> str:
    """Write a value with its interval, to be looked up: 0.8734 (0.8650 to 0.8812)."""
    text, interval = write_plain(metric, score, fine=True, none=NOTHING), None
    interval = metric.compute_interval(score)
    return text if interval is None else f"{text} ({write_ends(metric, interval)})"


def write_ends(metric: Metric, interval: Interval) -> str:
    """Write the ends of an interval of a metric: 0.8650 to 0.8812."""
    return " to ".join(f"{end:{metric.fine}}" for end in interval)


def write_metric(metric: Metric, score: Score) -> str:
    """Write a value for a page, with its interval to two digits of that: 0.783 (0.769 to 0.796)."""
    value, interval = metric.compute(score), metric.compute_interval(score)
    if value is None:
        return NOTHING
    return write_number(value) if interval is None else write_rate(value, interval)


def list_phrases(score: Score) -> str:
    """Tell all metrics in a line: `loss 0.035, efficiency 0.863, 0.072 FP / event`."""
    return ", ".join(
        metric.phrase.format(write_plain(metric, score)) for metric in list_known([score])
    )


def list_sentences(score: Score) -> list[str]:
    """Tell each metric in words with its interval: `0.072 (0.059 to 0.089) false positives ...`."""
    return [metric.sentence.format(write_metric(metric, score)) for metric in list_known([score])]


def list_known(scores: Sequence[Score | None]) -> list[Metric]:
    """List the metrics that at least one of some scores has; all of them where there is none.

    A column of nothing is left out: what an older version wrote has fewer metrics.
    """
    found = [score for score in scores if score is not None]
    return [m for m in METRICS if not found or any(m.compute(s) is not None for s in found)]


def list_spare(metrics: Sequence[Metric]) -> list[str]:
    """List the heads of the columns that a line that is too short does without."""
    return [metric.head for metric in metrics if not metric.is_main]

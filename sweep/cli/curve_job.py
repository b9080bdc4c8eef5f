"""The job behind `sweep curve`: the main job, whose trials are shown as a sample-size curve."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from sweep.cli.console import open_console
from sweep.cli.grid import Grid, name_columns
from sweep.cli.job_options import JobOptions
from sweep.cli.output import print_json, print_note
from sweep.cli.run_job import carry_out
from sweep.figures.curve import write_curves
from sweep.metrics.table import Metric
from sweep.metrics.writing import list_spare, write_ends
from sweep.plan.request import Request
from sweep.results.curve import (
    SampleSizeCurve,
    SizePoint,
    compute_curve,
    compute_gain,
    describe_caveats,
    describe_curve,
    list_metrics,
)
from sweep.results.status import Status


def run_curve(
    request: Request,
    options: JobOptions,
    plot: Path | None,
    *,
    as_json: bool,
) -> None:
    """Create a sample-size curve or go on with it, train its trials, and show the curve.

    Args:
        request: What was asked of it, complete.
        options: How far to go and where, with the curve's name.

    Raises:
        SweepError, StorageError: when something asked for cannot be, or the workers failed.
    """

    def show(_engine: sa.Engine, status: Status, as_json: bool) -> None:
        curve = compute_curve(status)
        if as_json:
            print_json({**status.to_json(), **describe_curve(curve)})
        else:
            print_curve(curve)
        if plot is not None:
            write_curves(plot, [curve], title=curve.sweep)
            print_note(f"{plot}: {curve.sweep} drawn")

    carry_out(request, options, show, as_json=as_json)


def print_curve(curve: SampleSizeCurve) -> None:
    """Print a curve: one line a size, each metric with its lowest and highest repeat."""
    console = open_console()
    console.print(f"{curve.sweep}: mean over the repeats, and from the lowest to the highest")
    metrics = list_metrics(curve)
    titles = ("events", "repeats", *(metric.head for metric in metrics))
    table = Grid(name_columns(*titles, prose=("repeats",), spare=list_spare(metrics)))
    for point in curve.points:
        cells = (_write_spread(metric, point) for metric in metrics)
        table.add_row(str(point.num_train), _count(curve, point), *cells)
    console.print(table)
    for line in [*_list_findings(curve), *describe_caveats(curve)]:
        console.print(line)


def _write_spread(metric: Metric, point: SizePoint) -> str:
    spread = point.spreads.get(metric.key)
    if spread is None:
        return "none"
    mean, low, high = (f"{v:{metric.short_fixed}}" for v in (spread.mean, spread.low, spread.high))
    return f"{mean} {low}-{high}"


def _count(curve: SampleSizeCurve, point: SizePoint) -> str:
    """Count the repeats that found something, and say what became of the others."""
    text = f"{len(point.epochs)} of {curve.design.repeats}"
    others = {"dead": point.num_dead, "lost": point.num_lost}
    return ", ".join([text, *(f"{count} {name}" for name, count in others.items() if count)])


def _list_findings(curve: SampleSizeCurve) -> list[str]:
    lines = []
    gain = compute_gain(curve)
    if gain is not None:
        lines.append(
            f"efficiency from {gain.first} to {gain.last} events: {gain.mean:+.3f} "
            f"({gain.low:+.3f} to {gain.high:+.3f} in the repeats, higher in {gain.num_better} of "
            f"{gain.num_repeats})"
        )
    found = [
        f"{write_ends(metric, spread.interval)} in {metric.head}"
        for metric in list_metrics(curve)
        if (spread := curve.points[-1].spreads.get(metric.key)) and spread.interval
    ]
    if found:
        lines.append(
            f"68 % interval from the validation events, alike for all sizes: {', '.join(found)} "
            f"at {curve.points[-1].num_train}"
        )
    return lines

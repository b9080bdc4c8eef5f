"""The fourth question: what more training events bring, for each architecture."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from sweep.figures.curve import BAND_LABEL, draw_curves, list_drawn
from sweep.metrics.table import EFFICIENCY, Metric
from sweep.metrics.wording import count_places, write_count, write_number, write_rate
from sweep.report.blocks import Block, Code, Column, Figure, Items, Section, Table, Text
from sweep.results.curve import (
    SampleSizeCurve,
    SizePoint,
    Spread,
    compute_gain,
    describe_caveats,
    list_metrics,
)

TITLE = "Sample size against efficiency"
COMMAND = "sweep curve --model {model} --events 1000,2000,4000 --repeats 3"


def build_sample_size_section(curves: Sequence[SampleSizeCurve], models: Sequence[str]) -> Section:
    """Show the metrics against the number of training events, or say how to get them.

    Args:
        curves: Sample-size curves; none where nobody made any.
    """
    missing = [m for m in dict.fromkeys(models) if m not in {c.config.model for c in curves}]
    blocks: list[Block] = []
    drawn = [curve for curve in curves if any(point.spreads for point in curve.points)]
    if drawn:
        blocks.append(_draw(drawn))
    for curve in curves:
        blocks.append(Text(f"{curve.sweep}: {_say_gain(curve)}", is_key=True))
        blocks.append(_tabulate(curve))
        blocks.append(Items(describe_caveats(curve)))
    if missing:
        names = ", ".join(model.rpartition(":")[2] for model in missing)
        commands = [COMMAND.format(model=shlex.quote(model)) for model in missing]
        blocks.append(Text(f"No sample-size curve is here of {names}. To make one:"))
        blocks.append(Code("\n".join(commands)))
    return Section("sample-size", TITLE, blocks)


def _draw(curves: Sequence[SampleSizeCurve]) -> Figure:
    figure = draw_curves(curves).update_layout(margin={"b": 50})
    figure.update_xaxes(title="training events", row=len(list_drawn(curves)), col=1)
    said = "; ".join(f"{curve.sweep}: {_say_efficiencies(curve)}" for curve in curves)
    tables = " and ".join(name_table(curve) for curve in curves)
    return Figure(
        "sample-size",
        f"The metrics against the number of training events ({BAND_LABEL}).",
        f"Line charts with bands. Mean efficiency by number of training events: {said}.",
        figure,
        instead=tables,
    )


def _say_efficiencies(curve: SampleSizeCurve) -> str:
    return ", ".join(
        f"{write_number(point.spreads[EFFICIENCY.key].mean)} with {point.num_train}"
        for point in curve.points
        if point.spreads
    )


def _say_gain(curve: SampleSizeCurve) -> str:
    """Say how much more events bring, repeat by repeat."""
    gain = compute_gain(curve)
    if gain is None:
        return "no repeat has both the smallest and the largest sample yet, so nothing can be said."
    places = count_places((gain.low, gain.high))
    low, mean, high = (f"{value:+.{places}f}" for value in (gain.low, gain.mean, gain.high))
    return (
        f"from {gain.first} to {gain.last} training events the efficiency changes by {mean} "
        f"({low} to {high} over {write_count(gain.num_repeats, 'repeat')}); it is higher with the "
        f"larger sample in {gain.num_better} of {gain.num_repeats}."
    )


def name_table(curve: SampleSizeCurve) -> str:
    """Name the table of a curve, for the figure to point at."""
    return f"Metrics by training events, {curve.sweep}"


def _tabulate(curve: SampleSizeCurve) -> Table:
    metrics = list_metrics(curve)
    columns = (
        *(Column(name, True) for name in ("training events", "repeats", "dead", "lost")),
        *(Column(f"{metric.label}: mean (lowest to highest)", True) for metric in metrics),
    )
    rows = [_write_point(point, metrics) for point in curve.points]
    return Table(name_table(curve), columns, rows)


def _write_point(point: SizePoint, metrics: Sequence[Metric]) -> Sequence[str]:
    counts = (len(point.epochs), point.num_dead, point.num_lost)
    spreads = [point.spreads.get(metric.key) for metric in metrics]
    return (str(point.num_train), *map(str, counts), *map(_write_spread, spreads))


def _write_spread(spread: Spread | None) -> str:
    return "" if spread is None else write_rate(spread.mean, (spread.low, spread.high))

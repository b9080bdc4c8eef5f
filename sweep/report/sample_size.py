"""The fourth question: what more training events bring, for each architecture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from storage.epochs import Epoch
from sweep.report.blocks import Code, Column, Figure, Row, Section, Table, Text
from sweep.report.numbers import round_digits, write_number
from sweep.report.style import COLORS, finish

TITLE = "Sample size against efficiency"
COMMAND = "sweep curve --model {model} --events 1000,2000,4000 --repeats 3"


@dataclass(frozen=True)
class SizeRun:
    """One training of a study of sample size.

    Attributes:
        architecture: Which curve it belongs to.
        num_train: Training events.
        repeat: Which of the repeats.
        epoch: Its best epoch.
    """

    architecture: str
    num_train: int
    repeat: int
    epoch: Epoch


def build_sample_size_section(runs: Sequence[SizeRun], models: Sequence[str]) -> Section:
    """Show efficiency and FP rate against the number of training events, or how to get them.

    Args:
        runs: Trainings that found something; empty where there is no study of sample size.
        models: Architectures of the page.
    """
    if not runs:
        commands = "\n".join(COMMAND.format(model=model) for model in dict.fromkeys(models))
        return Section(
            "sample-size",
            TITLE,
            [
                Text(
                    "The database holds no study of sample size. One trains the best setting of an "
                    "architecture with different numbers of events, several times each:"
                ),
                Code(commands),
            ],
        )
    table = _tabulate(runs)
    columns = (0, 1, 3)
    return Section(
        "sample-size",
        TITLE,
        [
            Figure(
                "sample-size",
                "Efficiency and false positives per event against the number of training events. "
                "Band: lowest to highest repeat; line: their mean.",
                "Line charts with bands. Mean efficiency by training events: "
                + "; ".join(" ".join(row.cells[i] for i in columns) for row in table.rows)
                + ".",
                draw_sample_size(runs),
                table,
            )
        ],
    )


def _group(runs: Sequence[SizeRun]) -> dict[str, dict[int, list[Epoch]]]:
    """Group the epochs by architecture and rising size."""
    grouped: dict[str, dict[int, list[Epoch]]] = {}
    for run in sorted(runs, key=lambda run: (run.architecture, run.num_train, run.repeat)):
        sizes = grouped.setdefault(run.architecture, {})
        sizes.setdefault(run.num_train, []).append(run.epoch)
    return grouped


def draw_sample_size(runs: Sequence[SizeRun]) -> go.Figure:
    """Draw the bands of efficiency and FP rate by training events, one colour an architecture."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for (name, sizes), color in zip(_group(runs).items(), COLORS, strict=False):
        for row, values in (
            (1, [[epoch.efficiency for epoch in epochs] for epochs in sizes.values()]),
            (2, [[epoch.fp_rate for epoch in epochs] for epochs in sizes.values()]),
        ):
            for trace in _draw_band(name, list(sizes), values, color):
                trace.showlegend = row == 1 and trace.mode != "none"
                figure.add_trace(trace, row=row, col=1)
    sizes_drawn = sorted({run.num_train for run in runs})
    figure.update_xaxes(type="log", tickvals=sizes_drawn, ticktext=[str(n) for n in sizes_drawn])
    figure.update_xaxes(title="training events", row=2, col=1)
    figure.update_yaxes(title="efficiency", row=1, col=1)
    figure.update_yaxes(title="FP / event", rangemode="tozero", row=2, col=1)
    return finish(figure, height=480)


def _draw_band(
    name: str, sizes: list[int], values: list[list[float]], color: str
) -> list[go.Scatter]:
    lows = [round_digits(min(repeats)) for repeats in values]
    highs = [round_digits(max(repeats)) for repeats in values]
    band = go.Scatter(
        x=[*sizes, *reversed(sizes)],
        y=[*highs, *reversed(lows)],
        mode="none",
        fill="toself",
        fillcolor=color,
        opacity=0.2,
        hoverinfo="skip",
        name=name,
        legendgroup=name,
    )
    mean = go.Scatter(
        x=sizes,
        y=[round_digits(statistics.fmean(repeats)) for repeats in values],
        mode="lines+markers",
        line={"color": color},
        name=name,
        legendgroup=name,
    )
    return [band, mean]


def _tabulate(runs: Sequence[SizeRun]) -> Table:
    columns = (
        Column("architecture"),
        *(Column(name, True) for name in ("training events", "repeats")),
        *(Column(f"efficiency, {end}", True) for end in ("mean", "lowest", "highest")),
        *(Column(f"FP / event, {end}", True) for end in ("mean", "lowest", "highest")),
    )
    rows = [
        Row((name, str(size), str(len(epochs)), *_write_spreads(epochs)))
        for name, sizes in _group(runs).items()
        for size, epochs in sizes.items()
    ]
    return Table("Metrics by number of training events", columns, rows)


def _write_spreads(epochs: Sequence[Epoch]) -> list[str]:
    written = []
    for values in ([e.efficiency for e in epochs], [e.fp_rate for e in epochs]):
        spread = (statistics.fmean(values), min(values), max(values))
        written += [write_number(value) for value in spread]
    return written

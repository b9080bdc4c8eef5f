"""Which of the best trials held when they were trained again: the winner, and how sure that is."""

from __future__ import annotations

from sweep.metrics.wording import write_number
from sweep.report.blocks import Block, Column, Items, Table
from sweep.results.confirmation import Confirmation


def show_confirmation(confirmation: Confirmation) -> list[Block]:
    """Show what a confirmation found, its candidates, and what each of their trainings gave."""
    label = confirmation.metric.label
    columns = (
        Column("candidate"),
        Column(f"{label} claimed", True),
        Column(f"mean {label}", True),
        Column("each training"),
        Column("probability of being the best", True),
    )
    said = confirmation.describe()["candidates"]
    rows = [
        (
            name,
            _write(shown["claimed"]),
            _write(shown["mean"]),
            ", ".join(write_number(value) for value in shown["values"]),
            _write(shown["probability_best"], 2),
        )
        for name, shown in zip(confirmation.names, said, strict=True)
    ]
    marked = next((number for number, shown in enumerate(said) if shown["is_winner"]), None)
    sweep = confirmation.status.sweep.name
    caption = f"Candidates of {sweep}, with fresh seeds in common, on the validation events"
    return [Items(confirmation.list_findings(), is_key=True), Table(caption, columns, rows, marked)]


def _write(value: float | None, digits: int = 4) -> str:
    return "" if value is None else write_number(value, digits)

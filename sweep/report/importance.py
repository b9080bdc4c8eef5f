"""How much each hyperparameter mattered, shown."""

from __future__ import annotations

from sweep.figures.trials import draw_importances
from sweep.metrics.wording import write_number
from sweep.plan.space import read_space
from sweep.report.blocks import Block, Column, Figure, Table, Text
from sweep.results.importance import MIN_TRIALS, compute_importances, list_comparable
from sweep.results.status import Status


def describe_importances(status: Status, key: str) -> list[Block]:
    """Show the importances, or say that there are too few trials."""
    importances = compute_importances(status)
    num_trials = len(list_comparable(status, read_space(status.config)))
    if not importances:
        return [
            Text(
                f"{num_trials} finished trials lie in the search space (hand-tuned points may lie "
                f"outside of it). That is too few to say which hyperparameter matters: PED-ANOVA "
                f"needs at least {MIN_TRIALS}."
            )
        ]
    first = next(iter(importances.values()))
    rows = [
        (name, *(write_number(found.get(name, 0.0), 2) for found in importances.values()))
        for name in first
    ]
    columns = (Column("hyperparameter"), *(Column(metric, True) for metric in importances))
    table = Table(f"Importance by hyperparameter, {status.title}", columns, rows)
    leader, share = rows[0][:2]
    return [
        Figure(
            f"{key}-importance",
            "Importance of each hyperparameter (PED-ANOVA): how far the values of the best trials "
            "differ from those of all. Pruned trials count with their best epoch, dead ones as the "
            "worst.",
            f"Bar chart of importances over {num_trials} trials; for the "
            f"{next(iter(importances))} {leader} matters most, with {share}.",
            draw_importances(importances),
            table,
        )
    ]

"""The table of every combination that was tried."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.metrics.score import get_score
from sweep.metrics.table import Metric
from sweep.metrics.wording import write_setting
from sweep.metrics.writing import list_known, write_plain
from sweep.models.space import Fixed
from sweep.models.value import is_number
from sweep.plan.space import list_dimensions
from sweep.report.blocks import Column, Table
from sweep.results.best import get_own_epoch, say_origin
from sweep.results.status import Status
from sweep.storage.epochs import Curves, TrialRow
from sweep.storage.tables import Epoch


def name_trial_table(status: Status) -> str:
    """Name the table, for figures to point at."""
    return f"Every trial of {status.sweep.name}"


def tabulate_trials(status: Status, curves: Curves) -> Table:
    """List every trial that has begun, with its state, metrics, and what it had of its own.

    The metrics are those of its best epoch; of a trial that runs, those of its last one.
    """
    names = list_varied(status)
    scores = [get_score(epoch) for trial in status.begun if (epoch := get_own_epoch(trial))]
    metrics = list_known(scores)
    columns = (
        Column("trial", True),
        Column("outcome"),
        *(Column(metric.label, True) for metric in metrics),
        Column("best epoch", True),
        Column("epochs trained", True),
        Column("training (s)", True),
        *(Column(name, _has_numbers(status, name)) for name in names),
        Column("tried because"),
        Column("reason of its end"),
    )
    rows = [
        _list_cells(status, trial, curves.get(trial.id, []), metrics, names)
        for trial in status.begun
    ]
    marked = status.begun.index(status.ranked[0]) if status.ranked else None
    return Table(name_trial_table(status), columns, rows, marked, is_sortable=True)


def list_varied(status: Status) -> list[str]:
    """List the hyperparameters that were searched, or differ between trials all the same.

    A starting point may have another value than the one that is fixed for all other trials.
    """
    return [
        name
        for name, dimensions in list_dimensions(status.config).items()
        if not all(isinstance(dimension, Fixed) for dimension in dimensions)
        or len({write_setting(t.params, name) for t in status.begun if name in t.params}) > 1
    ]


def list_columns(metrics: Sequence[Metric]) -> list[Column]:
    """List the columns of metrics that are written with their intervals."""
    return [Column(m.label + " (68 %)" * (m.find_interval is not None), True) for m in metrics]


def _list_cells(
    status: Status,
    trial: TrialRow,
    curve: Sequence[Epoch],
    metrics: Sequence[Metric],
    names: Sequence[str],
) -> list[str]:
    epoch = get_own_epoch(trial)
    spent_s = sum(e.duration_s for e in curve)
    return [
        str(trial.number),
        trial.outcome or trial.state,
        *(write_plain(m, get_score(epoch), fine=True) if epoch else "" for m in metrics),
        str(trial.best.epoch) if trial.best else "",
        f"{len(curve)} of {status.config.recipe.epochs}",
        f"{spent_s:.1f}",
        *(write_setting(trial.params, name) for name in names),
        say_origin(status, trial),
        trial.short_reason,
    ]


def _has_numbers(status: Status, name: str) -> bool:
    values = [trial.params[name] for trial in status.begun if name in trial.params]
    return all(map(is_number, values))

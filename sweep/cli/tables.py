"""Tables of sweeps and trials for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sweep.cli.console import open_console
from sweep.cli.grid import Grid, name_columns
from sweep.metrics.score import Score, get_score
from sweep.metrics.wording import describe_point, write_shown
from sweep.metrics.writing import NOTHING, list_known, list_spare, write_bars, write_plain
from sweep.results.best import (
    describe_nothing,
    get_epoch,
    get_own_epoch,
    get_trial_score,
    list_shown,
)
from sweep.results.changes import tell_changes
from sweep.results.status import Status
from sweep.storage.tables import Epoch

if TYPE_CHECKING:
    from sweep.results.confirmation import Confirmation

NUM_LISTED = 5


def print_best(status: Status) -> None:
    """Print the best trials with their metrics and 68 % intervals."""
    counts = status.counts
    console = open_console()
    console.print(
        f"{status.sweep.name}: {counts.finished} of {status.sweep.budget} trials: "
        f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed; "
        f"{status.num_dead} of them dead. Null loss {status.config.data.null_loss:.4g}."
    )
    print_history(status)
    if not status.ranked:
        console.print(describe_nothing(status))
        return
    console.print(draw_architectures(status) if status.config.architectures else _draw_best(status))
    if status.config.search.is_front and not status.config.architectures:
        console.print(
            "These are the front: no other trial is as good in loss, efficiency and FP rate "
            "together. The best is the one of the lowest loss."
        )
    best = status.ranked[0]
    console.print(f"trial {best.number}: {describe_point(best.params)}")
    if get_epoch(best).validation_loss >= status.config.data.null_loss:
        console.print(
            "Its loss is above that of predicting zero everywhere: by the loss it is no network to "
            "use; train for longer."
        )


def print_history(status: Status) -> None:
    """Print why a search ended before its budget, where it did, and what was changed of it."""
    console = open_console()
    for line in (status.tell_flatness(), *tell_changes(status)):
        if line:
            console.print(line)


def _draw_best(status: Status) -> Grid:
    shown = list_shown(status, NUM_LISTED)
    scores = [get_trial_score(trial) for trial in shown]
    metrics = list_known(scores)
    titles = ("trial", *(metric.head for metric in metrics))
    table = Grid(name_columns(*titles, spare=list_spare(metrics)))
    for trial, score in zip(shown, scores, strict=True):
        table.add_row(str(trial.number), *(write_bars(metric, score) for metric in metrics))
    return table


def draw_architectures(status: Status) -> Grid:
    """Draw the best trial of each architecture, the best first, and how many trials it had."""
    parts = status.rank_all()
    scores = [get_trial_score(part.best) if part.best else None for part in parts]
    metrics = list_known(scores)
    titles = ("model", "trials", "best", *(metric.head for metric in metrics))
    table = Grid(name_columns(*titles, spare=list_spare(metrics)))
    for part, score in zip(parts, scores, strict=True):
        table.add_row(
            part.config.label,
            str(len(part.begun)),
            str(part.ranked[0].number) if part.ranked else NOTHING,
            *(write_bars(metric, score) if score else NOTHING for metric in metrics),
        )
    return table


def print_confirmation(found: Confirmation) -> None:
    """Print a confirmation: a line for each candidate, then who wins and how sure that is."""
    console, metric = open_console(), found.metric
    console.print(f"{found.status.sweep.name}: {metric.label} on the validation events")
    head = ("candidate", "claimed", "mean", "seeds", "P(best)")
    table = Grid(name_columns(*head, cut=("candidate",)))
    said = found.describe()["candidates"]
    for name, shown in zip(found.names, said, strict=True):
        mark = " *" if shown["is_winner"] else ""
        sure = shown["probability_best"]
        table.add_row(
            f"{name}{mark}",
            *(
                NOTHING if shown[key] is None else f"{shown[key]:{metric.fine}}"
                for key in ("claimed", "mean")
            ),
            str(len(shown["values"])),
            NOTHING if sure is None else f"{sure:.2f}",
        )
    console.print(table)
    for line in found.list_findings():
        console.print(line)


def print_trials(status: Status) -> None:
    """Print every trial that has begun: what became of it, its metrics, what it was tried with."""
    epochs = [get_own_epoch(trial) for trial in status.begun]
    scores = [get_score(epoch) if epoch else None for epoch in epochs]
    metrics = list_known(scores)
    heads = [metric.head for metric in metrics]
    models = ["model"] if status.config.architectures else []
    titles = ("trial", *models, "outcome", *heads, "epochs", "tried with", "reason")
    prose = ("tried with", "reason")
    table = Grid(name_columns(*titles, prose=prose, spare=list_spare(metrics)))
    for trial, score in zip(status.begun, scores, strict=True):
        params = {name: value for name, value in trial.params.items() if name not in models}
        table.add_row(
            str(trial.number),
            *(write_shown(trial.params.get(name, "")) for name in models),
            trial.outcome or trial.state,
            *(write_plain(metric, score) for metric in metrics),
            str(trial.num_epochs),
            describe_point(params),
            trial.short_reason,
        )
    open_console().print(table)


def print_epochs(status: Status, curves: Mapping[int, Sequence[Epoch]]) -> None:
    """Print every epoch of every trial that has begun."""
    rows = [(trial, epoch) for trial in status.begun for epoch in curves.get(trial.id, [])]
    metrics = list_known([get_score(epoch) for _trial, epoch in rows])
    heads = [metric.head for metric in metrics]
    titles = ("trial", "epoch", "lr", "training loss", *heads, "seconds")
    table = Grid(name_columns(*titles, spare=list_spare(metrics)))
    for trial, epoch in rows:
        table.add_row(
            str(trial.number),
            str(epoch.epoch),
            f"{epoch.lr:.3g}",
            f"{epoch.train_loss:.4g}",
            *(write_plain(metric, get_score(epoch)) for metric in metrics),
            f"{epoch.duration_s:.1f}",
        )
    open_console().print(table)


def print_statuses(statuses: Sequence[Status]) -> None:
    """Print one line a sweep: how far it is and the metrics of its best trial.

    Failed, paused and running trials have a column where there are any, and what is no search a
    kind: names need the room.
    """
    kinds = ["kind"] if any(status.config.kind != "search" for status in statuses) else []
    spare = ("failed", "paused", "running")
    counted = ["pruned", *(kind for kind in spare if _has_any(statuses, kind))]
    scores = [get_trial_score(s.best) if s.best else None for s in statuses]
    metrics = list_known(scores)
    titles = ("sweep", *kinds, "model", "finished", *counted, *(metric.head for metric in metrics))
    columns = name_columns(*titles, cut=("sweep", "model"), spare=list_spare(metrics))
    table = Grid(columns)
    for status, score in zip(statuses, scores, strict=True):
        stopped = ", stopped" if status.stopped else ""
        row = [f"{status.counts.finished} of {status.sweep.budget}{stopped}"]
        row += [str(getattr(status.counts, kind)) for kind in counted]
        row += [write_plain(metric, score) for metric in metrics]
        model = status.config.shown_model.rpartition("/")[2]  # of an own one not the whole path
        table.add_row(status.sweep.name, *(status.config.kind for _ in kinds), model, *row)
    open_console().print(table)


def _has_any(statuses: Sequence[Status], kind: str) -> bool:
    return any(getattr(status.counts, kind) for status in statuses)


def print_score(score: Score) -> None:
    """Print the metrics of a score with their 68 % intervals and counts."""
    table = Grid(name_columns("metric", "value", ""))
    for metric in list_known([score]):
        value = write_bars(metric, score) or NOTHING
        table.add_row(metric.label, value, metric.describe(score.counts))
    open_console().print(table)

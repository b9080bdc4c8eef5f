"""Tables of sweeps, trials and architectures for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.metrics.score import Score, get_score
from sweep.results.best import describe_nothing, get_epoch
from sweep.results.status import Status
from sweep.wording import describe_point

NUM_LISTED = 5


def make_table(*columns: str) -> Table:
    """Make a table whose columns keep their width; those that hold `cut` text make room."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def cut(text: str) -> Text:
    """Give text that is cut, not wrapped, where its line is too short."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def print_best(status: Status, num_listed: int = NUM_LISTED) -> None:
    """Print the best trials with all three metrics and their 68 % intervals."""
    counts = status.counts
    console = Console(highlight=False, markup=False)
    console.print(
        f"{status.sweep.name}: {counts.finished} of {status.sweep.budget} trials: "
        f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed; "
        f"{status.num_dead} of them dead. Null loss {status.config.data.null_loss:.4g}."
    )
    if not status.ranked:
        console.print(describe_nothing(status))
        return
    table = make_table("trial", "loss", "efficiency", "FP / event")
    for trial in status.ranked[:num_listed]:
        score = get_score(get_epoch(trial))
        table.add_row(
            str(trial.number),
            f"{score.validation_loss:.4g}",
            _format(score.efficiency, score.efficiency_interval),
            _format(score.fp_rate, score.fp_rate_interval),
        )
    console.print(table)
    best = status.ranked[0]
    console.print(f"trial {best.number}: {describe_point(best.params)}")
    if get_epoch(best).validation_loss >= status.config.data.null_loss:
        console.print(
            "Its loss is above that of predicting zero everywhere: by the loss it is no network to "
            "use; train for longer."
        )


def _format(value: float, interval: tuple[float, float]) -> str:
    """Write a rate with the distances to its interval's ends: 0.873 +0.007 -0.008."""
    low, high = interval
    return f"{value:.3f} +{high - value:.3f} -{value - low:.3f}"


def print_statuses(statuses: Sequence[Status]) -> None:
    """Print one line a sweep: how far it is and the metrics of its best trial.

    Failed and running trials have a column where there are any: names need the room.
    """
    counted = ["pruned", *(kind for kind in ("failed", "running") if _has_any(statuses, kind))]
    table = Table("sweep", "model", box=None, pad_edge=False)
    for column in ("finished", *counted, "loss", "efficiency", "FP / event"):
        table.add_column(column, no_wrap=True)
    for status in statuses:
        stopped = ", stopped" if status.stopped else ""
        row = [f"{status.counts.finished} of {status.sweep.budget}{stopped}"]
        row += [str(getattr(status.counts, kind)) for kind in counted]
        if status.ranked:
            epoch = get_epoch(status.ranked[0])
            row += [f"{epoch.validation_loss:.4g}", f"{epoch.efficiency:.3f}"]
            row += [f"{epoch.fp_rate:.3f}"]
        model = status.config.model.rpartition("/")[2]  # of an own network not the whole path
        table.add_row(cut(status.sweep.name), cut(model), *row)
    Console(highlight=False, markup=False).print(table)


def _has_any(statuses: Sequence[Status], kind: str) -> bool:
    return any(getattr(status.counts, kind) for status in statuses)


def print_score(score: Score) -> None:
    """Print the three metrics of a score with their 68 % intervals and counts."""
    counts = score.counts
    table = Table("metric", "value", "", box=None)
    loss = "none" if score.validation_loss is None else f"{score.validation_loss:.5g}"
    table.add_row("validation loss", loss, f"{counts.events} events")
    efficiency = _format(score.efficiency, score.efficiency_interval)
    table.add_row("efficiency", efficiency, f"{counts.found} of {counts.true_peaks} true peaks")
    rate = _format(score.fp_rate, score.fp_rate_interval)
    table.add_row("FP / event", rate, f"{counts.false_positives} false positives")
    Console(highlight=False, markup=False).print(table)


def print_models(described: Sequence[Mapping[str, Any]]) -> None:
    """Print the architectures, one block each."""
    console = Console(highlight=False, markup=False)
    for model in described:
        console.print(f"{model['name']}: {model['parameters']:,} parameters. {model['rationale']}")
        table = Table("hyperparameter", "default", "space", "on a CPU", box=None)
        for name, text in model["space"].items():
            on_cpu = model["cpu_space"][name]
            table.add_row(
                f"  {name}", str(model["defaults"][name]), text, "" if on_cpu == text else on_cpu
            )
        console.print(table)
        for point in model["starting_points"]:
            console.print(f"  starts from {describe_point(point)}")
        if model["recommended"]:
            console.print(f"  then tries {describe_point(model['recommended'])}")
        console.print()

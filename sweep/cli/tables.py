"""Tables of sweeps, trials and architectures for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweep.cli.console import open_console
from sweep.cli.grid import Grid, name_columns
from sweep.metrics.score import Score, get_score
from sweep.results.best import describe_nothing, get_epoch
from sweep.results.status import Status
from sweep.wording import describe_point

NUM_LISTED = 5


def print_best(status: Status, num_listed: int = NUM_LISTED) -> None:
    """Print the best trials with all three metrics and their 68 % intervals."""
    counts = status.counts
    console = open_console()
    console.print(
        f"{status.sweep.name}: {counts.finished} of {status.sweep.budget} trials: "
        f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed; "
        f"{status.num_dead} of them dead. Null loss {status.config.data.null_loss:.4g}."
    )
    if not status.ranked:
        console.print(describe_nothing(status))
        return
    table = Grid(name_columns("trial", "loss", "efficiency", "FP / event"))
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
    titles = ("sweep", "model", "finished", *counted, "loss", "efficiency", "FP / event")
    table = Grid(name_columns(*titles, cut=("sweep", "model")))
    for status in statuses:
        stopped = ", stopped" if status.stopped else ""
        row = [f"{status.counts.finished} of {status.sweep.budget}{stopped}"]
        row += [str(getattr(status.counts, kind)) for kind in counted]
        if status.ranked:
            epoch = get_epoch(status.ranked[0])
            row += [f"{epoch.validation_loss:.4g}", f"{epoch.efficiency:.3f}"]
            row += [f"{epoch.fp_rate:.3f}"]
        row += [""] * (len(titles) - 2 - len(row))
        model = status.config.model.rpartition("/")[2]  # of an own network not the whole path
        table.add_row(status.sweep.name, model, *row)
    open_console().print(table)


def _has_any(statuses: Sequence[Status], kind: str) -> bool:
    return any(getattr(status.counts, kind) for status in statuses)


def print_score(score: Score) -> None:
    """Print the three metrics of a score with their 68 % intervals and counts."""
    counts = score.counts
    table = Grid(name_columns("metric", "value", ""))
    loss = "none" if score.validation_loss is None else f"{score.validation_loss:.5g}"
    table.add_row("validation loss", loss, f"{counts.events} events")
    efficiency = _format(score.efficiency, score.efficiency_interval)
    table.add_row("efficiency", efficiency, f"{counts.found} of {counts.true_peaks} true peaks")
    rate = _format(score.fp_rate, score.fp_rate_interval)
    table.add_row("FP / event", rate, f"{counts.false_positives} false positives")
    open_console().print(table)


def print_models(described: Sequence[Mapping[str, Any]]) -> None:
    """Print the architectures, one block each."""
    console = open_console()
    for model in described:
        console.print(f"{model['name']}: {model['parameters']:,} parameters. {model['rationale']}")
        titles = ("hyperparameter", "default", "space", "on a CPU")
        table = Grid(name_columns(*titles, prose=("space", "on a CPU")))
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

"""A sweep at a glance while it runs: lines that tell how far it is, a table of what trains now.

One place, so that the terminal and the notebook show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.metrics.score import get_score
from sweep.metrics.table import Metric
from sweep.metrics.writing import list_known, list_phrases, write_plain
from sweep.plan.curve_trials import fit_config
from sweep.results.best import get_epoch
from sweep.results.status import Status
from sweep.storage.workers import WorkerRow
from sweep.wording import write_duration


@dataclass(frozen=True)
class RunningTrials:
    """The trials in workers' hands, as a table.

    Attributes:
        metrics: Those whose columns stand between the epoch and the place.
        rows: Of each trial its number, epoch, metrics, and where it is trained.
    """

    metrics: Sequence[Metric]
    rows: Sequence[Sequence[str]]

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the columns."""
        return ("trial", "epoch", *(metric.head for metric in self.metrics), "on")


def tell_progress(status: Status) -> list[str]:
    """Tell in lines how far a sweep is: counts and time left, why it stopped, the best so far."""
    lines = [tell_counts(status)]
    if status.stopped:
        lines.append(f"stopped: {status.stopped}")
    if status.ranked:
        best = status.ranked[0]
        lines.append(f"best: trial {best.number}, {list_phrases(get_score(get_epoch(best)))}")
    return lines


def tell_counts(status: Status) -> str:
    """Tell in a line how many trials ended how, the pace, and the time left."""
    counts = status.counts
    parts = [f"{counts.finished} of {status.sweep.budget} trials", f"{counts.pruned} pruned"]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    if counts.paused:
        parts.append(f"{counts.paused} paused")
    if counts.waiting and not counts.running:
        parts.append(f"{counts.waiting} waiting")
    if status.trials_per_hour is not None:
        parts.append(f"{status.trials_per_hour:.3g} an hour")
    if status.time_left_s is not None:
        parts.append(f"{write_duration(status.time_left_s)} left")
    return ", ".join(parts)


def list_running(status: Status) -> RunningTrials:
    """List the trials in workers' hands."""
    scores = {trial.id: get_score(trial.last) for trial in status.running if trial.last}
    metrics = list_known(list(scores.values()))
    places = {worker.trial: _write_place(worker) for worker in status.workers if worker.sweep}
    rows = []
    for trial in status.running:
        num_epochs = fit_config(status.config, trial.slot).recipe.epochs
        row = [str(trial.number), f"{trial.last.epoch if trial.last else 0}/{num_epochs}"]
        row += (write_plain(metric, scores.get(trial.id)) for metric in metrics)
        rows.append([*row, places.get(trial.number, "lost, to be taken over")])
    return RunningTrials(metrics, rows)


def write_process(worker: WorkerRow) -> str:
    """Write a worker's machine, by the first word of its name, and its process number."""
    host, _, rest = worker.name.partition(":")
    return f"{host.partition('.')[0]}:{rest.partition(':')[0]}"


def _write_place(worker: WorkerRow) -> str:
    return f"{write_process(worker).partition(':')[0]}, {worker.device}"

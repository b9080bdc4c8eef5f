"""A sweep at a glance while it runs: lines that tell how far it is, a table of what trains now.

One place, so that the terminal and the notebook show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.metrics.score import get_score
from sweep.metrics.table import Metric
from sweep.metrics.wording import write_bytes, write_count, write_duration
from sweep.metrics.writing import list_known, list_phrases, write_plain
from sweep.plan.curve_trials import fit_config
from sweep.results.best import get_trial_score
from sweep.results.changes import tell_changes
from sweep.results.status import Status
from sweep.storage.workers import WorkerRow

TAKES = "takes"
"""Head of the column that tells what a worker takes of its machine."""


@dataclass(frozen=True)
class Workers:
    """The workers that are there and train a sweep, or nothing, as a table."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


NUM_CHANGES = 3
"""The last ones are shown; `sweep best` and the report tell all."""


@dataclass(frozen=True)
class RunningTrials:
    """The trials in workers' hands, as a table.

    Attributes:
        metrics: Those whose columns stand before the last one.
        rows: Of each trial its number, epoch, what its worker takes, metrics, and where that is.
    """

    metrics: Sequence[Metric]
    rows: Sequence[Sequence[str]]

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the columns."""
        return ("trial", "epoch", TAKES, *(metric.head for metric in self.metrics), "on")


def tell_progress(status: Status) -> list[str]:
    """Tell in lines how far a sweep is: counts, time left, why it stopped, the best, changes."""
    lines = [tell_counts(status)]
    if status.stopped:
        lines.append(f"stopped: {status.stopped}")
    if told := status.tell_flatness():
        lines.append(told)
    if status.ranked:
        best = status.ranked[0]
        lines.append(f"best: trial {best.number}, {list_phrases(get_trial_score(best))}")
    return [*lines, *tell_changes(status)[-NUM_CHANGES:]]


def tell_state(status: Status) -> str:
    """Tell in a word or two what a sweep does now."""
    if status.counts.running:
        return "stopping" if status.sweep.stop_requested else "running"
    if not status.counts.unfinished:
        return "finished"
    return "stopped" if status.stopped else "waiting for workers"


def tell_reason(status: Status) -> str:
    """Tell why a sweep ended or does not go on; empty where it does."""
    if status.stopped:
        return f"stopped {status.stopped}" if status.sweep.stop_requested else status.stopped
    if status.counts.unfinished:
        return ""
    return status.tell_flatness() or f"all {write_count(status.sweep.budget, 'trial')} finished"


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
    pace = tell_pace(status)
    return ", ".join([*parts, *([pace] if pace else [])])


def tell_pace(status: Status) -> str:
    """Tell how many trials an hour are finished, and the time left; empty where none runs."""
    parts = []
    if status.trials_per_hour is not None:
        parts.append(f"{status.trials_per_hour:.3g} an hour")
    if status.time_left_s is not None:
        parts.append(f"{write_duration(status.time_left_s)} left")
    return ", ".join(parts)


def list_running(status: Status) -> RunningTrials:
    """List the trials in workers' hands."""
    scores = {trial.id: get_score(trial.last) for trial in status.running if trial.last}
    metrics = list_known(list(scores.values()))
    workers = {worker.trial: worker for worker in status.workers if worker.sweep}
    rows = []
    for trial in status.running:
        worker = workers.get(trial.number)
        num_epochs = fit_config(status.config, trial.slot).recipe.epochs
        row = [str(trial.number), f"{trial.num_epochs}/{num_epochs}"]
        row.append("" if worker is None else write_usage(worker))
        row += (write_plain(metric, scores.get(trial.id)) for metric in metrics)
        rows.append([*row, _write_place(worker) if worker else "lost, to be taken over"])
    return RunningTrials(metrics, rows)


def list_workers(status: Status) -> Workers:
    """List the workers of a sweep, each with what it holds and takes."""
    titles = ("worker", "trial", "lease", "last heard of", TAKES, "device")
    rows = []
    for worker in status.workers:
        trial = "none" if worker.sweep is None else str(worker.trial)
        lease = "" if worker.lease_s is None else write_duration(max(0.0, worker.lease_s))
        heard = f"{write_duration(worker.silent_s)} ago"
        takes = write_usage(worker)
        rows.append((write_process(worker), trial, lease, heard, takes, worker.device))
    return Workers(titles, rows)


def write_process(worker: WorkerRow) -> str:
    """Write a worker's machine, by the first word of its name, and its process number."""
    host, _, rest = worker.name.partition(":")
    return f"{host.partition('.')[0]}:{rest.partition(':')[0]}"


def write_usage(worker: WorkerRow) -> str:
    """Write what a worker takes: `412 MB, no GPU`, or `1.2 GB, GPU 84 %, 2.1 GB`."""
    if worker.memory_bytes is None:
        return "not known yet"
    memory = write_bytes(worker.memory_bytes)
    if worker.gpu_memory_bytes is None:
        return f"{memory}, no GPU"
    use = "" if worker.gpu_use is None else f" {100 * worker.gpu_use:.0f} %"
    return f"{memory}, GPU{use}, {write_bytes(worker.gpu_memory_bytes)}"


def _write_place(worker: WorkerRow) -> str:
    return f"{write_process(worker).partition(':')[0]}, {worker.device}"

"""How far a sweep is: counts, what runs now, the best so far, the pace and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.config import MODEL, DataConfig, SweepConfig
from sweep.metrics.score import get_score
from sweep.metrics.writing import describe_metrics
from sweep.results.time_left import estimate_time_left_s
from sweep.search.judgement import explain_death, is_failing, judge_again, rank_trials
from sweep.search.limits import OVER_LIMIT
from sweep.storage.epochs import TrialRow, read_trials
from sweep.storage.pace import measure_work_s
from sweep.storage.sources import read_files
from sweep.storage.sweeps import (
    COMPLETE,
    FAILED,
    PAUSED,
    PRUNED,
    RUNNING,
    WAITING,
    Sweep,
    TrialCounts,
    count_trials,
)
from sweep.storage.workers import WorkerRow, list_workers


@dataclass(frozen=True)
class Status:
    """A sweep at one moment.

    Attributes:
        begun: All trials that have begun, by slot.
        workers: Those that are there and work on this sweep or on nothing.
        trials_per_hour: The pace at which the trials that are left will be finished; None before
            the first epoch and where none runs.
        time_left_s: Until the budget is spent, from the epochs that are left and the pace so far.
        stopped: Why no worker takes its trials although some wait, or None.
        load_files: Reads the files of a person's own network, which few ask for.
    """

    sweep: Sweep
    config: SweepConfig
    counts: TrialCounts
    begun: Sequence[TrialRow]
    workers: Sequence[WorkerRow]
    trials_per_hour: float | None
    time_left_s: float | None
    stopped: str | None
    load_files: Callable[[], Mapping[str, bytes]] = field(default=dict, compare=False)

    @cached_property
    def running(self) -> Sequence[TrialRow]:
        """Trials in a worker's hands, with their last epoch."""
        return [trial for trial in self.begun if trial.state == RUNNING]

    @cached_property
    def ranked(self) -> Sequence[TrialRow]:
        """Complete and feasible trials, best first."""
        return rank_trials(self.begun, self.config.search.objective)

    @property
    def best(self) -> TrialRow | None:
        """The first of `ranked`; None where there is none yet."""
        return next(iter(self.ranked), None)

    @property
    def num_dead(self) -> int:
        """Finished trials whose network is no better than predicting zero."""
        return sum(trial.outcome == "dead" for trial in self.begun)

    @property
    def num_over_limit(self) -> int:
        """Finished trials beyond a limit of the sweep."""
        return sum(trial.outcome == OVER_LIMIT for trial in self.begun)

    @property
    def title(self) -> str:
        """Name of the sweep, and of the architecture where this is of one of several."""
        is_part = self.config.model != self.sweep.config.get("model", self.config.model)
        return f"{self.sweep.name}: {self.config.label}" if is_part else self.sweep.name

    def narrow_all(self) -> Sequence[Status]:
        """Give the status of each of the sweep's architectures, as if its trials were all."""
        if not self.config.architectures:
            return [self]
        return [self._narrow(config) for config in self.config.narrow_all()]

    def rank_all(self) -> Sequence[Status]:
        """Give the status of each architecture, that of the best trial first."""
        places = {trial.id: place for place, trial in enumerate(self.ranked)}
        return sorted(
            self.narrow_all(),
            key=lambda part: places[part.ranked[0].id] if part.ranked else len(places),
        )

    def narrow_to(self, trial: TrialRow) -> tuple[Status, TrialRow]:
        """Give the status of a trial's architecture, and the trial in that."""
        config = self.config.narrow_to(trial.params)
        return (
            (self, trial) if config is self.config else (self._narrow(config), _drop_model(trial))
        )

    def _narrow(self, config: SweepConfig) -> Status:
        rows = [
            _drop_model(trial) for trial in self.begun if trial.params.get(MODEL) == config.label
        ]
        found = Counter(row.state for row in rows)
        states = (WAITING, RUNNING, COMPLETE, PRUNED, FAILED, PAUSED)
        return replace(
            self,
            sweep=replace(self.sweep, budget=len(rows)),
            config=config,
            counts=TrialCounts(*(found[state] for state in states)),
            begun=rows,
        )

    def to_json(self) -> dict[str, Any]:
        """Give what `sweep list --json` prints: the counts, the best trial, also of each part."""
        name, kind = self.sweep.name, self.config.kind
        head: dict[str, Any] = {"sweep": name, "kind": kind, "budget": self.sweep.budget}
        head |= {"priority": self.sweep.priority, "version": self.sweep.version}
        tail: dict[str, Any] = {"stopped": self.stopped, "flat": self.describe_flatness()}
        tail["best"] = self.describe_best()
        if self.config.architectures:
            tail["architectures"] = [
                {
                    "model": part.config.label,
                    "trials": len(part.begun),
                    "best": part.describe_best(),
                }
                for part in self.rank_all()
            ]
        return {**head, **asdict(self.counts), **tail}

    def describe_best(self) -> dict[str, Any] | None:
        """Give what `sweep best --json` prints, or None where no trial is complete and feasible."""
        return self.describe_trial(self.ranked[0]) if self.ranked else None

    def describe_trial(self, trial: TrialRow) -> dict[str, Any]:
        """Give what `sweep best --json` prints of a trial that has an epoch."""
        metrics = describe_metrics(get_score(trial.best)) if trial.best else {}
        return {
            "sweep": self.sweep.name,
            "trial": trial.number,
            **metrics,
            "params": dict(trial.params),
        }

    @property
    def num_not_begun(self) -> int:
        """How many trials of what was asked for a search has not begun, since it was found flat."""
        return self.sweep.flat.budget - self.sweep.budget if self.sweep.flat else 0

    def describe_flatness(self) -> dict[str, Any] | None:
        """Give what `--json` says of why a search ended early; None where it did not."""
        flat = self.sweep.flat
        return None if flat is None else {**asdict(flat), "not_begun": self.num_not_begun}

    def tell_flatness(self) -> str:
        """Say in one line why a search ended before its budget; empty where it did not."""
        if self.sweep.flat is None:
            return ""
        return (
            f"flat: {self.sweep.flat.reason}; {self.num_not_begun} of {self.sweep.flat.budget} "
            "trials are not begun; `sweep run` with --no-stop-when-flat begins them"
        )

    @property
    def is_open(self) -> bool:
        """Whether trials are trained now, or wait and nobody has stopped them."""
        return bool(self.counts.running or (self.counts.idle and not self.stopped))

    def explain_death(self) -> str:
        """Say of what network the sweep's objective makes a dead one."""
        return explain_death(self.config.search.objective)

    def describe_failures(self) -> str:
        """Tell how many of the finished trials failed, and the last one's reason."""
        return _describe_failures(self.begun, self.counts)

    def describe(self) -> dict[str, Any]:
        """Give what `sweep status --json` prints: also the workers and the pace."""
        return {
            **self.to_json(),
            "workers": [asdict(worker) for worker in self.workers],
            "trials_per_hour": self.trials_per_hour,
            "time_left_s": self.time_left_s,
        }


def _drop_model(trial: TrialRow) -> TrialRow:
    """Give a trial without the name of its architecture among its hyperparameters."""
    params = {name: value for name, value in trial.params.items() if name != MODEL}
    return replace(trial, params=params)


def read_status(engine: sa.Engine, sweep: Sweep) -> Status:
    """Read a sweep's status from the database."""
    config = SweepConfig.from_json(sweep.config)
    rows = [judge_again(row, config) for row in read_trials(engine, sweep.id)]
    counts = count_trials(engine, sweep.id)
    work_s = measure_work_s(engine, sweep.id)
    left_s = estimate_time_left_s(rows, counts.budget, config, work_s)
    return Status(
        sweep=sweep,
        config=config,
        counts=counts,
        begun=rows,
        workers=list_workers(engine, sweep.id),
        trials_per_hour=3600 * counts.unfinished / left_s if left_s else None,
        time_left_s=left_s,
        stopped=_find_stop(sweep, rows, counts),
        load_files=partial(read_files, engine, sweep.id),
    )


def _find_stop(sweep: Sweep, rows: Sequence[TrialRow], counts: TrialCounts) -> str | None:
    if not counts.idle:
        return None
    if sweep.stop_requested:
        return "by `sweep stop`; `sweep resume` takes that back"
    if not is_failing(counts):
        return None
    return "most trials fail, " + _describe_failures(rows, counts)


def _describe_failures(rows: Sequence[TrialRow], counts: TrialCounts) -> str:
    reasons = [row.short_reason for row in rows if row.state == FAILED and row.reason]
    last = reasons[-1] if reasons else "no reason"
    return f"{counts.failed} of {counts.finished}, the last with {last!r}"


def name_events(config: DataConfig) -> str:
    """Say where the events of a sweep come from, for people."""
    files = [Path(name).name for name in config.files]
    judged = [Path(name).name for name in config.validation_files]
    if not files:
        return f"toy events of seed {config.toy_seed}"
    return ", ".join(files) + (f"; judged by {', '.join(judged)}" if judged else "")


def describe_training(config: SweepConfig) -> str:
    """Say with how many events, for how long: `1000 training and 400 validation events, 8 epochs`.

    The epochs of a sample-size curve are those of its largest size.
    """
    data, curve = config.data, config.curve
    events = str(data.num_train)
    if curve is not None:
        events = f"{', '.join(map(str, curve.sizes))} of {data.num_train}"
    return (
        f"{events} training and {data.num_validation} validation events, "
        f"{config.recipe.epochs} epochs"
    )

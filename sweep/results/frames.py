"""Sweeps, trials and epochs as tables of pandas, for notebooks and for files of other programs.

A column has one type, whatever its rows hold: texts, whole numbers and truth values may be missing,
real numbers are NaN then, times of day are those of the database's clock in UTC. Durations are in
seconds (`_s`), residuals in millimetres (`_mm`); `fp_rate` is false positives per event. The ends
of a metric's 68 % interval are `_low` and `_high`. Hyperparameters are `params_NAME`, as Optuna's
own tables have them, so that none can take another column's name.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from sweep.metrics.score import PEAK_COUNTS, Score, get_score
from sweep.metrics.table import METRICS
from sweep.models.space import Dimension
from sweep.models.value import NOTHING, NUMBERS, TEXT, TRUTH, Value, get_kind, write_value
from sweep.plan.space import list_dimensions
from sweep.results.best import get_epoch, get_number, get_own_epoch, say_origin
from sweep.results.status import Status
from sweep.search.suggestion import list_ends
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import TrialCounts
from sweep.storage.tables import Epoch

WHOLE, REAL, TRUE, WORDS, TIME = "Int64", "float64", "boolean", "string", "datetime64[us, UTC]"
PREFIX = "params_"

_METRICS = {
    name: REAL
    for metric in METRICS
    for name in (
        metric.key,
        *((f"{metric.key}_low", f"{metric.key}_high") if metric.find_interval else ()),
    )
}
_COUNTS = dict.fromkeys(PEAK_COUNTS, WHOLE)
_SWEEP = {
    "sweep": WORDS,
    "kind": WORDS,
    "model": WORDS,
    "objective": WORDS,
    "created": TIME,
    "budget": WHOLE,
    "priority": WHOLE,
}
_SWEEP_STATE = {"stopped": WORDS, "trials_per_hour": REAL, "time_left_s": REAL, "best_trial": WHOLE}
_TRIAL = {"trial": WHOLE, "state": WORDS, "outcome": WORDS, "reason": WORDS, "feasible": TRUE}
_ORIGIN = {"origin": WORDS}
_COST = {
    "best_epoch": WHOLE,
    "epochs": WHOLE,
    "events_seen": WHOLE,
    "training_s": REAL,
    "attempts": WHOLE,
    "version": WHOLE,
    "started": TIME,
    "finished": TIME,
    "worker": WORDS,
}
_EPOCH = {"trial": WHOLE, "epoch": WHOLE, "events_seen": WHOLE, "lr": REAL, "train_loss": REAL}


def tabulate_sweeps(statuses: Sequence[Status]) -> pd.DataFrame:
    """List sweeps, a row each: what they search, how far they are, and their best trial's metrics.

    `stopped` says why no worker takes trials that wait; it is missing where nothing does.
    """
    counts = {field.name: WHOLE for field in fields(TrialCounts)}
    rows = [
        {
            "sweep": status.sweep.name,
            "kind": status.config.kind,
            "model": status.config.model,
            "objective": status.config.search.objective,
            "created": status.sweep.created_s,
            "budget": status.sweep.budget,
            "priority": status.sweep.priority,
            **asdict(status.counts),
            "stopped": status.stopped,
            "trials_per_hour": status.trials_per_hour,
            "time_left_s": status.time_left_s,
            "best_trial": status.best.number if status.best else None,
            **_measure(get_epoch(status.best) if status.best else None),
        }
        for status in statuses
    ]
    return _make_frame(rows, {**_SWEEP, **counts, **_SWEEP_STATE, **_METRICS, **_COUNTS})


def tabulate_trials(status: Status, curves: Mapping[int, Sequence[Epoch]]) -> pd.DataFrame:
    """List every trial of a sweep that has begun, a row each, in their order.

    The metrics are those of its best epoch; of a trial that is not finished, those of its last one.
    `training_s` is what its epochs took, whoever trained them.
    """
    space = list_dimensions(status.config)
    kinds = {name: _find_kinds(space[name], name, status.begun) for name in space}
    types = {PREFIX + name: _choose_type(found) for name, found in kinds.items()}
    rows = [
        {
            **_describe_trial(trial, curves.get(trial.id, [])),
            "origin": say_origin(status, trial),
            **{PREFIX + n: _write(trial.params.get(n), kinds[n]) for n in space},
        }
        for trial in status.begun
    ]
    return _make_frame(rows, {**_TRIAL, **_ORIGIN, **types, **_METRICS, **_COUNTS, **_COST})


def tabulate_epochs(status: Status, curves: Mapping[int, Sequence[Epoch]]) -> pd.DataFrame:
    """List every epoch of every trial of a sweep, a row each, in their order."""
    rows = [
        {"trial": get_number(trial), **asdict(epoch), **_measure(epoch)}
        for trial in status.begun
        for epoch in curves.get(trial.id, [])
    ]
    return _make_frame(rows, {**_EPOCH, **_METRICS, **_COUNTS, "duration_s": REAL})


def list_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """List the rows of a table as JSON holds them: None where a value is missing or infinite."""
    names = [str(name) for name in frame.columns]
    columns = [[_make_plain(value) for value in frame[name].tolist()] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def encode_frame(frame: pd.DataFrame, form: str) -> bytes:
    """Encode a table as `csv`, `json` or `parquet`; what is read back are the same values."""
    if form == "csv":
        return frame.to_csv(index=False).encode()
    if form == "json":
        return (json.dumps(list_records(frame), indent=2) + "\n").encode()
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _make_plain(value: Any) -> Any:
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def _describe_trial(trial: TrialRow, curve: Sequence[Epoch]) -> dict[str, Any]:
    return {
        "trial": get_number(trial),
        "state": trial.state,
        "outcome": trial.outcome,
        "reason": trial.reason,
        "feasible": trial.feasible,
        **_measure(get_own_epoch(trial)),
        "best_epoch": trial.best.epoch if trial.best else None,
        "epochs": len(curve),
        "events_seen": trial.last.events_seen if trial.last else 0,
        "training_s": sum(epoch.duration_s for epoch in curve),
        "attempts": trial.attempts,
        "version": trial.version,
        "started": trial.started_s,
        "finished": trial.finished_s,
        "worker": trial.worker,
    }


def _measure(epoch: Epoch | None) -> dict[str, float | None]:
    """Give the metrics of an epoch with the ends of their intervals, and its counts."""
    if epoch is None:
        return {}
    score = get_score(epoch)
    counts = {name: score.read(name) for name in PEAK_COUNTS}
    return {**counts, **dict(_list_values(score))}


def _list_values(score: Score) -> Iterable[tuple[str, float | None]]:
    for metric in METRICS:
        yield metric.key, metric.compute(score)
        interval = metric.compute_interval(score)
        if interval is not None:
            yield f"{metric.key}_low", interval[0]
            yield f"{metric.key}_high", interval[1]


def _find_kinds(dimensions: Sequence[Dimension], name: str, trials: Sequence[TrialRow]) -> set[str]:
    """Find the kinds of all that a hyperparameter may be, and of all it was; None aside."""
    ends = [end for dimension in dimensions for end in list_ends(dimension)]
    values = [*ends, *(t.params[name] for t in trials if name in t.params)]
    kinds = {get_kind(value) for value in values} - {NOTHING}
    return kinds | {REAL} if any(isinstance(value, float) for value in values) else kinds


def _choose_type(kinds: set[str]) -> str:
    """Choose the type of a hyperparameter's column; that of texts for lists and what is mixed."""
    if kinds == {TRUTH}:
        return TRUE
    if kinds == {NUMBERS}:
        return WHOLE
    return REAL if kinds == {NUMBERS, REAL} else WORDS


def _write(value: Value, kinds: set[str]) -> Value:
    """Write a value for its column: what is no text among texts, as `--set` takes it."""
    is_plain = value is None or kinds == {TEXT} or _choose_type(kinds) != WORDS
    return value if is_plain else write_value(value)


def _make_frame(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """Make a table of rows in which any value may be missing, a type for each column."""
    return pd.DataFrame(
        {name: _make_column([row.get(name) for row in rows], kind) for name, kind in types.items()}
    )


def _make_column(values: list[Any], kind: str) -> pd.Series[Any]:
    """Make a column; times come as seconds since 1970."""
    column: pd.Series[Any]
    if kind == TIME:
        micros = [None if value is None else round(value * 1e6) for value in values]
        column = pd.to_datetime(pd.Series(micros, dtype=WHOLE), unit="us", utc=True)
        return column.dt.as_unit("us")
    column = pd.Series(values, dtype=kind)
    return column

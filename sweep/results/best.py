"""The best trial of a sweep: complete, feasible, first by the sweep's objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweep.errors import SweepError
from sweep.metrics.decode import Decode
from sweep.metrics.score import Score, get_score
from sweep.metrics.table import EFFICIENCY, FP_RATE, VALIDATION_LOSS, is_by_loss
from sweep.metrics.wording import write_count
from sweep.models.space import Fixed
from sweep.plan.space import read_space
from sweep.plan.versions import give_version
from sweep.results.status import Status
from sweep.search.judgement import get_value, is_better, rank_trials
from sweep.search.limits import OVER_LIMIT
from sweep.storage.epochs import TrialRow
from sweep.storage.tables import Epoch


def find_best_trial(status: Status) -> TrialRow:
    """Find the best trial.

    Raises:
        SweepError: when no trial is complete and feasible yet.
    """
    if not status.ranked:
        raise SweepError(
            f"sweep {status.sweep.name}: no best trial, got {_say_why(status)}, expected one that "
            f"lives; {_say_cure(status)}"
        )
    return status.ranked[0]


def list_shown(status: Status, num_most: int) -> Sequence[TrialRow]:
    """List the trials that are shown as the best: under the objective `front` all that are on it.

    A trial is on the front where no other is as good or better in loss, efficiency and FP rate
    together. The lowest loss comes first.
    """
    if not status.config.search.is_front:
        return status.ranked[:num_most]
    by = (VALIDATION_LOSS, EFFICIENCY, FP_RATE)
    places = [
        tuple(metric.sign * metric.measure(get_trial_score(trial)) for metric in by)
        for trial in status.ranked
    ]
    return [
        trial
        for trial, own in zip(status.ranked, places, strict=True)
        if not any(
            other != own and all(o <= m for o, m in zip(other, own, strict=True))
            for other in places
        )
    ]


def find_least_bad(status: Status) -> TrialRow | None:
    """Find the trial that comes nearest to what may win; None where none trained to its end."""
    beaten = ("dead", OVER_LIMIT)
    dead = [replace(trial, feasible=True) for trial in status.begun if trial.outcome in beaten]
    ranked = rank_trials(dead, status.config.search.objective)
    return replace(ranked[0], feasible=False) if ranked else None


def describe_nothing(status: Status) -> str:
    """Say why a sweep has no best trial, and what to try, in one sentence."""
    return f"No best trial: {_say_why(status)}; {_say_cure(status)}."


def _say_why(status: Status) -> str:
    finished = status.counts.finished
    if not finished:
        return "none finished yet"
    if status.num_over_limit:
        over = f"{status.num_over_limit} of {write_count(finished, 'finished trial')} over a limit"
        last = [trial.reason for trial in status.begun if trial.outcome == OVER_LIMIT][-1]
        return f"{over} (the last: {last})"
    if not status.num_dead:
        return f"none of {write_count(finished, 'finished trial')} trained to the end"
    found = f"{status.num_dead} of {write_count(finished, 'finished trial')} dead"
    return f"{found} ({status.explain_death()})"


def _say_cure(status: Status) -> str:
    """Say what to try where nothing lives: within the sweep only waiting, else a new one."""
    if status.num_over_limit:
        return "let more trials train, or allow more with a new --sweep NAME"
    if not status.num_dead:
        return "let more trials train"
    config = status.config
    cures = [f"--epochs {2 * config.recipe.epochs}", "more --events", "other --set lr=LOW:HIGH:log"]
    head = read_space(config).get("head")
    if head is not None and head != Fixed("softplus"):
        cures.insert(0, "--fix head=softplus")
    has_peaks = any(trial.best and trial.best.found for trial in status.begun)
    if is_by_loss(config.search.objective) and has_peaks:
        cures.append("--objective efficiency, which ranks those that find true peaks")
    waiting = "train the trials that wait, or " if status.counts.idle else ""
    return f"{waiting}try with a new --sweep NAME: {', '.join(cures)}"


def get_decode(trial: TrialRow) -> Decode | None:
    """Give the settings of the peak finder that were chosen with a trial's network, if any were."""
    operating = get_trial_score(trial).operating
    return None if operating is None else operating.decode


def get_epoch(trial: TrialRow) -> Epoch:
    """Give the epoch whose metrics are a complete trial's own.

    Raises:
        SweepError: when the trial has none.
    """
    if trial.best is None:
        raise SweepError(f"trial {trial.number}: no epoch, got none, expected a trained one")
    return trial.best


def get_trial_score(trial: TrialRow) -> Score:
    """Give the score of the epoch whose metrics are a trial's own; raises as `get_epoch`."""
    return get_score(get_epoch(trial))


def get_own_epoch(trial: TrialRow) -> Epoch | None:
    """Give the epoch by which a trial is shown: its best, of an unfinished one the last so far."""
    return trial.last if trial.finished_s is None else trial.best


def get_number(trial: TrialRow) -> int:
    """Give a trial's number in the study.

    Raises:
        SweepError: when it has not begun.
    """
    if trial.number is None:
        raise SweepError(f"trial in slot {trial.slot}: no number, got none, expected one begun")
    return trial.number


def list_records(status: Status) -> list[tuple[int, float]]:
    """List the trials that were better by the objective than all before: number and value."""
    objective = status.config.search.objective
    records: list[tuple[int, float]] = []
    for trial in sorted(status.ranked, key=get_number):
        value = get_value(get_epoch(trial), objective)
        if not records or is_better(value, records[-1][1], objective):
            records.append((get_number(trial), value))
    return records


def say_origin(status: Status, trial: TrialRow) -> str:
    """Say who chose a trial's hyperparameters."""
    config = status.config
    if trial.slot < config.num_hand_tuned:
        return "hand-tuned"
    if trial.slot == config.narrow_to(trial.params).recommended_slot:
        return "recommended"
    if trial.is_added:
        return "added"
    return f"search ({give_version(config, trial.version).search.sampler.name})"

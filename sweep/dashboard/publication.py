"""What optuna-dashboard shows of a sweep beyond its trials: note, figures, headline numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
from optuna.storages import BaseStorage

from sweep.dashboard.companion import mirror_trials
from sweep.figures.cards import FRONT_CARD, METRICS_CARD, draw_front, draw_metrics
from sweep.metrics.score import Score
from sweep.metrics.table import MIRRORED, OBJECTIVES, Metric
from sweep.metrics.wording import describe_point
from sweep.metrics.writing import list_known, write_ends, write_fine, write_plain
from sweep.results.best import get_number, get_trial_score, list_shown
from sweep.results.changes import tell_changes
from sweep.results.confirmation import Confirmation
from sweep.results.status import Status, describe_training
from sweep.storage import studies
from sweep.storage.epochs import TrialRow

NUM_LISTED = 10


def publish(
    storage: BaseStorage,
    status: Status,
    hold: Callable[[], None],
    confirmation: Confirmation | None = None,
) -> bool:
    """Write a sweep's note, figures, headline attributes and companion study.

    Args:
        hold: Called before each part; raises when this process must not write any longer.
        confirmation: The one that tells of the sweep, or None.

    Returns:
        Whether everything is written; False when the companion is still behind.
    """
    study = studies.load_study(storage, status.sweep.name)
    hold()
    studies.save_note(study, write_note(study, status, confirmation))
    for key, value in describe_headlines(status, confirmation).items():
        study.set_user_attr(key, value)
    for figure, name in (
        (draw_metrics(status), METRICS_CARD),
        (draw_front(status), FRONT_CARD),
    ):
        hold()
        studies.save_figure(study, figure, name)
    hold()
    return mirror_trials(storage, study, status)


def describe_headlines(
    status: Status, confirmation: Confirmation | None = None
) -> dict[str, str | float | int]:
    """Give the numbers that the dashboard's first page shows as study attributes."""
    headlines: dict[str, str | float | int] = {
        "null loss": float(f"{status.config.data.null_loss:.5g}")
    }
    if status.ranked:
        best = status.ranked[0]
        score = get_trial_score(best)
        headlines["best trial"] = get_number(best)
        for metric in list_known([score]):
            headlines[f"best trial {metric.label}"] = write_fine(metric, score)
    if confirmation is not None and (opened := confirmation.opened) is not None:
        for metric in list_known([opened]):
            headlines[f"winner {metric.label} on events set aside"] = write_fine(metric, opened)
    return headlines


def write_note(
    study: optuna.Study, status: Status, confirmation: Confirmation | None = None
) -> str:
    """Write the study's note in Markdown: what was confirmed first, then the best, the others."""
    config, counts = status.config, status.counts
    lines = [
        f"# {status.sweep.name}",
        "",
        *_describe_confirmation(confirmation),
        *_describe_best(study, status),
        "",
        f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed, "
        f"{counts.running} running, {counts.paused} paused, {counts.waiting} waiting; "
        f"{status.num_dead} of the finished ones are dead: "
        f"{status.explain_death()}. Architecture {config.shown_model}, "
        f"{describe_training(config)}, recipe {config.recipe.name}. {status.tell_flatness()}",
        "",
        f"The loss of predicting zero everywhere is **{config.data.null_loss:.4g}**. The table "
        "leaves dead networks out; the *Best Trial* card of the dashboard does not. The study "
        f"*{studies.name_companion(status.sweep.name)}* has "
        f"the networks of the table with {', '.join(MIRRORED)} as objectives.",
        "",
        "## On the front of loss, efficiency and FP rate"
        if config.search.is_front
        else f"## Best by {OBJECTIVES[config.search.objective].label}",
        "",
        *_write_table(study, list_shown(status, NUM_LISTED)),
        *_write_architectures(study, status),
        *_describe_changes(status),
    ]
    return "\n".join(lines) + "\n"


def _describe_changes(status: Status) -> list[str]:
    lines = [f"- {line}" for line in tell_changes(status)]
    return ["", "## Changed while it ran", "", *lines] if lines else []


def _describe_confirmation(confirmation: Confirmation | None) -> list[str]:
    if confirmation is None:
        return []
    found = [f"- {line}" for line in confirmation.list_findings()]
    return [f"Confirmed with fresh seeds as *{confirmation.status.sweep.name}*:", "", *found, ""]


def _describe_best(study: optuna.Study, status: Status) -> list[str]:
    if not status.ranked:
        return ["No complete trial has found anything yet."]
    best = status.ranked[0]
    score = get_trial_score(best)
    return [
        f"Best: **[trial {get_number(best)}]({_find_page(study, best)})**, "
        f"{', '.join(_describe_metric(metric, score) for metric in list_known([score]))}, "
        f"with {describe_point(best.params)}. Intervals are of 68 %."
    ]


def _describe_metric(metric: Metric, score: Score) -> str:
    interval = metric.compute_interval(score)
    said = metric.sentence.format(f"**{write_plain(metric, score, fine=True)}**")
    return said if interval is None else f"{said} ({write_ends(metric, interval)})"


def _find_page(study: optuna.Study, trial: TrialRow) -> str:
    return studies.link_trial(study, get_number(trial))


def _write_architectures(study: optuna.Study, status: Status) -> list[str]:
    """Write the best trial of each architecture, where there are several."""
    if not status.config.architectures:
        return []
    parts = [part for part in status.rank_all() if part.ranked]
    shares = ", ".join(f"{part.config.label} {len(part.begun)}" for part in status.rank_all())
    best = [trial for part in parts for trial in status.ranked if trial.id == part.ranked[0].id]
    title = ["", "## Best of each architecture", "", f"Trials of each: {shares}.", ""]
    return [*title, *_write_table(study, best)]


def _write_table(study: optuna.Study, trials: Sequence[TrialRow]) -> list[str]:
    if not trials:
        return ["No complete trial has found anything yet."]
    scores = [get_trial_score(trial) for trial in trials]
    metrics = list_known(scores)
    names = ["trial", *(metric.label for metric in metrics), "configuration"]
    rows = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for trial, score in zip(trials, scores, strict=True):
        values = (write_plain(metric, score, fine=True) for metric in metrics)
        link = f"[{trial.number}]({_find_page(study, trial)})"
        rows.append(f"| {' | '.join([link, *values, describe_point(trial.params)])} |")
    return rows

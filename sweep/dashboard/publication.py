"""What optuna-dashboard shows of a sweep beyond its trials: note, figures, headline numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
from optuna.storages import BaseStorage

from storage import studies
from storage.epochs import TrialRow
from sweep.dashboard.cards import FRONT_CARD, METRICS_CARD, draw_front, draw_metrics
from sweep.dashboard.companion import mirror_trials
from sweep.metrics.score import get_score
from sweep.results.best import get_epoch, get_number
from sweep.results.status import Status
from sweep.search.judgement import explain_death
from sweep.wording import describe_point, describe_training

NUM_LISTED = 10


def publish(storage: BaseStorage, status: Status, hold: Callable[[], None]) -> bool:
    """Write a sweep's note, figures, headline attributes and companion study.

    Args:
        storage: Optuna's side of the database.
        status: What to show.
        hold: Called before each part; raises when this process must not write any longer.

    Returns:
        Whether everything is written; False when the companion is still behind.
    """
    study = studies.load_study(storage, status.sweep.name)
    hold()
    studies.save_note(study, write_note(study, status))
    for key, value in describe_headlines(status).items():
        study.set_user_attr(key, value)
    for figure, name in (
        (draw_metrics(status), METRICS_CARD),
        (draw_front(status), FRONT_CARD),
    ):
        hold()
        studies.save_figure(study, figure, name)
    hold()
    return mirror_trials(storage, study, status)


def describe_headlines(status: Status) -> dict[str, str | float | int]:
    """Give the numbers that the dashboard's first page shows as study attributes."""
    headlines: dict[str, str | float | int] = {
        "null loss": float(f"{status.config.data.null_loss:.5g}")
    }
    if status.ranked:
        best = status.ranked[0]
        score = get_score(get_epoch(best))
        low, high = score.efficiency_interval
        fp_low, fp_high = score.fp_rate_interval
        headlines |= {
            "best trial": get_number(best),
            "best validation loss": f"{score.validation_loss:.5g}",
            "best trial efficiency": f"{score.efficiency:.4f} ({low:.4f} to {high:.4f})",
            "best trial FP rate": f"{score.fp_rate:.4f} ({fp_low:.4f} to {fp_high:.4f})",
        }
    return headlines


def write_note(study: optuna.Study, status: Status) -> str:
    """Write the study's note in Markdown: the best by all three metrics first, then the others."""
    config, counts = status.config, status.counts
    lines = [
        f"# {status.sweep.name}",
        "",
        *_describe_best(study, status),
        "",
        f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed, "
        f"{counts.running} running, {counts.waiting} waiting; {status.num_dead} of the finished "
        f"ones are dead: {explain_death(config.search.objective)}. Architecture {config.model}, "
        f"{describe_training(config)}, recipe {config.recipe.name}.",
        "",
        f"The loss of predicting zero everywhere is **{config.data.null_loss:.4g}**. The table "
        "leaves dead networks out; the *Best Trial* card of the dashboard does not. The study "
        f"*{studies.name_companion(status.sweep.name)}* has "
        "the networks of the table with all three metrics as objectives.",
        "",
        f"## Best by {config.search.objective.replace('_', ' ')}",
        "",
        *_write_table(study, status.ranked[:NUM_LISTED]),
    ]
    return "\n".join(lines) + "\n"


def _describe_best(study: optuna.Study, status: Status) -> list[str]:
    if not status.ranked:
        return ["No complete trial has found anything yet."]
    best = status.ranked[0]
    score = get_score(get_epoch(best))
    low, high = score.efficiency_interval
    fp_low, fp_high = score.fp_rate_interval
    return [
        f"Best: **[trial {get_number(best)}]({_find_page(study, best)})**, "
        f"validation loss **{score.validation_loss:.5g}**, "
        f"efficiency **{score.efficiency:.4f}** ({low:.4f} to {high:.4f}), "
        f"**{score.fp_rate:.4f}** false positives per event ({fp_low:.4f} to {fp_high:.4f}), "
        f"with {describe_point(best.params)}. Intervals are of 68 %."
    ]


def _find_page(study: optuna.Study, trial: TrialRow) -> str:
    return studies.link_trial(study, get_number(trial))


def _write_table(study: optuna.Study, trials: Sequence[TrialRow]) -> list[str]:
    if not trials:
        return ["No complete trial has found anything yet."]
    rows = [
        "| trial | validation loss | efficiency | FP / event | configuration |",
        "|" + "---|" * 5,
    ]
    for trial in trials:
        epoch = get_epoch(trial)
        rows.append(
            f"| [{trial.number}]({_find_page(study, trial)}) "
            f"| {epoch.validation_loss:.5g} | {epoch.efficiency:.4f} | {epoch.fp_rate:.4f} "
            f"| {describe_point(trial.params)} |"
        )
    return rows

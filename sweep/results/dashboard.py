"""What optuna-dashboard shows of a sweep beyond its trials: note, figures, headline numbers.

Only one process, the one that runs `sweep run`, writes these.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from storage import studies
from storage.epochs import TrialRow
from sweep.results.best import get_epoch
from sweep.results.cards import FRONT_CARD, METRICS_CARD, draw_front, draw_metrics
from sweep.results.scores import get_score
from sweep.results.status import Status
from sweep.trial import describe_point

NUM_LISTED = 10


def publish(study: optuna.Study, status: Status) -> None:
    """Write a study's note, figures and headline attributes from the sweep's status."""
    studies.save_note(study, write_note(status))
    studies.save_figure(study, draw_metrics(status), METRICS_CARD)
    studies.save_figure(study, draw_front(status), FRONT_CARD)
    for key, value in describe_headlines(status).items():
        study.set_user_attr(key, value)


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
            "best trial": best.number if best.number is not None else -1,
            "best validation loss": f"{score.validation_loss:.5g}",
            "best trial efficiency": f"{score.efficiency:.4f} ({low:.4f} to {high:.4f})",
            "best trial FP rate": f"{score.fp_rate:.4f} ({fp_low:.4f} to {fp_high:.4f})",
        }
    return headlines


def write_note(status: Status) -> str:
    """Write the study's note in Markdown: state, the best by all three metrics, the settings."""
    config, counts = status.config, status.counts
    lines = [
        f"# {status.sweep.name}: {config.model}",
        "",
        f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed, "
        f"{counts.running} running, {counts.waiting} waiting; {status.num_dead} of the finished "
        f"ones are dead: no better than predicting zero. {config.data.num_train} training and "
        f"{config.data.num_validation} validation events, {config.recipe.epochs} epochs, "
        f"recipe {config.recipe.name}.",
        "",
        f"The loss of predicting zero everywhere is **{config.data.null_loss:.4g}**: a network "
        "near it has found nothing. The table leaves such networks out; the *Best Trial* card of "
        "the dashboard does not.",
        "",
        f"## Best by {config.search.objective.replace('_', ' ')}",
        "",
        *_write_table(status.ranked[:NUM_LISTED]),
    ]
    return "\n".join(lines) + "\n"


def _write_table(trials: Sequence[TrialRow]) -> list[str]:
    if not trials:
        return ["No complete trial has found anything yet."]
    rows = [
        "| trial | validation loss | efficiency | FP / event | configuration |",
        "|" + "---|" * 5,
    ]
    for trial in trials:
        epoch = get_epoch(trial)
        rows.append(
            f"| {trial.number} | {epoch.validation_loss:.5g} | {epoch.efficiency:.4f} "
            f"| {epoch.fp_rate:.4f} | {describe_point(trial.params)} |"
        )
    return rows

"""The third question: how the hyperparameters were tuned, sweep by sweep."""

from __future__ import annotations

from pathlib import Path

from sweep.data.events import EventSet
from sweep.figures.trials import (
    MAX_CURVES,
    MAX_TRIALS,
    draw_all_curves,
    draw_front,
    draw_history,
)
from sweep.metrics.table import METRICS, OBJECTIVES
from sweep.metrics.wording import write_count, write_date, write_setting, write_shown
from sweep.models.space import Choice, Dimension, Fixed, Int
from sweep.plan.space import read_space
from sweep.report.best import show_curves, show_outputs
from sweep.report.blocks import Block, Column, Figure, Part, Table, Text
from sweep.report.confirmation import show_confirmation
from sweep.report.importance import describe_importances
from sweep.report.savings import describe_endings
from sweep.report.trial_table import name_trial_table, tabulate_trials
from sweep.report.winner import explain_winner
from sweep.results.changes import tell_first_trial
from sweep.results.confirmation import Confirmation
from sweep.results.status import Status
from sweep.storage.epochs import Curves

SCALES = {"linear": "", "log": ", log scale", "one_minus_log": ", log scale of 1 - value"}


def build_tuning_part(
    status: Status,
    curves: Curves,
    artifacts: Path,
    events: EventSet | None,
    confirmation: Confirmation | None = None,
) -> Part:
    """Show one sweep's search: what was considered, tried, ended early, and why one trial won.

    Args:
        events: Its validation events, or None where they are not on this machine.
    """
    key = f"sweep-{status.sweep.id}"
    parts = [
        Part("Hyperparameters considered", _describe_spaces(status)),
        *([Part("Changed while it ran", _show_changes(status))] if status.config.changes else []),
        *([_show_confirmation(confirmation)] if confirmation is not None else []),
        Part("Why this one won", explain_winner(status)),
        Part("Every combination tried", [*_show_search(status, curves, key)]),
        Part("Ended early", describe_endings(status, curves)),
        Part("What mattered", _describe_importances(status, key)),
    ]
    if status.ranked:
        best = status.ranked[0]
        curve = curves.get(best.id, [])
        parts.append(
            Part(
                "The best trial",
                [
                    show_curves(status, best, curve, key),
                    *show_outputs(status, best, artifacts, events, key),
                ],
            )
        )
    return Part(status.sweep.name, parts)


def _show_confirmation(confirmation: Confirmation) -> Part:
    return Part("Confirmed with fresh seeds", show_confirmation(confirmation))


def _describe_spaces(status: Status) -> list[Block]:
    return [block for part in status.narrow_all() for block in _describe_space(part)]


def _describe_importances(status: Status, key: str) -> list[Block]:
    parts = status.narrow_all()
    if len(parts) == 1:
        return describe_importances(status, key)
    blocks: list[Block] = []
    for part in parts:
        blocks.append(Text(f"{part.config.label}:"))
        blocks += describe_importances(part, f"{key}-{part.config.label}")
    return blocks


def _describe_space(status: Status) -> list[Block]:
    config = status.config
    search, objective = config.search, OBJECTIVES[config.search.objective]
    space = read_space(config)
    best = status.best
    rows = [
        (
            name,
            describe_dimension(dimension),
            "; ".join(
                dict.fromkeys(
                    write_shown(point[name]) for point in config.starting_points if name in point
                )
            ),
            write_setting(best.params, name) if best else "",
        )
        for name, dimension in space.items()
    ]
    columns = (
        Column("hyperparameter"),
        Column("space"),
        Column("tried first"),
        Column("of the best trial", True),
    )
    num_searched = sum(not isinstance(dimension, Fixed) for dimension in space.values())
    return [
        Text(
            f"{num_searched} of {write_count(len(space), 'hyperparameter')} were searched with the "
            f"sampler {search.sampler.name}, for the {objective.aim}; the pruner is "
            f"{search.pruner.name}, and no trial is pruned before it has seen "
            f"{config.recipe.grace_events} training events. "
            f"{write_count(len(config.starting_points), 'setting')} were tried before the sampler "
            f"chose any, {config.num_hand_tuned} of them tuned by hand."
        ),
        Table(f"Search space of {status.title}", columns, rows),
    ]


def _show_changes(status: Status) -> list[Block]:
    """Show each change, with the trials that were begun before it and after."""
    rows = [
        (
            str(version),
            tell_first_trial(status, version),
            "; ".join(change.said),
            change.why or "",
            change.author,
            write_date(change.made_s),
        )
        for version, change in enumerate(status.config.changes, start=2)
    ]
    head = ("version", "trials", "what", "why", "who", "when")
    return [
        Text(
            "Data, recipe and objective stayed, so that all trials can be compared; each has the "
            "version that it was begun with. The space above is the last one."
        ),
        Table(f"Changes of {status.sweep.name}", [Column(name) for name in head], rows),
    ]


def describe_dimension(dimension: Dimension) -> str:
    """Describe a dimension of a search space in words."""
    if isinstance(dimension, Fixed):
        return f"{write_shown(dimension.value)} (fixed)"
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(write_shown(value) for value in dimension.values)
    ends = f"{write_shown(dimension.low)} to {write_shown(dimension.high)}"
    if isinstance(dimension, Int):
        step = f", step {dimension.step}" if dimension.step != 1 else ""
        return f"whole numbers {ends}{step}{', log scale' if dimension.log else ''}"
    return ends + SCALES[dimension.scale]


def _show_search(status: Status, curves: Curves, key: str) -> list[Block]:
    table = tabulate_trials(status, curves)
    if not any(trial.best for trial in status.begun):
        return [table]
    shown, followed = (
        f" (of {limit} trials, the best and the latest)" if len(status.begun) > limit else ""
        for limit in (MAX_TRIALS, MAX_CURVES)
    )
    num_ranked = len(status.ranked)
    found = write_count(num_ranked, "complete trial") + " that found something"
    return [
        Figure(
            f"{key}-history",
            f"The metrics by trial{shown}, with the null loss and the best so far.",
            f"Scatter charts of {', '.join(m.label for m in METRICS)} by trial: {found} of "
            f"{len(status.begun)} begun.",
            draw_history(status),
            instead=name_trial_table(status),
        ),
        Figure(
            f"{key}-front",
            f"Efficiency against false positives per event{shown}, with 68 % intervals of complete "
            "trials. Upper left is better; trials with a loss above the null loss may lie beyond "
            "the axis, a double click shows all.",
            f"Scatter chart of efficiency against false positives per event: {found}, the front of "
            "those that no other beats in both, and the hand-tuned settings.",
            draw_front(status),
            instead=name_trial_table(status),
        ),
        Figure(
            f"{key}-epochs",
            f"Validation loss by epoch of each trial, as the pruner saw it{followed}.",
            f"Line chart of the validation loss by epoch, one line a trial, "
            f"{write_count(status.config.recipe.epochs, 'epoch')} at most.",
            draw_all_curves(status, curves),
            instead=name_trial_table(status),
        ),
        table,
    ]

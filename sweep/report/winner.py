"""Why this trial won: in sentences made from its numbers and those of the ones it beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.figures.trials import list_hand_tuned
from sweep.metrics.score import MatchCounts, Score, get_score
from sweep.metrics.table import OBJECTIVES, Metric
from sweep.metrics.wording import (
    do_overlap,
    write_count,
    write_number,
    write_percent,
    write_setting,
)
from sweep.metrics.writing import list_known, list_sentences, write_metric, write_plain
from sweep.report.blocks import Block, Column, Table, Text
from sweep.report.trial_table import list_columns, list_varied
from sweep.results.best import describe_nothing, get_epoch, get_trial_score, say_origin
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow

NUM_RUNNERS_UP = 4


def explain_winner(status: Status) -> list[Block]:
    """Say why the best trial won, or that none did, with the ones it is compared with."""
    table = _tabulate(status)
    if not status.ranked:
        return [Text(describe_nothing(status), is_key=True), table]
    return [Text(" ".join(_explain(status)), is_key=True), table]


def _explain(status: Status) -> Iterator[str]:
    winner = status.ranked[0]
    yield _say_winner(status, winner)
    yield _say_setting(status, winner)
    if len(status.ranked) > 1:
        yield _say_runner_up(status, winner, status.ranked[1])
    yield from _say_hand_tuned(status, winner)
    yield (
        f"It was chosen by the same {get_epoch(winner).events} validation events that it is quoted "
        "on, so on others expect slightly worse. The losses carry no interval: the database keeps "
        "their mean over events, not their spread."
    )


def _say_winner(status: Status, winner: TrialRow) -> str:
    objective = OBJECTIVES[status.config.search.objective]
    null_loss = status.config.data.null_loss
    epoch = get_epoch(winner)
    score = get_score(epoch)
    share = 1 - epoch.validation_loss / null_loss
    beside = (
        f"{write_percent(share)} below the null loss of {write_number(null_loss)}"
        if share > 0
        else f"above the null loss of {write_number(null_loss)}: predicting zero everywhere would "
        "have a lower loss, so this is no network to use"
    )
    return (
        f"Trial {winner.number} won by the sweep's objective: it has the {objective.aim} "
        f"of {write_count(len(status.ranked), 'trial')} that trained to the end "
        f"and found something, {write_number(objective.measure(score))}. Its metrics: "
        f"{', '.join(list_sentences(score))}. Its loss is {beside}."
    )


def _say_setting(status: Status, winner: TrialRow) -> str:
    return {
        "hand-tuned": "Its setting is one of the hand-tuned ones that every sweep tries first.",
        "recommended": "Its setting is the recommended one that every sweep tries after the "
        "hand-tuned ones, so the search found nothing better.",
        "added": "Its setting was added by a person.",
    }.get(say_origin(status, winner), "The search found its setting.")


def _say_runner_up(status: Status, winner: TrialRow, second: TrialRow) -> str:
    objective = OBJECTIVES[status.config.search.objective]
    first, other = get_trial_score(winner), get_trial_score(second)
    compared = [
        f"in {metric.label}, {write_metric(metric, first)} against {write_metric(metric, other)}, "
        + _say_overlap(metric, first, other)
        for metric in list_known([first, other])
        if metric.compute_interval(first) is not None
    ]
    return (
        f"The runner-up, trial {second.number}, has {objective.label} "
        f"{write_number(objective.measure(other))}. Of the two, the winner first: "
        f"{'; '.join(compared)}."
    )


def _say_overlap(metric: Metric, winner: Score, second: Score) -> str:
    one, other = metric.compute_interval(winner), metric.compute_interval(second)
    if one is None or other is None:
        return "without intervals"
    if do_overlap(one, other):
        return "the 68 % intervals overlap, so these events do not tell the two apart"
    apart = "the 68 % intervals do not overlap"
    if metric.direction is None:
        return apart
    is_better = metric.is_better(metric.measure(winner), metric.measure(second))
    return f"{apart} and the winner is {'better' if is_better else 'worse'}"


def _say_hand_tuned(status: Status, winner: TrialRow) -> Iterator[str]:
    hand_tuned = [trial for trial in list_hand_tuned(status) if trial.best is not None]
    if not hand_tuned or winner.slot < status.config.num_hand_tuned:
        return
    best = next((trial for trial in status.ranked if trial in hand_tuned), None)
    if best is None:
        yield (
            f"None of the {write_count(len(hand_tuned), 'hand-tuned setting')} trained to the end "
            "and found something."
        )
        return
    score = get_trial_score(best)
    above = get_epoch(best).validation_loss > status.config.data.null_loss
    yield (
        f"The best of {write_count(len(hand_tuned), 'hand-tuned setting')}, trial {best.number}, "
        f"has {', '.join(list_sentences(score))}; its loss is {'above' if above else 'below'} the "
        "null loss."
    )


def _tabulate(status: Status) -> Table:
    shown = list(status.ranked[: NUM_RUNNERS_UP + 1])
    shown += [t for t in list_hand_tuned(status) if t not in shown and t.best is not None]
    names = list_varied(status)
    metrics = list_known([get_trial_score(trial) for trial in shown])
    columns = (
        Column("trial"),
        Column("chosen by"),
        *list_columns(metrics),
        *(Column(name, True) for name in names),
    )
    rows = [_write_trial(status, trial, metrics, names) for trial in shown]
    data = status.config.data
    zero = Score(MatchCounts(data.num_validation), data.null_loss)
    values = (write_plain(metric, zero) for metric in metrics)
    nothing = ("predicting zero", "", *values, *("" for _ in names))
    return Table(
        f"Best and hand-tuned trials of {status.sweep.name}, beside predicting zero",
        columns,
        [*rows, nothing],
        marked=0 if status.ranked else None,
    )


def _write_trial(
    status: Status, trial: TrialRow, metrics: Sequence[Metric], names: Sequence[str]
) -> Sequence[str]:
    score = get_trial_score(trial)
    return (
        f"{trial.number}" + (" (dead)" if trial.outcome == "dead" else ""),
        say_origin(status, trial),
        *(write_metric(metric, score) for metric in metrics),
        *(write_setting(trial.params, name) for name in names),
    )

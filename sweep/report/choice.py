"""Why this trial won: in sentences made from its numbers and those of the ones it beat."""

from __future__ import annotations

from collections.abc import Iterator

from storage.epochs import TrialRow
from sweep.config import Objective
from sweep.figures.trials import list_hand_tuned
from sweep.metrics.score import get_score
from sweep.report.blocks import Block, Column, Row, Table, Text
from sweep.report.trial_table import list_varied, say_origin
from sweep.results.best import describe_nothing, get_epoch
from sweep.results.status import Status
from sweep.search.judgement import get_value, is_better
from sweep.wording import (
    do_overlap,
    write_count,
    write_efficiency,
    write_fp_rate,
    write_loss,
    write_number,
    write_percent,
    write_setting,
)

NUM_RUNNERS_UP = 4
NAMES: dict[Objective, str] = {"validation_loss": "validation loss", "efficiency": "efficiency"}


def explain_choice(status: Status) -> list[Block]:
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
    objective = status.config.search.objective
    null_loss = status.config.data.null_loss
    epoch = get_epoch(winner)
    extreme = "lowest" if objective == "validation_loss" else "highest"
    value = write_number(get_value(epoch, objective))
    share = 1 - epoch.validation_loss / null_loss
    beside = (
        f"{write_percent(share)} below the null loss of {write_number(null_loss)}"
        if share > 0
        else f"above the null loss of {write_number(null_loss)}: predicting zero everywhere would "
        "have a lower loss, so this is no network to use"
    )
    loss = (
        ""
        if objective == "validation_loss"
        else f"a loss of {write_number(epoch.validation_loss)}, "
    )
    return (
        f"Trial {winner.number} won by the sweep's objective: it has the {extreme} "
        f"{NAMES[objective]} of {write_count(len(status.ranked), 'trial')} that trained to the end "
        f"and found something, {value}; {loss}{beside}. It finds "
        f"{write_efficiency(get_score(epoch))} of the true peaks with "
        f"{write_fp_rate(get_score(epoch))} false positives per event."
    )


def _say_setting(status: Status, winner: TrialRow) -> str:
    return {
        "hand-tuned": "Its setting is one of the hand-tuned ones that every sweep tries first.",
        "recommended": "Its setting is the recommended one that every sweep tries after the "
        "hand-tuned ones, so the search found nothing better.",
    }.get(say_origin(status, winner), "The search found its setting.")


def _say_runner_up(status: Status, winner: TrialRow, second: TrialRow) -> str:
    objective = status.config.search.objective
    first_score, second_score = get_score(get_epoch(winner)), get_score(get_epoch(second))
    return (
        f"The runner-up, trial {second.number}, has {NAMES[objective]} "
        f"{write_number(get_value(get_epoch(second), objective))}. In efficiency, "
        f"{write_efficiency(first_score)} against {write_efficiency(second_score)}, "
        + _say_overlap(
            first_score.efficiency_interval,
            second_score.efficiency_interval,
            is_better=first_score.efficiency > second_score.efficiency,
        )
        + f"; in false positives, {write_fp_rate(first_score)} against "
        f"{write_fp_rate(second_score)} an event, "
        + _say_overlap(
            first_score.fp_rate_interval,
            second_score.fp_rate_interval,
            is_better=first_score.fp_rate < second_score.fp_rate,
        )
        + "."
    )


def _say_overlap(
    first: tuple[float, float], second: tuple[float, float], *, is_better: bool
) -> str:
    if do_overlap(first, second):
        return "the 68 % intervals overlap, so these events do not tell the two apart"
    return (
        f"the 68 % intervals do not overlap and the winner is {'better' if is_better else 'worse'}"
    )


def _say_hand_tuned(status: Status, winner: TrialRow) -> Iterator[str]:
    hand_tuned = [trial for trial in list_hand_tuned(status) if trial.best is not None]
    if not hand_tuned or winner.slot < status.config.num_hand_tuned:
        return
    objective = status.config.search.objective
    alive = [trial for trial in hand_tuned if trial.feasible]
    if not alive:
        yield (
            f"None of the {write_count(len(hand_tuned), 'hand-tuned setting')} trained to the end "
            "and found something."
        )
        return
    best = alive[0]
    for trial in alive[1:]:
        value, record = (get_value(get_epoch(t), objective) for t in (trial, best))
        best = trial if is_better(value, record, objective) else best
    score = get_score(get_epoch(best))
    above = get_epoch(best).validation_loss > status.config.data.null_loss
    yield (
        f"The best of {write_count(len(hand_tuned), 'hand-tuned setting')}, trial {best.number}, "
        f"has loss {write_loss(score)}{' (above the null loss)' if above else ''}, efficiency "
        f"{write_efficiency(score)} and {write_fp_rate(score)} false positives per event."
    )


def _tabulate(status: Status) -> Table:
    shown = list(status.ranked[: NUM_RUNNERS_UP + 1])
    shown += [t for t in list_hand_tuned(status) if t not in shown and t.best is not None]
    names = list_varied(status)
    columns = (
        Column("trial"),
        Column("chosen by"),
        Column("validation loss", True),
        Column("efficiency (68 %)", True),
        Column("FP / event (68 %)", True),
        *(Column(name, True) for name in names),
    )
    rows = [_write_trial(status, trial, names) for trial in shown]
    null_loss = write_number(status.config.data.null_loss)
    nothing = ("predicting zero", "", null_loss, "0", "0", *("" for _ in names))
    return Table(
        f"Best and hand-tuned trials of {status.sweep.name}, beside predicting zero",
        columns,
        [*rows, Row(nothing)],
    )


def _write_trial(status: Status, trial: TrialRow, names: list[str]) -> Row:
    score = get_score(get_epoch(trial))
    return Row(
        (
            f"{trial.number}" + (" (dead)" if trial.outcome == "dead" else ""),
            say_origin(status, trial),
            write_loss(score),
            write_efficiency(score),
            write_fp_rate(score),
            *(write_setting(trial.params, name) for name in names),
        ),
        is_marked=bool(status.ranked) and trial.id == status.ranked[0].id,
    )

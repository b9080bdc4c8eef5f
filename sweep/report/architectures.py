"""The second question: the architectures side by side, and what each costs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from sweep.errors import ConflictError, ModelError
from sweep.figures.trials import draw_architectures, list_useful
from sweep.metrics.table import EFFICIENCY, FP_RATE, METRICS, VALIDATION_LOSS, Metric
from sweep.metrics.wording import (
    do_overlap,
    write_count,
    write_number,
    write_time,
)
from sweep.metrics.writing import list_known, write_metric
from sweep.models import Architecture, count_parameters
from sweep.plan.network import open_kept
from sweep.report.blocks import Block, Column, Figure, Items, Section, Table, Text
from sweep.report.trial_table import list_columns
from sweep.results.best import get_epoch, get_trial_score
from sweep.results.evaluation import build_network
from sweep.results.status import Status
from sweep.storage.epochs import Curves, TrialRow

TITLE = "The architectures, side by side"


def build_architectures_section(
    statuses: Sequence[Status], curves: Sequence[Curves], devices: Mapping[str, str]
) -> Section:
    """Show every architecture of every sweep, its best trial, and what it cost.

    Args:
        statuses: Of one architecture each.
        curves: The epochs of each sweep's trials.
        devices: What each worker has.
    """
    every = {trial: curve for found in curves for trial, curve in found.items()}
    if not statuses:
        return Section("architectures", TITLE, [Text("No search is among the sweeps here.")])
    blocks: list[Block] = [_tabulate_scores(statuses)]
    rated = [status for status in statuses if status.ranked]
    if rated:
        blocks.append(_draw(rated))
    sentences = _compare(rated)
    if sentences:
        blocks.append(Items(sentences, is_key=True))
    blocks.append(_tabulate_costs(statuses, every, devices))
    for status in statuses:
        blocks.append(Text(f"{status.title}: {_describe(status)}"))
    return Section("architectures", TITLE, blocks)


def _tabulate_scores(statuses: Sequence[Status]) -> Table:
    metrics = list_known([get_trial_score(s.best) for s in statuses if s.best])
    columns = (
        Column("sweep"),
        Column("architecture"),
        Column("null loss", True),
        *list_columns(metrics),
        Column("best trial", True),
        Column("parameters", True),
        Column("trials", True),
        Column("what became of them"),
    )
    return Table(
        "The best trial of each sweep", columns, [_write_scores(s, metrics) for s in statuses]
    )


def _write_scores(status: Status, metrics: Sequence[Metric]) -> Sequence[str]:
    config, counts = status.config, status.counts
    if status.ranked:
        best = status.ranked[0]
        score = get_trial_score(best)
        cells = [*(write_metric(metric, score) for metric in metrics), str(best.number)]
    else:
        cells = ["no feasible trial", *("" for _ in metrics)]
    return (
        status.title,
        config.label,
        write_number(config.data.null_loss),
        *cells,
        _count_parameters(status),
        f"{counts.finished} of {status.sweep.budget}",
        _say_outcomes(status),
    )


def _say_outcomes(status: Status) -> str:
    found = Counter(trial.outcome for trial in status.begun if trial.outcome)
    return ", ".join(f"{number} {outcome}" for outcome, number in found.most_common())


def _draw(rated: Sequence[Status]) -> Figure:
    return Figure(
        "architectures",
        "The best trial of each sweep, with 68 % intervals. Upper left is better. Networks with a "
        "loss above the null loss may lie beyond the axis; a double click shows all.",
        "Scatter chart of efficiency against false positives per event: "
        + "; ".join(_say_best(status) for status in rated)
        + ".",
        draw_architectures(rated),
        instead="The best trial of each sweep",
    )


def _say_best(status: Status) -> str:
    score = get_trial_score(status.ranked[0])
    rates = (write_metric(metric, score) for metric in (EFFICIENCY, FP_RATE))
    return f"{status.title} {' at '.join(rates)}"


def _compare(rated: Sequence[Status]) -> list[str]:
    """Say which sweep came out best, and whether that can be told from these numbers."""
    useful = [status for status in rated if list_useful(status)[:1] == status.ranked[:1]]
    sentences = [
        f"{status.title} found no setting with a loss below the null loss "
        f"({write_number(status.config.data.null_loss)}): by the loss, its best network is worse "
        "than predicting zero everywhere."
        for status in rated
        if status not in useful
    ]
    if len(useful) < 2:
        return sentences
    if len({status.config.data.validation_fingerprint for status in useful}) > 1:
        return [
            "The sweeps were judged on different events, so their numbers do not compare directly.",
            *sentences,
        ]
    order = sorted(useful, key=lambda status: get_epoch(status.ranked[0]).validation_loss)
    return [_compare_two(order[0], order[1]), *sentences, *_warn_unequal(useful)]


def _compare_two(first: Status, second: Status) -> str:
    scores = [get_trial_score(status.ranked[0]) for status in (first, second)]
    losses = [write_metric(VALIDATION_LOSS, score) for score in scores]
    parts = [
        f"On the same {scores[0].counts.events} validation events {first.title} has the "
        f"lowest loss, {losses[0]}; the next is {second.title} with {losses[1]}."
    ]
    for metric in METRICS:
        one, other = map(metric.compute_interval, scores)
        if one is None or other is None:
            continue
        texts = " against ".join(write_metric(metric, score) for score in scores)
        relation = "overlap" if do_overlap(one, other) else "do not overlap"
        parts.append(f"In {metric.label}, {texts}, the 68 % intervals {relation}.")
    return " ".join(parts)


def _warn_unequal(statuses: Sequence[Status]) -> list[str]:
    """Say so where the sweeps had unequal means."""
    means = {
        "training events": {s.config.data.num_train for s in statuses},
        "epochs": {s.config.recipe.epochs for s in statuses},
        "finished trials": {s.counts.finished for s in statuses},
    }
    unequal = [name for name, values in means.items() if len(values) > 1]
    if not unequal:
        return []
    return [
        f"The sweeps differ in {' and '.join(unequal)}: a row says what each got, not which "
        "architecture is better on equal terms."
    ]


def _tabulate_costs(
    statuses: Sequence[Status], curves: Curves, devices: Mapping[str, str]
) -> Table:
    columns = (
        Column("sweep"),
        Column("training events", True),
        Column("epochs", True),
        Column("time an epoch", True),
        Column("time a training event", True),
        Column("training, all trials", True),
        Column("device"),
    )
    rows = [_write_costs(status, curves, devices) for status in statuses]
    return Table(
        "What each costs (best trial; an epoch's time includes its validation)", columns, rows
    )


def _write_costs(status: Status, curves: Curves, devices: Mapping[str, str]) -> Sequence[str]:
    trial = status.best
    own = [curves.get(trial.id, []) for trial in status.begun]
    spent_s = sum(epoch.duration_s for curve in own for epoch in curve)
    curve = curves.get(trial.id, []) if trial else []
    num_train = status.config.epoch_events or status.config.data.num_train
    epoch_s = statistics.median(e.duration_s for e in curve) if curve else None
    per_event = "" if epoch_s is None else f"{1000 * epoch_s / num_train:.3g} ms"
    return (
        status.title,
        str(num_train),
        str(status.config.recipe.epochs),
        "" if epoch_s is None else write_time(epoch_s),
        per_event,
        write_time(spent_s) if spent_s else "",
        name_device(status, trial, devices),
    )


def name_device(status: Status, trial: TrialRow | None, devices: Mapping[str, str]) -> str:
    """Name what a trial was trained on; the database forgets workers that ended long ago."""
    known = devices.get(trial.worker) if trial and trial.worker else None
    return known or {"cpu": "CPU", "gpu": "GPU"}[status.config.profile] + " (by the profile)"


def _count_parameters(status: Status) -> str:
    if not status.ranked:
        return ""
    architecture = find_model(status)
    if architecture is None:
        return "not known"
    try:
        network = build_network(architecture, status.ranked[0].params)
    except ModelError:  # another version of the class
        return "not known"
    return f"{count_parameters(network):,}"


def _describe(status: Status) -> str:
    architecture = find_model(status)
    if architecture is None:
        return "a person's own network, which was not run for this page (see --trust-code)."
    trained = write_count(status.config.recipe.epochs, "epoch")
    rationale = architecture.rationale or "a person's own network."
    return f"{rationale} Trained for {trained} with the recipe {status.config.recipe.name}."


def find_model(status: Status) -> Architecture | None:
    """Find a sweep's architecture, or None where a person's own is not trusted or not there."""
    try:
        return open_kept(status.config, status.load_files()).architecture
    except (ModelError, ConflictError):
        return None

"""Two trained networks on the same events, paired by event."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.progress import Progress
from sweep.data.selection import reopen_split
from sweep.data.splits import count_shared
from sweep.errors import ConfigError, ConflictError, DataError, ModelError, check_least
from sweep.machine.device import choose_device
from sweep.metrics.score import EVENT_COUNTS, LOSS
from sweep.metrics.table import METRICS, Metric
from sweep.metrics.writing import describe_score
from sweep.plan.parts import read_variant
from sweep.results.bootstrap import Difference, compare_scores
from sweep.results.contender import Contender
from sweep.results.evaluation import judge
from sweep.training.decode_scan import score_chosen
from sweep.training.event_scores import EventScores


@dataclass(frozen=True)
class EventFiles:
    """Events named by a person: files, names of their arrays, features of an HDF5 file."""

    files: Sequence[Path] = ()
    x_key: str | None = None
    y_key: str | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same events.

    Attributes:
        a, b: What was compared.
        scores_a, scores_b: Of each event.
        differences: By the keys of the metrics: b against a.
        notes: What a reader has to know of how fair it is, one sentence each.
    """

    a: Contender
    b: Contender
    scores_a: EventScores
    scores_b: EventScores
    differences: dict[str, Difference]
    notes: tuple[str, ...]

    @property
    def num_a_finds_more(self) -> int:
        """Events in which a finds more true peaks than b."""
        return int((self._found_more_N < 0).sum())

    @property
    def num_b_finds_more(self) -> int:
        """Events in which b finds more true peaks than a."""
        return int((self._found_more_N > 0).sum())

    def list_differences(self) -> list[tuple[Metric, Difference]]:
        """List the metrics that were compared, in their order, with the differences."""
        return [(m, self.differences[m.key]) for m in METRICS if m.key in self.differences]

    @property
    def _found_more_N(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return self.scores_b.get_counts("found") - self.scores_a.get_counts("found")


def compare(
    a: Contender,
    b: Contender,
    named: EventFiles,
    *,
    num_resamples: int,
    seed: int,
    progress: Progress | None = None,
) -> Comparison:
    """Judge two networks on the same events and compare them event by event.

    Args:
        named: Events; without files, the validation events that both share.
        progress: Told how many of how many events are read, then judged by both networks, then how
            many of how many times events are drawn again.

    Raises:
        ConfigError: when a number is not usable.
        ConflictError: when no events are named and the two were not validated on the same.
        DataError: when the events cannot be used, or a network was trained on some of them.
        ModelError: when a network does not predict numbers.
    """
    check_least("resamples", num_resamples)
    check_least("seed", seed, 0)
    with contextlib.redirect_stdout(sys.stderr):  # a person's own network may print
        if named.files:
            events = _open_named(a, b, named, progress)
            notes = _check_named(events, (a, b), progress)
        else:
            events = _open_shared(a, b, progress)
            notes = [
                "both were chosen on these very events, which flatters both; --data names others"
            ]
        scores_a, scores_b = (
            _score(contender, events, _join_passes(progress, number, 2))
            for number, contender in enumerate((a, b))
        )
    notes += [
        f"{contender.label}: peaks by {contender.decode}, chosen on its validation events"
        for contender in (a, b)
        if contender.decode is not None
    ]
    notes.append(
        "chance is that of the events alone: trained again, each may differ by more "
        "(`sweep curve` shows how much)"
    )
    differences = compare_scores(
        scores_a, scores_b, num_resamples=num_resamples, seed=seed, progress=progress
    )
    notes += [contender.note for contender in (a, b) if contender.note]
    return Comparison(a, b, scores_a, scores_b, differences, tuple(notes))


def _join_passes(progress: Progress | None, number: int, num_passes: int) -> Progress | None:
    """Tell of the pass of this number, from 0, as a part of several over the same events."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, num_passes * total)


def _open_shared(a: Contender, b: Contender, progress: Progress | None) -> EventSet:
    first, second = (contender.data.validation_fingerprint for contender in (a, b))
    if first != second:
        raise ConflictError(
            f"compare: {a.label} and {b.label} were validated on different events, got "
            f"fingerprints {first} and {second}, expected the same; name the events with --data"
        )
    try:
        return reopen_split(a.data, progress).validation
    except DataError:  # the same events may lie elsewhere for the other
        return reopen_split(b.data, progress).validation


def _open_named(
    a: Contender, b: Contender, named: EventFiles, progress: Progress | None
) -> EventSet:
    is_hdf5 = not any(path.suffix == ".npz" for path in named.files)
    variants = {contender.data.variant for contender in (a, b)}
    if is_hdf5 and named.variant is None and len(variants) > 1:
        raise ConfigError(
            f"compare: {a.label} and {b.label} were trained on different features, got "
            f"{a.data.variant} and {b.data.variant}, expected the same; choose with --variant"
        )
    variant = read_variant(named.variant) or (a.data.variant if is_hdf5 else None)
    return open_events(
        named.files, x_key=named.x_key, y_key=named.y_key, variant=variant, progress=progress
    )


def _check_named(
    events: EventSet, contenders: Sequence[Contender], progress: Progress | None
) -> list[str]:
    """Refuse events that a network was trained on; say which of them chose it."""
    notes = []
    for contender in contenders:
        try:
            split = reopen_split(contender.data, progress)
        except DataError as exc:
            notes.append(
                f"not checked whether {contender.label} was trained on some of these events, for "
                f"its own are not here ({exc})"
            )
            continue
        num_seen = count_shared(events, split.train)
        if num_seen:
            raise DataError(
                f"{' + '.join(events.labels)}: {contender.label} was trained on these events, got "
                f"{num_seen} of {len(events)} among those of its sweep, expected none; compare "
                "on others"
            )
        num_chosen = count_shared(events, split.validation)
        if num_chosen:
            notes.append(
                f"{contender.label} was chosen on {num_chosen} of these {len(events)} events, "
                "which flatters it"
            )
    return notes


def _score(contender: Contender, events: EventSet, progress: Progress | None) -> EventScores:
    def look(seen: Iterator[tuple[Tensor, Tensor]]) -> EventScores:
        return score_chosen(seen, contender.decode)

    network, device = contender.network, choose_device()
    scores = judge(network, events, device, look, progress, contender.label)
    if not np.isfinite(scores.loss_N).all():
        raise ModelError(
            f"{contender.label}: it predicts no numbers, got NaN in event "
            f"{int(np.flatnonzero(~np.isfinite(scores.loss_N))[0])}, expected finite heights; "
            "compare another"
        )
    return scores


def describe_difference(metric: Metric, difference: Difference) -> str:
    """Say in a sentence which of the two has more of a metric, and whether beyond chance."""
    low, high = difference.interval_95
    if not difference.is_beyond_chance:
        return f"no difference beyond chance: {low:+.3g} to {high:+.3g} (95 %)"
    winner = "B" if difference.value > 0 else "A"
    smallest, largest = sorted((abs(low), abs(high)))
    return f"{winner} {metric.more}, by {smallest:.3g} to {largest:.3g} (95 %): beyond chance"


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """Give what `sweep compare --json` prints."""
    scores = {"a": comparison.scores_a, "b": comparison.scores_b}
    labels = {"a": comparison.a.label, "b": comparison.b.label}
    return {
        **{side: {"label": labels[side], **describe_score(scores[side].score)} for side in scores},
        "events": len(comparison.scores_a),
        "a_finds_more": comparison.num_a_finds_more,
        "b_finds_more": comparison.num_b_finds_more,
        "differences": {
            metric.key: {
                **asdict(difference),
                "difference": difference.value,
                "beyond_chance": difference.is_beyond_chance,
                "sentence": describe_difference(metric, difference),
            }
            for metric, difference in comparison.list_differences()
        },
        "notes": list(comparison.notes),
        "per_event": {
            "true_peaks": comparison.scores_a.num_true_N.tolist(),
            **{side: _list_per_event(scores[side]) for side in scores},
        },
    }


def _list_per_event(scores: EventScores) -> dict[str, list[float]]:
    counts = {name: scores.get_counts(name).tolist() for name in EVENT_COUNTS}
    return {**counts, LOSS: scores.loss_N.tolist()}

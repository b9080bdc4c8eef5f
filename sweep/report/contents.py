"""Puts the report together: opens the events, builds the sections, writes the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from sweep.data.progress import Progress
from sweep.errors import SweepError
from sweep.files.output_file import check_output
from sweep.metrics.wording import (
    write_count,
    write_number,
)
from sweep.metrics.writing import list_sentences
from sweep.report.architectures import build_architectures_section
from sweep.report.blocks import Block, Section, Text
from sweep.report.curve import build_sample_size_section
from sweep.report.data import build_data_section, get_key, open_data
from sweep.report.page import Page, write_page
from sweep.report.provenance import build_provenance_section
from sweep.report.tuning import build_tuning_part
from sweep.results.best import get_epoch, get_trial_score
from sweep.results.confirmation import Confirmation, find_confirmation
from sweep.results.curve import compute_curve
from sweep.results.status import Status, read_status
from sweep.storage.epochs import read_curves
from sweep.storage.sweeps import Sweep, find_sweep, list_sweeps
from sweep.storage.workers import read_devices


@dataclass(frozen=True)
class Report:
    """What was written: the sweeps it tells of and its size in bytes."""

    sweeps: Sequence[str]
    num_bytes: int


def choose_sweeps(engine: sa.Engine, names: Sequence[str]) -> list[Sweep]:
    """Find the sweeps of these names, or all of the database; a confirmation is in its search.

    Raises:
        SweepError: when there is none.
        UnknownSweepError: when there is none of a name.
    """
    chosen = [find_sweep(engine, name) for name in dict.fromkeys(names)] or list_sweeps(engine)
    if not chosen:
        raise SweepError(
            "report: nothing to tell of, got a database without sweeps, expected at least one; "
            "start one with `sweep run`"
        )
    known = {sweep.name: sweep for sweep in list_sweeps(engine)}
    searches = [
        known.get(sweep.config["confirmation"]["sweep"], sweep)
        if sweep.config.get("confirmation")
        else sweep
        for sweep in chosen
    ]
    return list({sweep.name: sweep for sweep in searches}.values())


def write_report(
    engine: sa.Engine,
    sweeps: Sequence[Sweep],
    artifacts: Path,
    out: Path,
    progress: Progress | None = None,
) -> Report:
    """Write the report of sweeps, running or done.

    Raises:
        SweepError: when the page cannot be written.
    """
    check_output(out, (".html",))
    statuses = [read_status(engine, sweep) for sweep in sweeps]
    searches = [status for status in statuses if status.config.curve is None]
    size_curves = [compute_curve(s) for s in statuses if s.config.curve is not None]
    uses = open_data(statuses, progress)
    events = {get_key(u.status): u.split.validation if u.split else None for u in uses}
    curves = [read_curves(engine, status.sweep.id) for status in searches]
    devices = read_devices(engine)
    data = build_data_section(uses, progress)
    tunings: list[Block] = []
    verdicts = [find_confirmation(engine, status) for status in searches]
    for status, found, verdict in zip(searches, curves, verdicts, strict=True):
        validation = events[get_key(status)]
        tunings.append(build_tuning_part(status, found, artifacts, validation, verdict))
        if progress is not None:
            progress(len(tunings), len(searches))
    parts = [part for status in searches for part in status.narrow_all()]
    none = Text("No search is among the sweeps of this page.")
    sections = [
        data,
        build_architectures_section(parts, curves, devices),
        Section("tuning", "The tuning", tunings or [none]),
        build_sample_size_section(size_curves, [part.config.model for part in parts]),
        build_provenance_section(statuses, devices, datetime.now(UTC)),
    ]
    names = [sweep.name for sweep in sweeps]
    heads = [_say_best(s, verdict) for s, verdict in zip(searches, verdicts, strict=True)]
    page = Page(f"Sweep report: {', '.join(names)}", heads, sections)
    return Report(names, write_page(out, page))


def _say_best(status: Status, confirmation: Confirmation | None) -> str:
    counts = status.counts
    model = status.config.label
    name = status.sweep.name if model == status.sweep.name else f"{status.sweep.name} ({model})"
    done = f"{counts.finished} of {write_count(status.sweep.budget, 'trial')}"
    if not status.ranked:
        return f"{name}: no feasible trial in {done}."
    if confirmation is not None:
        return f"{name}: {'. '.join(confirmation.list_findings())}."
    score = get_trial_score(status.ranked[0])
    null_loss = status.config.data.null_loss
    above = get_epoch(status.ranked[0]).validation_loss > null_loss
    return (
        f"{name}: {', '.join(list_sentences(score))}; the best of {done} on "
        f"{score.counts.events} validation events, 68 % intervals. Its loss is "
        f"{'above' if above else 'below'} the null loss, {write_number(null_loss)}."
    )

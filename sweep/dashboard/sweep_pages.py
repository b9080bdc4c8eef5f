"""Writes our own pages: all sweeps at a glance, and one sweep with the forms that change it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from optuna.storages import BaseStorage

from sweep.dashboard.page_frame import write_page
from sweep.dashboard.routes import Route
from sweep.dashboard.visits import Visit
from sweep.errors import ConfigError
from sweep.metrics.table import MIRRORED, OBJECTIVES, Metric
from sweep.metrics.wording import write_count, write_date
from sweep.metrics.writing import list_known, write_fine, write_plain
from sweep.results.best import describe_nothing
from sweep.results.champions import Champion, list_champions
from sweep.results.edits import find_openings
from sweep.results.glance import list_workers, tell_pace, tell_reason, tell_state
from sweep.results.status import Status, describe_training, read_status
from sweep.storage.edits import list_edits
from sweep.storage.sweeps import list_sweeps
from sweep.storage.transactions import retry

MAIN = tuple(MIRRORED.values())
NUM_EDITS = 20
"""Of a sweep that are listed, the latest."""


@dataclass(frozen=True)
class Reply:
    """What a page says of what its reader has just sent.

    Attributes:
        fault: Why it was not done, in one line; empty where it was.
        typed: What stood in the form that was not done, by field.
        edit: Number of the edit that was made, or None.
    """

    fault: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    edit: int | None = None


@dataclass(frozen=True)
class SweepRow:
    """What both pages show of a sweep.

    Attributes:
        is_open: Whether it goes on, or would with workers.
        best: What stands for it, where that is shown, and in `numbers` the main metrics of it.
        command: With which it would go on although its budget is spent; empty where none does.
    """

    id: int
    name: str
    kind: str
    model: str
    objective: str
    priority: int
    state: str
    reason: str
    is_open: bool
    is_stopped: bool
    is_unfinished: bool
    finished: int
    budget: int
    counts: str
    num_workers: int
    pace: str
    best: Champion | None
    numbers: Sequence[str]
    command: str

    @property
    def told(self) -> list[str]:
        """How far it is and why it does not go on, a sentence each."""
        counts = f": {self.counts}" if self.counts else ""
        parts = [f"{self.finished} of {self.budget} trials{counts}", self.reason, self.pace]
        return [part[0].upper() + part[1:] for part in parts if part]

    @property
    def path(self) -> str:
        """Address of its page."""
        return Route(self.id).path

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Where it stands among all: open ones by priority, then the latest."""
        return not self.is_open, -self.priority if self.is_open else 0, -self.id


@dataclass(frozen=True)
class ChampionRow:
    """One of a sweep's best trials, the address of its page if it has one, and its metrics."""

    champion: Champion
    link: str | None
    numbers: Sequence[str]


@dataclass(frozen=True)
class Forms:
    """What of a sweep's page can be sent.

    Attributes:
        refusal: Why nothing can be, or empty.
        tokens: By the edits that there are.
    """

    refusal: str
    tokens: Mapping[str, str]


def write_sweeps_page(engine: sa.Engine, visit: Visit) -> str:
    """Write the page of all sweeps: the open ones first, then the latest."""
    rows, faults = [], []
    for sweep in list_sweeps(engine):
        try:
            status = read_status(engine, sweep)
            best = next(iter(list_champions(engine, status)), None)
        except ConfigError as exc:  # of it or of its confirmation; the others are listed
            faults.append(f"{sweep.name}: not listed: {exc}")
            continue
        rows.append(_describe(status, best))
    num_open = sum(row.is_open for row in rows)
    return write_page(
        "sweeps.html",
        title="All sweeps",
        is_home=True,
        visit=visit,
        summary=f"{write_count(len(rows), 'sweep')}, {num_open} of them open.",
        now=write_date(time.time()),
        faults=faults,
        metrics=MAIN,
        rows=sorted(rows, key=lambda row: row.rank),
    )


def write_sweep_page(
    engine: sa.Engine,
    storage: BaseStorage,
    status: Status,
    visit: Visit,
    forms: Forms | None,
    reply: Reply,
) -> str:
    """Write the page of one sweep.

    Args:
        forms: What can be sent; None where nothing is to be.
    """
    row = _describe(status)
    champions = list_champions(engine, status)
    metrics = list_known([one.score for one in champions])
    study = _find_study(storage, status.sweep.name)
    edits = list_edits(engine, status.sweep.id, NUM_EDITS)
    done = next((edit for edit in edits if edit.number == reply.edit), None)
    said = "Not done: " if reply.fault else "Done: " if done else ""
    workers = list_workers(status)
    return write_page(
        "sweep.html",
        title=f"{said}{status.sweep.name}",
        is_home=False,
        visit=visit,
        row=row,
        now=write_date(time.time()),
        fault=reply.fault,
        done=done,
        typed=reply.typed,
        metrics=metrics,
        champions=[_describe_champion(one, metrics, study) for one in champions],
        nothing=describe_nothing(status),
        facts=_list_facts(status),
        study=study,
        worker_titles=workers.titles,
        workers=workers.rows,
        can_edit=forms is not None,
        refusal=forms.refusal if forms else "",
        tokens=forms.tokens if forms else {},
        openings=find_openings(engine, status.sweep) if forms else None,
        edits=edits,
    )


def _describe(status: Status, best: Champion | None = None) -> SweepRow:
    sweep, config, counts = status.sweep, status.config, status.counts
    states = ("pruned", "failed", "paused", "running", "waiting")
    told = [f"{number} {state}" for state in states if (number := getattr(counts, state))]
    return SweepRow(
        id=sweep.id,
        name=sweep.name,
        kind=config.kind,
        model=_tell_model(status, is_short=True),
        objective=_tell_objective(status),
        priority=sweep.priority,
        state=tell_state(status),
        reason=tell_reason(status),
        is_open=status.is_open,
        is_stopped=sweep.stop_requested,
        is_unfinished=counts.unfinished > 0,
        finished=counts.finished,
        budget=sweep.budget,
        counts=", ".join(told),
        num_workers=sum(worker.sweep is not None for worker in status.workers),
        pace=tell_pace(status),
        best=best,
        numbers=[write_plain(metric, best.score if best else None) for metric in MAIN],
        command=_write_command(status) if config.kind == "search" else "",
    )


def _tell_model(status: Status, *, is_short: bool = False) -> str:
    """Tell what is searched: of a person's own network without its folder."""
    several = status.config.architectures
    if is_short and len(several) > 3:
        return f"{len(several)} architectures"
    return ", ".join(one.label for one in several) or status.config.model.rpartition("/")[2]


def _tell_objective(status: Status) -> str:
    if status.config.search.is_front:
        return f"front of {', '.join(metric.label for metric in MAIN)}"
    return OBJECTIVES[status.config.search.objective].label


def _find_study(storage: BaseStorage, name: str) -> str | None:
    """Find the address of a study's page within optuna-dashboard; None where it is gone."""
    try:
        return f"/dashboard/studies/{retry(lambda: storage.get_study_id_from_name(name))}"
    except KeyError:
        return None


def _write_command(status: Status) -> str:
    sweep = status.sweep
    words = ["sweep", "run", "--model", status.config.model, "--sweep", sweep.name]
    return shlex.join([*words, "--trials", str(2 * sweep.budget)])


def _describe_champion(one: Champion, metrics: Sequence[Metric], study: str | None) -> ChampionRow:
    link = f"{study}/trials?numbers={one.trial}" if study and one.trial is not None else None
    return ChampionRow(one, link, [write_fine(metric, one.score) for metric in metrics])


def _list_facts(status: Status) -> list[tuple[str, str]]:
    config = status.config
    return [
        ("kind", config.kind),
        ("architecture", _tell_model(status)),
        ("objective", _tell_objective(status)),
        ("trained with", describe_training(config)),
        ("null loss", f"{config.data.null_loss:.4g}"),
        ("dead trials", f"{status.num_dead} ({status.explain_death()})"),
        ("priority", str(status.sweep.priority)),
        ("begun", write_date(status.sweep.created_s)),
    ]

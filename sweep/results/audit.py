"""The account of a search's pruning: what it saved, and how often it was wrong.

What it saved is counted. Whether it was wrong is asked of some pruned trials, drawn at random: they
are trained to the end as trials of a sweep of their own, with fresh weights, under the same claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from sweep.config import ConfirmationConfig
from sweep.errors import ConfigError
from sweep.metrics.intervals import compute_efficiency_interval
from sweep.metrics.table import OBJECTIVES
from sweep.metrics.wording import write_count
from sweep.metrics.writing import NOTHING
from sweep.plan.confirmation_plan import add_pairs, name_audit, plan_audit
from sweep.plan.network import open_all_kept
from sweep.plan.preparation import create_stored
from sweep.results.best import get_epoch
from sweep.results.candidates import make_candidate
from sweep.results.confirmation import find_confirmation_of_search
from sweep.results.status import Status, read_status
from sweep.search.judgement import get_value, is_better
from sweep.search.seeds import derive_seed
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import FAILED, change_budget, change_config, find_stored

PRUNED = "pruned"
"""Outcome of a trial that was worse than others: those that died or diverged were no choice."""


@dataclass(frozen=True)
class Audit:
    """What pruned trials came to.

    Attributes:
        status: Of the audit's own sweep.
        bar: What a pruned trial has to beat: what the search found, by fresh trainings where it is
            confirmed; None where it found nothing.
        num_false: Of the trained ones, those that beat it.
        num_trained: Those trained to the end.
    """

    status: Status
    bar: float | None
    num_false: int
    num_trained: int

    def describe(self) -> dict[str, Any]:
        """Give what `--json` says of it."""
        return {
            "sweep": self.status.sweep.name,
            "trained": self.num_trained,
            "false": self.num_false,
            "bar": self.bar,
            "interval": list(compute_efficiency_interval(self.num_false, self.num_trained)),
            "says": self.tell(),
        }

    def tell(self) -> str:
        """Say how many were pruned wrongly, in one line."""
        metric = OBJECTIVES[self.status.config.search.objective]
        low, high = compute_efficiency_interval(self.num_false, self.num_trained)
        bar = NOTHING if self.bar is None else f"{self.bar:{metric.fine}}"
        return (
            f"audit: of {write_count(self.num_trained, 'pruned trial')} trained to the end "
            f"{self.num_false} came out better than the search ({metric.label} {bar}): between "
            f"{low:.0%} and {high:.0%} of its prunings are false, with 68 %; each is one training, "
            "and where two are close its seed alone may say which is better"
        )


def describe_pruning(search: Status) -> dict[str, int]:
    """Count what the pruning of a search saved: trials that ended early, and epochs."""
    finished = [row for row in search.begun if row.finished_s is not None and row.state != FAILED]
    trained = sum(row.num_epochs for row in finished)
    return {
        "pruned": search.counts.pruned,
        "finished": len(finished),
        "epochs": trained,
        "epochs_of_all": len(finished) * search.config.recipe.epochs,
    }


def tell_pruning(search: Status) -> str:
    """Say what the pruning of a search saved, in one line; empty where it pruned nothing."""
    found = describe_pruning(search)
    if not found["pruned"] or search.config.kind != "search":
        return ""
    whole, trained = found["epochs_of_all"], found["epochs"]
    return (
        f"pruning: {found['pruned']} of {write_count(found['finished'], 'trial')} ended early; "
        f"{trained} of {whole} epochs trained, {1 - trained / whole:.0%} saved"
    )


def begin_audit(engine: sa.Engine, search: Status, count: int) -> bool:
    """Register the audit of a search, or have further pruned trials join it.

    Args:
        count: How many pruned trials it has in all, as far as there are so many.

    Returns:
        Whether there is one.

    Raises:
        ConfigError: when its name is another sweep's.
        ModelError: when it is a network of somebody else's that is not trusted.
    """
    name = name_audit(search.sweep.name)
    stored = find_stored(engine, name)
    design = None if stored is None else _read_design(read_status(engine, stored))
    if stored is not None and (design is None or design.sweep != search.sweep.name):
        raise ConfigError(
            f"sweep {name}: taken, got a sweep that audits nothing, expected that name to be free "
            f"for the audit of {search.sweep.name}; search under another --sweep"
        )
    open_all_kept(search.config, search.load_files())
    known = {one.trial for one in design.candidates} if design else set()
    drawn = [row for row in _draw_pruned(search) if row.number not in known]
    objective = search.config.search.objective
    joining = [make_candidate(row, objective) for row in drawn[: max(0, count - len(known))]]
    if stored is None:
        if joining:
            config = plan_audit(search.config, search.sweep.name, search.counts.finished, joining)
            budget, files = len(config.starting_points), search.load_files()
            create_stored(engine, name, config, budget, files, search.sweep.priority)
        return bool(joining)
    config = read_status(engine, stored).config
    if joining and design is not None:
        grown = design.model_copy(update={"candidates": (*design.candidates, *joining)})
        pairs = [(len(known) + index, 1) for index in range(len(joining))]
        config = add_pairs(config.model_copy(update={"confirmation": grown}), pairs)
        if not change_config(engine, stored, config.to_json(), search.load_files()):
            return begin_audit(engine, search, count)
    # Also where somebody was killed between the config and its trials.
    change_budget(engine, stored.id, len(config.starting_points))
    return True


def read_audit(engine: sa.Engine, search: Status) -> Audit | None:
    """Read what the audit of a search has shown so far; None where there is none."""
    stored = find_stored(engine, name_audit(search.sweep.name))
    status = read_status(engine, stored) if stored else None
    if status is None or _read_design(status) is None:
        return None
    objective, bar = search.config.search.objective, _find_bar(engine, search)
    ended = [row for row in status.begun if row.finished_s is not None and row.state != FAILED]
    num_false = sum(
        row.best is not None
        and bool(row.feasible)
        and (bar is None or is_better(get_value(row.best, objective), bar, objective))
        for row in ended
    )
    return Audit(status, bar, num_false, len(ended))


def _read_design(status: Status) -> ConfirmationConfig | None:
    design = status.config.confirmation
    return design if design is not None and design.is_audit else None


def _draw_pruned(search: Status) -> list[TrialRow]:
    """Give the trials that were worse than others, in an order that the sweep's seed decides."""
    pruned = [row for row in search.begun if row.outcome == PRUNED]
    rng = np.random.default_rng(derive_seed(search.config.search.seed, "audited", 0))
    return [pruned[place] for place in rng.permutation(len(pruned))]


def _find_bar(engine: sa.Engine, search: Status) -> float | None:
    """Find what the search came to: its winner's fresh mean, or else what its best claims."""
    found = find_confirmation_of_search(engine, search.sweep.name)
    if found is not None and found.is_settled and found.winner is not None:
        return found.metric.sign * float(found.estimate.level_C[found.winner])
    best = search.best
    return None if best is None else get_value(get_epoch(best), search.config.search.objective)

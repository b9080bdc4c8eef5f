"""What a search's best trials are worth, said by all of its trials and not by their own luck.

The lowest of many losses was lucky as well: what configurations near it gave says how much of it is
its own. So a confirmation does not spend its trainings on the luckiest alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.trial import FixedTrial

from sweep.config import MODEL, SweepConfig
from sweep.models.space import Dimension, Fixed
from sweep.models.value import Value
from sweep.plan.space import read_space
from sweep.results.status import Status
from sweep.search.coordinates import find_coordinate
from sweep.search.draw import Outlook
from sweep.search.expected_ends import expect_ends
from sweep.search.judgement import get_value
from sweep.search.seen import Seen, expect_levels
from sweep.search.strategy import describe_outlook
from sweep.search.suggestion import fix_point, suggest
from sweep.storage.epochs import Curves, TrialRow
from sweep.storage.tables import Epoch


def rank_by_level(search: Status, curves: Curves) -> list[TrialRow]:
    """Rank the trials that may be called the best by what further trainings are expected to give.

    Args:
        curves: Of all trials of the search.

    Returns:
        The best first. One outside of the space, as a setting tuned by hand may be, counts as what
        it gave itself.
    """
    level_of: dict[int, float] = {}
    for part in search.config.narrow_all():
        own = [row for row in search.begun if row.params.get(MODEL, part.label) == part.label]
        level_of |= _expect_levels(part, own, curves)
    return sorted(search.ranked, key=lambda row: level_of[row.id])


def say_expected_best(search: Status, curves: Curves) -> str:
    """Say whose further trainings are expected to be the best; empty where its value says so, too.

    What was measured of a choice by it: docs/SEARCH.md.
    """
    first, best = rank_by_level(search, curves)[0], search.ranked[0]
    if first is best:
        return ""
    return (
        f"by what all trials came to, trial {first.number} is expected to be as good or better when"
        f" trained again than trial {best.number}, whose value is the best"
    )


def _expect_levels(
    config: SweepConfig, rows: Sequence[TrialRow], curves: Curves
) -> dict[int, float]:
    """Expect the levels of one architecture's trials, by their ids; lower is better."""
    space, outlook = read_space(config), describe_outlook(config)
    told = [_read_curve(row, curves.get(row.id, ()), config, outlook) for row in rows]
    if not told:
        return {}
    ends = expect_ends(told, outlook.num_epochs, outlook.worst)
    level_of = {row.id: float(value) for row, value in zip(rows, ends.value_N, strict=True)}
    places = [_find_place(row.params, space) for row in rows]
    inside = [index for index, place in enumerate(places) if place is not None]
    if inside:
        u_ND = np.array([places[index] for index in inside])
        seen = Seen(u_ND, ends.value_N[inside], ends.doubt_N[inside], np.full(len(inside), ""))
        level_of |= {rows[i].id: float(v) for i, v in zip(inside, expect_levels(seen), strict=True)}
    return level_of


def _read_curve(
    row: TrialRow, curve: Sequence[Epoch], config: SweepConfig, outlook: Outlook
) -> list[float]:
    """Read a trial's values, as the sampler does: none of one that diverged."""
    if row.outcome == "diverged":
        return []
    return outlook.turn(get_value(epoch, config.search.objective) for epoch in curve)


def _find_place(params: Mapping[str, Value], space: Mapping[str, Dimension]) -> list[float] | None:
    """Find a configuration's place in the unit cube; None outside of the space."""
    searched = {name: d for name, d in space.items() if not isinstance(d, Fixed)}
    if not all(name in params and d.contains(params[name]) for name, d in searched.items()):
        return None
    trial = FixedTrial(fix_point({name: params[name] for name in searched}, searched))
    suggest(trial, searched, {})
    return [find_coordinate(v, trial.distributions[n]) for n, v in trial.params.items()]

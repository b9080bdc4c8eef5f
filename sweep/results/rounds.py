"""Begins a confirmation, and its rounds one after the other.

A round is first written into the config and then given its trials: where that was broken off, the
next one who looks finishes it. Of two who write at once the second finds the config changed: it
looks again at what is left to do.
"""

from __future__ import annotations

import sqlalchemy as sa

from sweep.config import CandidateConfig
from sweep.errors import ConfigError
from sweep.plan.confirmation_plan import (
    DEFAULT_SEEDS,
    DEFAULT_TOP,
    FIRST_SEEDS,
    add_pairs,
    name_confirmation,
    plan_confirmation,
)
from sweep.plan.network import open_all_kept, open_kept
from sweep.plan.preparation import create_stored
from sweep.results.best import find_best_trial
from sweep.results.candidates import find_leader, list_candidates
from sweep.results.confirmation import Confirmation, find_confirmation_of_search
from sweep.results.status import Status
from sweep.storage.epochs import read_curves
from sweep.storage.publications import outdate_pages
from sweep.storage.sweeps import change_budget, change_config, find_stored


def begin_confirmation(
    engine: sa.Engine, search: Status, top: int | None, seeds: int | None
) -> None:
    """Create the confirmation of a search; where it is there, the best it does not know join it.

    Args:
        top: How many of the best beside the recommended point, or None for the default: where it
            is there, as many as it has.
        seeds: The most trainings of each, or None for the default.

    Raises:
        ConfigError: when it is there with another number of seeds, or its name is another sweep's.
        ModelError: when it is a network of somebody else's that is not trusted.
        SweepError: when the search has nothing to confirm.
    """
    name, search_name = name_confirmation(search.sweep.name), search.sweep.name
    stored = find_confirmation_of_search(engine, search_name)
    # A person asked for this search: what they trusted before may run in workers, too.
    open_all_kept(search.config, search.load_files())
    if stored is not None:
        if seeds not in (None, stored.design.seeds):
            raise ConfigError(
                f"seeds: the confirmation has begun, got {seeds}, expected "
                f"{stored.design.seeds} as it began with; leave --seeds out"
            )
        if stored.num_since or top is not None:
            join_confirmation(engine, search, stored, top)
        return
    if find_stored(engine, name) is not None:
        raise ConfigError(
            f"sweep {name}: taken, got a sweep that confirms nothing, expected that name to be "
            f"free for the confirmation of {search_name}; rename nothing, search under another "
            "--sweep"
        )
    find_best_trial(search)
    files = search.load_files()
    candidates = _list_candidates(engine, search, top or DEFAULT_TOP)
    config = plan_confirmation(
        search.config,
        search_name,
        search.counts.finished,
        candidates,
        seeds or DEFAULT_SEEDS,
    )
    budget = len(config.starting_points)
    create_stored(engine, name, config, budget, files, search.sweep.priority)


def join_confirmation(
    engine: sa.Engine,
    search: Status,
    stored: Confirmation,
    top: int | None = None,
    num_most: int | None = None,
) -> bool:
    """Have the best of a search that has gone on join its confirmation, with the same seeds.

    Args:
        top: How many are the best, or None for as many as the confirmation has.
        num_most: How many may join at most, the best first; None for no bound.

    Returns:
        Whether its verdict will be of now; False where some should join and none may.
    """
    design = stored.design
    known = {one.trial for one in design.candidates}
    top = top or sum(not one.is_recommended for one in design.candidates) or 1
    later = [
        one
        for one in _list_candidates(engine, search, top)
        if one.trial not in known and not one.is_recommended
    ]
    joining = later[:num_most]
    if later and not joining:
        return False
    first, num_known = range(1, min(FIRST_SEEDS, design.seeds) + 1), len(design.candidates)
    pairs = [(num_known + index, seed) for seed in first for index in range(len(joining))]
    grown = design.model_copy(
        update={
            "candidates": (*design.candidates, *joining),
            "finished": search.counts.finished,
        }
    )
    config = add_pairs(stored.status.config.model_copy(update={"confirmation": grown}), pairs)
    sweep = stored.status.sweep
    if not change_config(engine, sweep, config.to_json(), stored.status.load_files()):
        changed = find_confirmation_of_search(engine, search.sweep.name) or stored
        return join_confirmation(engine, search, changed, top, num_most)
    change_budget(engine, sweep.id, len(config.starting_points))
    outdate_pages(engine, [sweep.name, search.sweep.name])
    return True


def _list_candidates(engine: sa.Engine, search: Status, top: int) -> tuple[CandidateConfig, ...]:
    from sweep.results.levels import rank_by_level  # late: it loads Optuna

    leader = find_leader(search)
    config = search.config.narrow_to(leader.params) if leader else search.config
    architecture = open_kept(config, search.load_files()).architecture
    by_level = rank_by_level(search, read_curves(engine, search.sweep.id))
    return list_candidates(search, top, architecture.defaults, by_level)


def begin_round(engine: sa.Engine, confirmation: Confirmation) -> bool:
    """Begin the next round of a confirmation all of whose trials are finished.

    Returns:
        Whether there is one, this one's or that of somebody who was first.
    """
    sweep, config = confirmation.status.sweep, confirmation.status.config
    if sweep.budget == len(confirmation.design.pairs):
        pairs = confirmation.list_next_pairs()
        if not pairs:
            return False
        config = add_pairs(config, pairs)
        if not change_config(engine, sweep, config.to_json(), confirmation.status.load_files()):
            return True
    change_budget(engine, sweep.id, len(config.starting_points))
    return True

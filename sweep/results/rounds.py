"""Begins a confirmation, and its rounds one after the other.

A round is first written into the config and then given its trials: where that was broken off, the
next one who looks finishes it.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.sweeps import change_budget, change_config
from sweep.errors import ConfigError
from sweep.plan.confirmation import (
    DEFAULT_SEEDS,
    DEFAULT_TOP,
    add_pairs,
    name_confirmation,
    plan_confirmation,
)
from sweep.plan.early import find_stored
from sweep.plan.network import open_kept
from sweep.plan.preparation import create_stored
from sweep.results.best import find_best
from sweep.results.candidates import list_candidates
from sweep.results.confirmation import Confirmation, find_confirmation
from sweep.results.status import Status


def begin_confirmation(
    engine: sa.Engine, search: Status, top: int | None, seeds: int | None
) -> None:
    """Create the confirmation of a search, unless it is there; then its size must be the same.

    Args:
        top: How many of the best beside the recommended point, or None for the default.
        seeds: The most trainings of each, or None for the default.

    Raises:
        ConfigError: when it is there with another number of seeds, or its name is another sweep's.
        SweepError: when the search has nothing to confirm.
    """
    name, search_name = name_confirmation(search.sweep.name), search.sweep.name
    stored = find_confirmation(engine, search_name)
    if stored is not None:
        if seeds not in (None, stored.design.seeds):
            raise ConfigError(
                f"seeds: the confirmation has begun, got {seeds}, expected "
                f"{stored.design.seeds} as it began with; leave --seeds out"
            )
        return
    if find_stored(engine, name) is not None:
        raise ConfigError(
            f"sweep {name}: taken, got a sweep that confirms nothing, expected that name to be "
            f"free for the confirmation of {search_name}; rename nothing, search under another "
            "--sweep"
        )
    find_best(search)
    files = search.load_files()
    architecture = open_kept(search.config, files).architecture
    candidates = list_candidates(search, top or DEFAULT_TOP, architecture.defaults)
    config = plan_confirmation(
        search.config,
        search_name,
        search.counts.finished,
        candidates,
        seeds or DEFAULT_SEEDS,
    )
    create_stored(engine, name, config, len(config.starting_points), files)


def begin_round(engine: sa.Engine, confirmation: Confirmation) -> bool:
    """Begin the next round of a confirmation all of whose trials are finished.

    Returns:
        Whether there is one.
    """
    sweep, config = confirmation.status.sweep, confirmation.status.config
    if sweep.budget == len(confirmation.design.pairs):
        pairs = confirmation.list_next_pairs()
        if not pairs:
            return False
        config = add_pairs(config, pairs)
        change_config(engine, sweep.id, config.to_json(), confirmation.status.load_files())
    change_budget(engine, sweep.id, len(config.starting_points))
    return True

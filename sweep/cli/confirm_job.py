"""The job behind `sweep confirm`, and at the end of a search: rounds of trials, then a winner."""

from __future__ import annotations

import time
from dataclasses import replace

import sqlalchemy as sa

from sweep.cli.job_options import JobOptions
from sweep.cli.output import print_json, print_note
from sweep.cli.progress import show_progress
from sweep.cli.tables import print_confirmation
from sweep.cli.workforce import open_places, refresh_pages, take_time, train
from sweep.errors import ConfigError
from sweep.launch.launcher import Wish
from sweep.launch.places import Place
from sweep.plan.confirmation_plan import (
    SHARE,
    check_size,
    choose_joining,
    choose_size,
    name_confirmation,
    write_command,
)
from sweep.results.candidates import find_leader
from sweep.results.confirmation import Confirmation, find_confirmation_of_search
from sweep.results.rounds import begin_confirmation, begin_round, join_confirmation
from sweep.results.status import Status, read_status
from sweep.storage.artifacts import TrialFolder
from sweep.storage.epochs import read_curves
from sweep.storage.sweeps import Sweep, find_stored, find_sweep, request_stop


def run_confirmation(
    engine: sa.Engine,
    search: Sweep,
    options: JobOptions,
    wish: Wish,
    top: int | None,
    seeds: int | None,
    *,
    as_json: bool,
) -> None:
    """Confirm a search, or go on with that, and show who wins.

    Args:
        top: How many of the best beside the recommended point, or None for the default.
        seeds: The most trainings of each, or None for the default.

    Raises:
        SweepError, StorageError: when it cannot be, or the workers failed.
    """
    check_size(top, seeds)
    status = read_status(engine, search)
    if status.config.confirmation or status.config.curve:
        raise ConfigError(
            f"sweep {search.name}: nothing to confirm, got a sweep whose trials are given, "
            "expected a search; name another"
        )
    engine.dispose()  # workers are forked now, who shall not share its connections
    with open_places(options, wish) as places:
        begin_confirmation(engine, status, top, seeds)
        is_done = _carry_on(engine, status, options, places)
    _show(engine, search.name, as_json=as_json)
    if not is_done:
        print_note(f"stopped; to go on: {write_command(search.name)}, with the same options")


def end_search(
    engine: sa.Engine,
    search: Status,
    options: JobOptions,
    places: list[Place],
    *,
    is_shown: bool,
) -> bool:
    """Confirm a search at its end, where that is within its share of the cost.

    Args:
        is_shown: Whether to print what came of it.

    Returns:
        Whether nothing of it is left to do.
    """
    name = search.sweep.name
    if search.config.confirmation or search.config.curve or not search.ranked:
        return True
    spent = sum(trial.num_epochs for trial in search.begun)
    epochs = search.config.recipe.epochs
    found = find_confirmation_of_search(engine, name)
    if found is None:
        from sweep.results.levels import say_expected_best  # late: it loads Optuna

        if find_stored(engine, name_confirmation(name)) is not None:
            print_note(f"{name}: not confirmed: {name_confirmation(name)} is another sweep's name")
            return True
        leader = find_leader(search)
        part = search.config.narrow_to(leader.params) if leader else search.config
        has_recommended = part.recommended_slot is not None
        size = choose_size(spent, epochs, has_recommended=has_recommended)
        if size is None:
            print_note(
                f"{name}: not confirmed, which would take more than {SHARE:.0%} of the epochs of "
                f"so short a search; `{write_command(name)}` does it"
            )
            if told := say_expected_best(search, read_curves(engine, search.sweep.id)):
                print_note(f"{name}: {told}")
            return True
        begin_confirmation(engine, search, *size)
    elif found.num_since:
        num_most = choose_joining(spent, epochs, found.design.seeds, len(found.design.pairs))
        if not join_confirmation(engine, search, found, num_most=num_most):
            print_note(
                f"{name}: not confirmed anew, which would take more than {SHARE:.0%} of its "
                f"epochs; `{write_command(name)}` does it"
            )
    is_done = _carry_on(engine, search, options, places)
    if is_shown:
        _show(engine, name, as_json=False)
    return is_done


def _carry_on(engine: sa.Engine, search: Status, options: JobOptions, places: list[Place]) -> bool:
    """Train round after round, then open the third part for the winner; True when all is done."""
    name = name_confirmation(search.sweep.name)
    own, start_s = replace(options, sweep=name), time.monotonic()
    if find_sweep(engine, name).stop_requested:
        request_stop(engine, find_sweep(engine, name).id, stop=False)
    while True:
        found = _find(engine, search.sweep.name)
        if found.status.counts.unfinished:
            print_note(
                f"{name}: {len(found.design.candidates)} candidates, up to {found.design.seeds} "
                "fresh trainings each"
            )
            left = take_time(own, time.monotonic() - start_s)
            if not train(engine, found.status.sweep, left, places):
                return False
        elif not begin_round(engine, found):
            break
    _open_test(engine, found, options)
    refresh_pages(engine, options.storage, [name, search.sweep.name])
    return True


def _find(engine: sa.Engine, search: str) -> Confirmation:
    found = find_confirmation_of_search(engine, search)
    if found is None:
        raise ConfigError(
            f"sweep {name_confirmation(search)}: taken, got a sweep that confirms nothing, "
            f"expected the confirmation of {search}; search under another --sweep"
        )
    return found


def _open_test(engine: sa.Engine, found: Confirmation, options: JobOptions) -> None:
    """Judge the winner on the events set aside, unless that was done or cannot be here."""
    status, trial, artifacts = found.status, found.find_trial(), options.artifacts
    if found.opened or trial is None or found.num_test is None:
        return
    if not TrialFolder(artifacts, status.sweep, trial.slot).weights.exists():
        print_note(
            f"{status.sweep.name}: the events set aside stay closed: the winner's weights are not "
            f"in {artifacts}; `sweep confirm` where they are opens them"
        )
        return
    from sweep.results.set_aside import judge_winner  # late: it loads torch

    with show_progress("judging the winner on the events set aside") as progress:
        judge_winner(engine, found, artifacts, progress)


def _show(engine: sa.Engine, search: str, *, as_json: bool) -> None:
    found = _find(engine, search)
    if as_json:
        print_json(found.describe())
    else:
        print_confirmation(found)

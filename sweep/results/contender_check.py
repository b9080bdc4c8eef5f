"""What is wrong with the networks that a person names, found before torch is loaded."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import SweepError
from sweep.results.best import find_best_trial
from sweep.results.export_folder import check_export, is_export
from sweep.results.status import Status, read_status
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS
from sweep.storage.engine import close_after, parse_url
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import open_sweeps


def check_contender(text: str, storage: str) -> None:
    """Refuse what is neither an export nor a trial that may have kept its weights.

    Args:
        text: As `sweep compare` takes it.
        storage: Address of the database, which exports do not need.

    Raises:
        SweepError, StorageError: when there is none of that name.
    """
    if is_export(text):
        check_export(Path(text))
    else:
        find_trained(text, storage)


def find_trained(text: str, storage: str) -> tuple[Status, TrialRow, str]:
    """Find a trial that may have kept its weights.

    Args:
        text: The name of a sweep (its best trial, or the confirmed one), or NAME:NUMBER.

    Returns:
        The status of its sweep, the trial, and where the winner is of before, that.

    Raises:
        SweepError, StorageError: when there is none of that name, or it kept none.
    """
    name, _colon, number = text.rpartition(":")
    with close_after(open_sweeps(parse_url(storage))) as engine:
        status = read_status(engine, find_sweep(engine, name or text))
        if name:
            return status, _find_numbered(status, number), ""
        find_best_trial(status)  # without one there is no winner, either
        from sweep.results.confirmation import (  # late: it loads NumPy
            find_winner_or_best,
            say_winner_age,
        )

        return *find_winner_or_best(engine, status), say_winner_age(engine, status)


def _find_numbered(status: Status, number: str) -> TrialRow:
    for trial in status.begun:
        if str(trial.number) != number:
            continue
        if not trial.feasible:
            raise SweepError(
                f"trial {number} of {status.sweep.name}: no weights, got one that is "
                f"{trial.outcome or trial.state}, expected a complete trial that found something; "
                "choose another"
            )
        if trial not in status.ranked[:NUM_KEPT_WEIGHTS]:
            raise SweepError(
                f"trial {number} of {status.sweep.name}: no weights, got one that is not among the "
                f"best, expected one of the best {NUM_KEPT_WEIGHTS}, which kept theirs; choose "
                "another"
            )
        return trial
    raise SweepError(
        f"sweep {status.sweep.name}: no such trial, got {number!r}, expected a number of one that "
        "has begun; `sweep best` lists the best"
    )

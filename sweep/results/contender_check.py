"""What is wrong with the networks that a person names, found before torch is loaded."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import SweepError
from sweep.results.best import find_best_trial
from sweep.results.export_folder import check_export, is_export
from sweep.results.status import Status, read_status
from sweep.storage.artifacts import NUM_KEPT_WEIGHTS
from sweep.storage.engine import close_after, open_engine, parse_url
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import find_sweep
from sweep.storage.tables import check_tables


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
        return
    name, _colon, number = text.rpartition(":")
    with close_after(open_engine(parse_url(storage))) as engine:
        check_tables(engine)
        status = read_status(engine, find_sweep(engine, name or text))
    if name:
        find_trial(status, number)
    else:
        find_best_trial(status)


def find_trial(status: Status, number: str) -> TrialRow:
    """Find a trial that may have kept its weights.

    Raises:
        SweepError: when there is none of that number, or it is no complete and feasible one.
    """
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

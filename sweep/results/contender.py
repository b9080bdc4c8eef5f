"""What can be compared: the best trial of a sweep, any trial that kept its weights, an export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from storage.engine import open_engine, parse_url
from storage.epochs import TrialRow
from storage.sweeps import find_sweep
from storage.tables import check_tables
from sweep.config import DataConfig
from sweep.errors import SweepError
from sweep.results.best import find_best
from sweep.results.evaluation import CONFIG_FILE, load_export, rebuild_network
from sweep.results.status import Status, read_status
from sweep.trial.retention import NUM_KEPT_WEIGHTS


@dataclass(frozen=True)
class Contender:
    """A trained network, with the events it was trained on and chosen by."""

    label: str
    network: nn.Module
    data: DataConfig


def find_contender(text: str, storage: str, artifacts: Path) -> Contender:
    """Find a trained network by what a person calls it.

    Args:
        text: A folder that `sweep best --export` wrote, the name of a sweep (its best trial), or
            NAME:NUMBER for a trial of it.
        storage: Address of the database, which exports do not need.
        artifacts: Folder where workers kept the weights.

    Raises:
        SweepError, StorageError: when there is none of that name, or its weights are not there.
    """
    folder = Path(text)
    if os.sep in text or (folder / CONFIG_FILE).is_file():
        exported = load_export(folder)
        return Contender(f"export {text}", exported.network, exported.data)
    name, _colon, number = text.rpartition(":")
    engine = open_engine(parse_url(storage))
    check_tables(engine)
    status = read_status(engine, find_sweep(engine, name or text))
    trial = _find_trial(status, number) if name else find_best(status)
    engine.dispose()
    return Contender(
        f"{status.sweep.name}, trial {trial.number}",
        rebuild_network(status, trial, artifacts),
        status.config.data,
    )


def _find_trial(status: Status, number: str) -> TrialRow:
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

"""What can be compared: the best trial of a sweep, any trial that kept its weights, an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sweep.config import DataConfig
from sweep.metrics.decode import Decode
from sweep.results.best import get_decode
from sweep.results.contender_check import find_trained
from sweep.results.evaluation import load_export, rebuild_network
from sweep.results.export_folder import is_export


@dataclass(frozen=True)
class Contender:
    """A trained network, with the events it was trained on and chosen by.

    Attributes:
        note: What is to be known of how it was chosen; empty where nothing is.
        decode: What counts as a peak of its output, where that was chosen with it.
    """

    label: str
    network: nn.Module
    data: DataConfig
    note: str = ""
    decode: Decode | None = None


def find_contender(text: str, storage: str, artifacts: Path) -> Contender:
    """Find a trained network by what a person calls it.

    Args:
        text: A folder that `sweep best --export` wrote, the name of a sweep (its best trial, or
            the confirmed one), or NAME:NUMBER for a trial of it.
        storage: Address of the database, which exports do not need.

    Raises:
        SweepError, StorageError: when there is none of that name, or its weights are not there.
    """
    folder = Path(text)
    if is_export(text):
        exported = load_export(folder)
        return Contender(
            f"export {text}", exported.network, exported.data, decode=exported.own_decode
        )
    status, trial, note = find_trained(text, storage)
    return Contender(
        f"{status.sweep.name}, trial {trial.number}",
        rebuild_network(status, trial, artifacts),
        status.config.data,
        note,
        get_decode(trial),
    )

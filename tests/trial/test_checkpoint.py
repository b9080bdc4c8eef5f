"""Curves in checkpoints: what may stand in them, and what an older version left out."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from sweep.storage.artifacts import TrialFolder
from sweep.storage.sweeps import Sweep
from sweep.storage.tables import Epoch
from sweep.trial.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

EPOCH = Epoch(1, 100, 0.05, 0.05, 10, 8, 2, 8, 1, 1e-3, 1.0, 8, -310, 4100, -90_000, 10**7)
OPTIONAL = ("pairs", "residual_um", "residual_um2", "residual_um3", "residual_um4")


@pytest.fixture
def folder(tmp_path: Path) -> TrialFolder:
    """Of the first trial of a sweep, with a checkpoint after one epoch."""
    sweep = Sweep(1, "cnn", {}, {}, 1, 0.0, False, None)
    folder = TrialFolder(tmp_path, sweep, 0)
    save_checkpoint(folder, Checkpoint({"epoch": 1}, [EPOCH], {}))
    return folder


def test_negative_sums_come_back(folder: TrialFolder) -> None:
    """Residuals have a sign; a trial whose peaks lie low goes on as any other."""
    found = load_checkpoint(folder)
    assert found is not None
    assert found.curve == [EPOCH]


@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "none"])
def test_curve_of_an_older_version_is_read(folder: TrialFolder, is_missing: bool) -> None:
    """Without the sums that it did not keep, whether they are missing or stored as nothing."""
    old = replace(EPOCH, **dict.fromkeys(OPTIONAL))
    state = torch.load(folder.checkpoint, weights_only=True)
    entry = {k: v for k, v in asdict(old).items() if not (is_missing and k in OPTIONAL)}
    torch.save({**state, "curve": [entry]}, folder.checkpoint)
    found = load_checkpoint(folder)
    assert found is not None
    assert found.curve == [old]


@pytest.mark.parametrize("value", ["7", 0.5, True])
def test_other_sums_are_left_aside(folder: TrialFolder, value: object) -> None:
    """Whole numbers or nothing."""
    state = torch.load(folder.checkpoint, weights_only=True)
    torch.save({**state, "curve": [asdict(EPOCH) | {"residual_um": value}]}, folder.checkpoint)
    assert load_checkpoint(folder) is None

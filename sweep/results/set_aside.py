"""The third part of the events, opened once: what it shows of a confirmation's winner."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
import torch

from storage.publications import outdate_pages
from storage.sweeps import change_config
from sweep.config import OpenedConfig
from sweep.data.selection import reopen_test
from sweep.errors import ModelError
from sweep.metrics.writing import describe_score
from sweep.progress import Progress
from sweep.results.confirmation import Confirmation
from sweep.results.evaluation import evaluate, rebuild_network


def judge_winner(
    engine: sa.Engine,
    confirmation: Confirmation,
    artifacts: Path,
    progress: Progress | None = None,
) -> None:
    """Judge the winner's network on the events set aside, and keep that with the confirmation.

    The pages that the dashboard has of it and of the search are outdated by that.

    Args:
        confirmation: Settled, and its winner not judged so before.
        artifacts: Folder where the workers kept its weights.
        progress: Told how many of how many events are judged.

    Raises:
        DataError, ModelError: when the events or the weights are not there, or others.
    """
    status, trial = confirmation.status, confirmation.find_trial()
    if trial is None:
        raise ModelError(
            f"sweep {status.sweep.name}: no winner, got no training that lives, expected one; look "
            "at its trials with `sweep report`"
        )
    network = rebuild_network(status, trial, artifacts)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    score = evaluate(network, reopen_test(status.config.data, progress), device, progress)
    before = confirmation.design.opened
    times = before.times + 1 if before else 1
    opened = OpenedConfig(slot=trial.slot, score=describe_score(score), times=times)
    design = confirmation.design.model_copy(update={"opened": opened})
    config = status.config.model_copy(update={"confirmation": design})
    change_config(engine, status.sweep.id, config.to_json(), status.load_files())
    outdate_pages(engine, [status.sweep.name, design.sweep])

"""The third part of the events, opened once: what it shows of a confirmation's winner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import torch
from torch import nn

from sweep.config import OpenedConfig
from sweep.data.events import EventSet
from sweep.data.progress import Progress
from sweep.data.selection import reopen_test
from sweep.errors import ModelError
from sweep.machine.device import choose_device
from sweep.metrics.writing import describe_score
from sweep.models.rehearsal import find_ending
from sweep.plan.network import is_own
from sweep.results.best import get_decode
from sweep.results.confirmation import Confirmation, find_confirmation_of_search
from sweep.results.evaluation import evaluate, rebuild_network
from sweep.storage.publications import outdate_pages
from sweep.storage.sweeps import change_config


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
    events = reopen_test(status.config.data, progress)
    model = status.config.narrow_to(trial.params).model
    if is_own(model):
        _refuse_ending(model, network, events)
    device = choose_device()
    score = evaluate(network, events, device, progress, get_decode(trial))
    while not _keep(engine, confirmation, trial.slot, describe_score(score)):
        changed = find_confirmation_of_search(engine, confirmation.design.sweep)
        if changed is None or (changed.design.opened and changed.design.opened.slot == trial.slot):
            break
        confirmation = changed
    outdate_pages(engine, [status.sweep.name, confirmation.design.sweep])


def _keep(
    engine: sa.Engine, confirmation: Confirmation, slot: int, score: Mapping[str, Any]
) -> bool:
    """Keep what the third part showed with the confirmation; False where it has changed since."""
    before, status = confirmation.design.opened, confirmation.status
    times = before.times + 1 if before else 1
    opened = OpenedConfig(slot=slot, score=dict(score), times=times)
    design = confirmation.design.model_copy(update={"opened": opened})
    config = status.config.model_copy(update={"confirmation": design})
    return change_config(engine, status.sweep, config.to_json(), status.load_files())


def _refuse_ending(model: str, network: nn.Module, events: EventSet) -> None:
    """Refuse a person's network that ends the process in which it predicts these events.

    Raises:
        ModelError: when it does.
    """
    ending = find_ending(lambda: evaluate(network, events, torch.device("cpu")))
    if ending is not None:
        raise ModelError(
            f"model: {model} ends the process in which it predicts the events set aside, got "
            f"{ending}, expected a prediction; correct the class"
        )

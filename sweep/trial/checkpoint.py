"""What a trial keeps on disk: a checkpoint to go on from, and the weights of its best epoch."""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from storage.artifacts import TrialFolder, write_file
from storage.epochs import Epoch
from storage.errors import ArtifactError
from sweep.device import is_out_of_memory
from sweep.training.trainer import EpochResult

logger = logging.getLogger(__name__)

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A trial between two epochs.

    Attributes:
        trainer: What `Trainer.capture` gave.
        curve: All epochs so far.
        best_weights: Of the best of them, on the CPU.
    """

    trainer: Mapping[str, Any]
    curve: Sequence[Epoch]
    best_weights: Weights


def make_epoch(result: EpochResult) -> Epoch:
    """Give the row of a learning curve that a training's result is kept as.

    Raises:
        ValueError: when it has no validation loss.
    """
    counts = result.score.counts
    loss = result.score.validation_loss
    if loss is None:
        raise ValueError(f"epoch {result.epoch}: no validation loss, got None, expected a number")
    return Epoch(
        epoch=result.epoch,
        events_seen=result.events_seen,
        train_loss=result.train_loss,
        validation_loss=loss,
        events=counts.events,
        found=counts.found,
        missed=counts.missed,
        predicted_found=counts.predicted_found,
        false_positives=counts.false_positives,
        lr=result.lr,
        duration_s=result.duration_s,
    )


def save_checkpoint(folder: TrialFolder, checkpoint: Checkpoint) -> None:
    """Replace a trial's checkpoint, whole or not at all.

    Raises:
        ArtifactError: when the disk is full or the folder not writable.
    """
    state = {
        "trainer": checkpoint.trainer,
        "curve": [asdict(epoch) for epoch in checkpoint.curve],
        "best_weights": checkpoint.best_weights,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    _keep(folder.checkpoint, buffer.getbuffer())


def load_checkpoint(folder: TrialFolder) -> Checkpoint | None:
    """Read the checkpoint that this or an earlier worker left; None where none can be read.

    Its tensors are on the CPU, where the states of random generators must stay.
    """
    if not folder.checkpoint.is_file():
        return None
    try:
        state = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as exc:
        if is_out_of_memory(exc):
            raise
        logger.warning(
            "a trial begins anew: its checkpoint %s cannot be read (%s)", folder.checkpoint, exc
        )
        return None
    curve = [Epoch(**epoch) for epoch in state["curve"]]
    return Checkpoint(state["trainer"], curve, state["best_weights"])


def save_weights(folder: TrialFolder, weights: Weights) -> None:
    """Keep the weights of a trial's best epoch.

    Raises:
        ArtifactError: when the disk is full or the folder not writable.
    """
    _keep(folder.weights, safetensors.torch.save(weights))


def _keep(path: Path, content: bytes | memoryview) -> None:
    """Write a file of the trial; that it cannot be written says nothing about the network."""
    try:
        write_file(path, lambda temporary: temporary.write_bytes(content))
    except OSError as exc:
        raise ArtifactError(
            f"{path}: cannot be written, got {exc.strerror or exc!r}, expected room on the disk "
            "and a folder that is writable; see to it and go on with `sweep run`"
        ) from exc

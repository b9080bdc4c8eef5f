"""What a trial keeps on disk: a checkpoint to go on from, and the weights of its best epoch."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from sweep.machine.device import is_out_of_memory
from sweep.machine.turns import others_turn
from sweep.storage.artifacts import TrialFolder
from sweep.storage.errors import ArtifactError
from sweep.storage.files import write_file
from sweep.storage.tables import Epoch
from sweep.training.state import (
    StateError,
    Weights,
    capture_state,
    check_form,
    check_parts,
    restore_state,
)
from sweep.training.trainer import EpochResult

logger = logging.getLogger(__name__)


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
    if result.score.validation_loss is None:
        raise ValueError(f"epoch {result.epoch}: no validation loss, got None, expected a number")
    return Epoch(
        epoch=result.epoch,
        events_seen=result.events_seen,
        train_loss=result.train_loss,
        lr=result.lr,
        duration_s=result.duration_s,
        **result.score.to_row(),
    )


def rehearse(trained: nn.Module, fresh: nn.Module) -> None:
    """Keep a network's state as its weights are kept, and give it to a new network.

    Args:
        trained: The network whose state has to come back.
        fresh: Another one with the same hyperparameters.

    Raises:
        StateError: when the state cannot be kept or does not come back.
    """
    try:
        content = safetensors.torch.save(capture_state(trained))
    except Exception as exc:  # the network's own hooks may raise anything
        if is_out_of_memory(exc):
            raise
        reason = " ".join(str(exc).split()) or repr(exc)
        raise StateError(f"the network's state cannot be kept: {reason}") from exc
    restore_state(fresh, safetensors.torch.load(content))


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

    Its tensors are on the CPU, where the states of random generators must stay. Its curve is
    checked; whether the rest fits the training, `Trainer.restore` says.
    """
    if not folder.checkpoint.is_file():
        return None
    try:
        state = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
        return _read_checkpoint(state)
    except Exception as exc:  # whatever is in the file: PyTorch raises any kind of fault
        if is_out_of_memory(exc):
            raise
        leave_aside(folder, exc)
        return None


def leave_aside(folder: TrialFolder, fault: Exception) -> None:
    """Say that a trial begins anew, and why its checkpoint is of no use."""
    reason = " ".join(str(fault).split())[:300] or repr(fault)
    logger.warning(
        "a trial begins anew: its checkpoint %s cannot be used (%s)", folder.checkpoint, reason
    )


def _read_checkpoint(state: object) -> Checkpoint:
    """Read what a checkpoint's file holds.

    Raises:
        StateError: when it has another form.
    """
    check_parts("checkpoint", ("trainer", "curve", "best_weights"), state)
    assert isinstance(state, dict)
    curve = [_read_epoch(number, epoch) for number, epoch in enumerate(state["curve"], 1)]
    trainer, weights = state["trainer"], state["best_weights"]
    if not isinstance(trainer, dict) or trainer.get("epoch") != len(curve):
        raise StateError(f"got {len(curve)} epochs in its curve, expected those of the training")
    if not isinstance(weights, dict) or not all(map(_is_weight, weights.items())):
        raise StateError("got other best weights than tensors by name, expected these")
    return Checkpoint(trainer, curve, weights)


def _is_weight(entry: tuple[object, object]) -> bool:
    return isinstance(entry[0], str) and isinstance(entry[1], torch.Tensor)


def _read_epoch(number: int, entry: Mapping[str, Any]) -> Epoch:
    """Read one epoch of a stored curve: numbers, all of them finite, in their order.

    What an older version did not keep may be missing. Sums that may be so may be negative, too.
    """
    optional = {field.name: field.default for field in fields(Epoch) if field.default is None}
    form = {
        field.name: 0.0 if field.type == "float" else 0
        for field in fields(Epoch)
        if field.name not in optional
    }
    sums = {name: entry.get(name) for name in optional}
    check_form(f"curve.{number}", form, {n: v for n, v in entry.items() if n not in optional})
    epoch = Epoch(**{**entry, **sums})
    counts = [entry[name] for name, zero in form.items() if isinstance(zero, int)]
    if epoch.epoch != number or not all(isinstance(n, int) and n >= 0 for n in counts):
        raise StateError(f"curve.{number}: got {epoch}, expected counts in this order")
    kinds = {field.name: float if "float" in str(field.type) else int for field in fields(Epoch)}
    if not all(value is None or type(value) is kinds[name] for name, value in sums.items()):
        raise StateError(f"curve.{number}: got {epoch}, expected whole sums, and numbers")
    return epoch


def save_weights(folder: TrialFolder, weights: Weights) -> None:
    """Keep the weights of a trial's best epoch.

    Raises:
        ArtifactError: when the disk is full or the folder not writable.
    """
    _keep(folder.weights, safetensors.torch.save(weights))


def _keep(path: Path, content: bytes | memoryview) -> None:
    """Write a file of the trial; that it cannot be written says nothing about the network."""
    try:
        with others_turn():
            write_file(path, lambda temporary: temporary.write_bytes(content))
    except OSError as exc:
        raise ArtifactError(
            f"{path}: cannot be written, got {exc.strerror or exc!r}, expected room on the disk "
            "and a folder that is writable; see to it and go on with `sweep run`"
        ) from exc

"""Trainings for the benchmark of one GPU: networks, events, and the product's `Trainer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from sweep.data.splits import Split
from sweep.models import ARCHITECTURES
from sweep.plan.recipes import build_recipe
from sweep.training.replay import Player
from sweep.training.trainer import Trainer

GPU = torch.device("cuda")
BATCH_SIZE = 64
VALUES: dict[str, Any] = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.99, "batch_size": BATCH_SIZE}
BOUNDED = {"head": "softplus", "activation": "relu"}
NETWORKS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "cnn, 16 channels": ("cnn", {"hidden_size": 16, "num_layers": 3, **BOUNDED}),
    "cnn, 32 channels": ("cnn", {"hidden_size": 32, "num_layers": 3, **BOUNDED}),
    "cnn, the report's": ("cnn", {}),
    "rcnn, 16 cells": ("rcnn", {"hidden_size": 16, "num_layers": 1, **BOUNDED}),
    "rcnn, the report's": ("rcnn", {}),
    "birnn, the report's": ("birnn", {}),
    "mlp": ("mlp", {}),
}
SMALL, MIDDLE = "cnn, 16 channels", "cnn, 32 channels"


def build(name: str) -> nn.Module:
    family, sizes = NETWORKS[name]
    return ARCHITECTURES[family].load_network()(**sizes)


def make_trainer(
    network: nn.Module | str,
    split: Split,
    epochs: int,
    *,
    is_replayed: bool = True,
    device: torch.device | None = None,
    seed: int = 5,
    values: Mapping[str, Any] = VALUES,
    **options: Any,
) -> Trainer:
    torch.manual_seed(seed)
    if isinstance(network, str):
        network = build(network)
    recipe = build_recipe("fast", epochs, epochs)
    trainer = Trainer(network, split, recipe, values, seed=seed, device=device or GPU, **options)
    if not is_replayed:
        trainer.player = Player(trainer.act, trainer.network, None)
    return trainer


def list_losses(trainer: Trainer) -> list[float]:
    return [loss for r in trainer.run() for loss in (r.train_loss, r.score.validation_loss or 0.0)]


def take(split: Split, num_train: int, num_validation: int) -> Split:
    """Take some events of each part; the first ones again where there are fewer."""
    chosen = (
        part.take(np.arange(count) % len(part))
        for part, count in ((split.train, num_train), (split.validation, num_validation))
    )
    return Split(*chosen)


def compare(first: list[float], second: list[float]) -> float:
    """Give the largest relative difference of two curves."""
    assert len(first) == len(second), (first, second)
    return max(abs(a - b) / abs(a) for a, b in zip(first, second, strict=True))

"""A config, an epoch, a trial: only what a test looks at matters of them."""

from __future__ import annotations

from typing import Any

from sweep.config import DataConfig, PrunerConfig, Recipe, SamplerConfig, SearchConfig, SweepConfig
from sweep.storage.epochs import TrialRow
from sweep.storage.tables import Epoch

DATA: dict[str, Any] = {
    "num_train": 100,
    "num_validation": 10,
    "train_fingerprint": "a",
    "validation_fingerprint": "b",
    "null_loss": 10.0,
}


def make_config(
    pruner: str = "median", grace_events: int = 250, objective: str = "validation_loss"
) -> SweepConfig:
    """A config of eight epochs of 100 events each."""
    return SweepConfig(
        model="cnn",
        profile="cpu",
        space={},
        data=DataConfig(**DATA),
        recipe=Recipe(
            name="fast", epochs=8, optimizer="adam", schedule="constant", grace_events=grace_events
        ),
        search=SearchConfig(
            objective=objective,
            sampler=SamplerConfig(name="random"),
            pruner=PrunerConfig(name=pruner),
        ),
    )


def make_epoch(
    number: int = 1,
    loss: float = 0.05,
    found: int = 40,
    false: int = 6,
    *,
    true: int = 50,
    events: int = 12,
) -> Epoch:
    """Make an epoch that found so many of the true peaks in so many events."""
    counts = (events, found, true - found, found, false)
    return Epoch(number, 2 * events * number, loss, loss, *counts, 1e-3, 2.0)


def make_row(slot: int, epoch: Epoch | None, **changes: object) -> TrialRow:
    """Make a complete trial, or one that differs."""
    row = {
        "id": slot, "slot": slot, "number": slot, "state": "complete", "outcome": "complete",
        "reason": None, "attempts": 1, "worker": None, "started_s": 0.0, "finished_s": 1.0,
        "params": {"batch_size": 12, "hidden_size": 4, "lr": 0.01, "beta1": 0.9, "beta2": 0.99},
        "feasible": True, "best": epoch, "last": epoch,
    }  # fmt: skip
    return TrialRow(**(row | changes))  # type: ignore[arg-type]

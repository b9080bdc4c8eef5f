"""Configs of which only what a test looks at matters."""

from __future__ import annotations

from typing import Any

from sweep.config import DataConfig, PrunerConfig, Recipe, SamplerConfig, SearchConfig, SweepConfig

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

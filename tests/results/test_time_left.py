"""How long a sweep goes on: from the epochs that are left, pauses and promotions included."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sweep.config import (
    DataConfig,
    PrunerConfig,
    Recipe,
    SamplerConfig,
    SearchConfig,
    SweepConfig,
)
from sweep.results.time_left import estimate_time_left_s
from sweep.storage.epochs import Epoch, TrialRow

NUM_EPOCHS, NUM_TRAIN = 8, 100
EPOCH = Epoch(1, NUM_TRAIN, 5.0, 5.0, 10, 8, 2, 8, 1, 1e-3, 1.0)
ROW = TrialRow(1, 0, 0, "running", None, None, 1, "a", 0.0, None, {}, None, None, None)


def make_config(pruner: str) -> SweepConfig:
    """A config of trials of eight epochs, with rungs at 2 and 4 where trials pause."""
    return SweepConfig(
        model="cnn",
        profile="cpu",
        space={},
        data=DataConfig(
            num_train=NUM_TRAIN,
            num_validation=10,
            train_fingerprint="a",
            validation_fingerprint="b",
            null_loss=10.0,
        ),
        recipe=Recipe(
            name="fast", epochs=NUM_EPOCHS, optimizer="adam", schedule="constant", grace_events=200
        ),
        search=SearchConfig(sampler=SamplerConfig(name="random"), pruner=PrunerConfig(name=pruner)),
    )


def make_rows(*trained: tuple[str, int]) -> list[TrialRow]:
    """Make trials in these states after so many epochs."""
    return [
        replace(
            ROW,
            slot=slot,
            state=state,
            finished_s=None if state in ("running", "paused", "waiting") else 1.0,
            last=replace(EPOCH, epoch=epochs, events_seen=NUM_TRAIN * epochs) if epochs else None,
        )
        for slot, (state, epochs) in enumerate(trained)
    ]


def count_epochs_left(pruner: str, budget: int, *trained: tuple[str, int]) -> float | None:
    """Count what is left, in epochs, by a pace of a second an epoch."""
    work_s = float(sum(epochs for _state, epochs in trained))
    return estimate_time_left_s(make_rows(*trained), budget, make_config(pruner), work_s)


@pytest.mark.parametrize(
    ("pruner", "budget", "trained", "left"),
    [
        ("none", 2, [("complete", 8), ("running", 6)], 2),
        ("none", 3, [("running", 1)], 7 + 8 + 8),
        ("median", 4, [("complete", 8), ("pruned", 4), ("running", 2)], 4 + 6),
        ("median", 3, [("complete", 8), ("pruned", 4), ("running", 6)], 2),
        ("rungs", 8, [("running", 1)], 7 * 2 + 1 + 4 * 2 + 2 * 4),
        ("rungs", 4, [("paused", 2), ("paused", 2), ("paused", 2), ("running", 3)], 1 + 2 + 4),
        ("rungs", 2, [("pruned", 2), ("running", 6)], 2),
        ("rungs", 2, [("failed", 0), ("running", 1)], 1 + 2 + 4),
    ],
)
def test_what_is_left_counts_trials_that_run_and_pause(
    pruner: str, budget: int, trained: list[tuple[str, int]], left: float
) -> None:
    """Pruned trials say how far others come; at a rung a share of those that come goes on."""
    assert count_epochs_left(pruner, budget, *trained) == pytest.approx(left)


def test_time_is_shared_among_what_runs() -> None:
    """Two workers need half of the time; where none runs or nothing was trained none is told."""
    rows = make_rows(("running", 4), ("running", 4))
    assert estimate_time_left_s(rows, 2, make_config("none"), 16.0) == pytest.approx(8.0)
    assert count_epochs_left("none", 2, ("running", 0)) is None
    assert count_epochs_left("none", 2, ("complete", 8)) is None

"""The trials of a sample-size curve, and the config of a sweep as each of them sees it."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.config import CurveConfig, SweepConfig


@dataclass(frozen=True)
class CurveTrial:
    """What one trial of a sample-size curve stands for; repeats count from 1."""

    num_train: int
    repeat: int


def list_curve_trials(curve: CurveConfig) -> list[CurveTrial]:
    """List the trials of a curve by slot: one repeat after the other, each from the smallest size.

    A curve that is stopped early so has whole curves.
    """
    return [
        CurveTrial(size, repeat) for repeat in range(1, curve.repeats + 1) for size in curve.sizes
    ]


def fit_config(config: SweepConfig, slot: int) -> SweepConfig:
    """Give a sweep's config with the training events and epochs of one of its trials."""
    curve = config.curve
    if curve is None:
        return config
    num_train = list_curve_trials(curve)[slot].num_train
    epochs = config.recipe.epochs
    if curve.equal == "passes":
        epochs = round(epochs * curve.sizes[-1] / num_train)
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"num_train": num_train}),
            "recipe": config.recipe.model_copy(update={"epochs": epochs}),
        }
    )

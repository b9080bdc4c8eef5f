"""Values in words for people: numbers with the digits that are looked at, settings in one line."""

from __future__ import annotations

from collections.abc import Mapping

from sweep.config import SweepConfig, Value

SIGNIFICANT_DIGITS = 5
"""Of the numbers shown: more push the dashboard's columns off the screen."""


def round_shown(value: float) -> float:
    """Round a number to SIGNIFICANT_DIGITS."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def describe_point(params: Mapping[str, Value]) -> str:
    """Put a configuration into one line: `lr=0.001 hidden_size=16`."""
    return " ".join(
        f"{name}={round_shown(value) if isinstance(value, float) else value}"
        for name, value in params.items()
    )


def describe_training(config: SweepConfig) -> str:
    """Say with how many events, for how long: `1000 training and 400 validation events, 8 epochs`.

    The epochs of a study of sample size are those of its largest size.
    """
    data, study = config.data, config.sample_size
    events = str(data.num_train)
    if study is not None:
        events = f"{', '.join(map(str, study.sizes))} of {data.num_train}"
    return (
        f"{events} training and {data.num_validation} validation events, "
        f"{config.recipe.epochs} epochs"
    )

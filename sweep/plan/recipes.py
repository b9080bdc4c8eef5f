"""The recipes there are: how one trial is trained. Another one is an entry of this table.

The command line reads the names at its start: nothing heavy is loaded here before one is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweep.errors import check_known, check_least
from sweep.plan.profile import CPU

if TYPE_CHECKING:
    from sweep.config import Recipe

GUARDED: Mapping[str, Any] = {
    "optimizer": "adamw",
    "clip_norm": 1.0,
    "weight_decay": 0.01,
    "grace_steps": 87,
}
REPORT_EPOCHS = 100
"""The report's recipe needs hundreds of thousands of event-passes."""
DEFAULT_RECIPE = "fast"
RECIPES: Mapping[str, Mapping[str, Any]] = {
    # No horizon: an epoch's loss says as much in a short trial as in a long one.
    DEFAULT_RECIPE: {**GUARDED, "schedule": "constant", "warmup_epochs": 0.5, "average": 7.0},
    "one-cycle": {**GUARDED, "schedule": "one_cycle", "warmup_fraction": 0.3},
    "report": {"optimizer": "adam", "schedule": "constant", "grace_steps": 19_500},
}
"""How each recipe trains: `fast` at a constant rate whose averaged weights are judged, `one-cycle`
at a rate that rises and falls, both with AdamW and clipping; `report` as the hand-tuned report.
`grace_steps` are those after which a network that learns has left the null loss."""


def get_grace_steps(name: str) -> int:
    """Give the optimiser steps that a trial of a recipe may make before it can be pruned."""
    return int(RECIPES[name]["grace_steps"])


def build_recipe(name: str, epochs: int | None, default_epochs: int) -> Recipe:
    """Build one of `RECIPES`.

    Args:
        epochs: As asked for, or None.
        default_epochs: Of the profile; the report's recipe has its own.

    Returns:
        The recipe, its grace that of the smallest batches: `sweep.plan.steps` fits it to others.

    Raises:
        ConfigError: when the name or the number is not usable.
    """
    check_least("epochs", epochs)
    check_known("recipe", name, RECIPES)
    from sweep.config import Recipe  # late: it loads what checks a config

    default = REPORT_EPOCHS if name == "report" else default_epochs
    settings = {key: value for key, value in RECIPES[name].items() if key != "grace_steps"}
    grace = get_grace_steps(name) * CPU.batch_size
    return Recipe(name=name, epochs=epochs or default, grace_events=grace, **settings)

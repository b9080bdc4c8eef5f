"""For which trial a sampler draws a point, and what is known of the sweep it belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sweep.search.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Outlook:
    """What a trial of the sweep can come to.

    Attributes:
        num_epochs: Of a whole trial.
        is_loss: Whether the objective is the loss; lower is better then.
        null_loss: Loss of a network that has found nothing.
        center_slot: Of the trial at the recommended point, if there is one.
    """

    num_epochs: int = 1
    is_loss: bool = True
    null_loss: float = 1.0
    center_slot: int | None = None

    @property
    def worst(self) -> float:
        """Value of a network that has found nothing."""
        return math.log(self.null_loss) if self.is_loss else 0.0

    def read_curve(self, trial: FrozenTrial) -> list[float]:
        """Read the values of a trial's epochs, lower is better: of a loss its logarithm.

        One that diverged has none: what it was before says nothing of where it went.
        """
        if trial.user_attrs.get("outcome") == "diverged":
            return []
        return self.turn(trial.intermediate_values[n] for n in sorted(trial.intermediate_values))

    def turn(self, values: Iterable[float]) -> list[float]:
        """Turn values of the objective so that lower is better: of a loss its logarithm."""
        if not self.is_loss:
            return [-value for value in values]
        return [math.log(value) if value > 0 else self.worst for value in values]


@dataclass(frozen=True)
class Draw:
    """For which trial a point is drawn.

    Attributes:
        names: Of the hyperparameters that are searched, as the study has them.
        slot: The trial's; with the sweep's seed it decides the random numbers, so that two workers
            never draw the same point and a trial taken over draws the same again.
        base_seed: The sweep's.
    """

    names: Sequence[str]
    slot: int
    base_seed: int
    outlook: Outlook = field(default_factory=Outlook)

    @property
    def seed(self) -> int:
        """The trial's own."""
        return derive_seed(self.base_seed, "sampler", self.slot)

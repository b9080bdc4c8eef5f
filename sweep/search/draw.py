"""For which trial a sampler draws a point, and what is known of the sweep it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sweep.seeds import derive_seed


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


@dataclass(frozen=True)
class Draw:
    """For which trial a point is drawn.

    Attributes:
        names: Of the hyperparameters that are searched, as the study has them.
        slot: The trial's; with the sweep's seed it decides the random numbers, so that two workers
            never draw the same point and a trial taken over draws the same again.
        base_seed: The sweep's.
        outlook: Of the sweep's trials.
    """

    names: Sequence[str]
    slot: int
    base_seed: int
    outlook: Outlook = field(default_factory=Outlook)

    @property
    def seed(self) -> int:
        """The trial's own."""
        return derive_seed(self.base_seed, "sampler", self.slot)

"""Pictures of a finished trial: its learning curves, and what its network makes of some events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from storage.epochs import Epoch
from sweep.data.events import EventSet
from sweep.figures.learning_curves import save_curves_png
from sweep.figures.outcomes import find_worst, judge_events, save_outcomes_png

NUM_DRAWN = 3
NUM_JUDGED = 100
"""Among so many events, the first ones, the worst are looked for: a few seconds on a CPU."""


def draw_trial(
    folder: Path,
    network: nn.Module,
    events: EventSet,
    curve: Sequence[Epoch],
    null_loss: float,
    *,
    title: str,
) -> list[Path]:
    """Draw a trial's learning curves, its network's output for some events, and for the worst.

    Args:
        folder: Where to write the pictures.
        network: With the weights of the best epoch; put into evaluation mode.
        events: Validation events; the first are drawn.
        curve: The trial's epochs in order, at least one.
        null_loss: Loss of predicting zero everywhere, per event.
        title: Above each picture.

    Returns:
        The PNG files `learning_curves.png`, `sample_outputs.png` and `worst_events.png`.
    """
    curves, sample, worst = (
        folder / f"{name}.png" for name in ("learning_curves", "sample_outputs", "worst_events")
    )
    outcomes = judge_events(network, events, NUM_JUDGED)
    save_curves_png(curves, curve, null_loss, title=title)
    save_outcomes_png(
        sample, outcomes[:NUM_DRAWN], title=f"{title}: the first {NUM_DRAWN} validation events"
    )
    save_outcomes_png(
        worst,
        find_worst(outcomes, NUM_DRAWN),
        title=f"{title}: most missed and false peaks among the first {len(outcomes)} events",
    )
    return [curves, sample, worst]

"""Pictures of a finished trial: its learning curves, and what its network makes of some events."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from sweep.metrics.inspected import InspectedEvent, find_worst
from sweep.storage.tables import Epoch

NUM_DRAWN = 3
NUM_JUDGED = 100
"""Among so many events, the first ones, the worst are looked for: a few seconds on a CPU."""
_drawing = threading.Lock()
"""Held by who draws: matplotlib is not made for several threads."""


def draw_trial(
    folder: Path,
    inspected: Sequence[InspectedEvent],
    curve: Sequence[Epoch],
    null_loss: float,
    *,
    title: str,
) -> list[Path]:
    """Draw a trial's learning curves, its network's output for some events, and for the worst.

    Args:
        inspected: The first validation events, as the weights of the best epoch find their peaks.
        curve: The trial's epochs in order, at least one.

    Returns:
        The PNG files `learning_curves.png`, `sample_outputs.png` and `worst_events.png`.
    """
    # What draws is loaded by the first trial that gets pictures: most workers draw none.
    from sweep.figures.inspection import draw_inspected
    from sweep.figures.learning_curves import draw_learning_curves
    from sweep.figures.png import save_png

    first, worst = inspected[:NUM_DRAWN], find_worst(inspected, NUM_DRAWN)
    said = f"most missed and false peaks among the first {len(inspected)} events"
    with _drawing:
        curves = folder / "learning_curves.png"
        save_png(curves, draw_learning_curves(curve, null_loss), title=title, width_px=700)
        paths = [curves]
        for name, chosen, what in (
            ("sample_outputs", first, f"the first {NUM_DRAWN} validation events"),
            ("worst_events", worst, said),
        ):
            paths.append(folder / f"{name}.png")
            figure = draw_inspected(chosen, is_still=True)
            save_png(paths[-1], figure, title=f"{title}: {what}", width_px=1300)
        return paths

"""Pictures of a finished trial: its learning curves, and what its network makes of one event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from storage.epochs import Epoch
from sweep.data.events import EventSet
from sweep.figures import save_event_png
from sweep.learning_curves import save_curves_png


def draw_trial(
    folder: Path,
    network: nn.Module,
    events: EventSet,
    curve: Sequence[Epoch],
    null_loss: float,
    *,
    title: str,
) -> list[Path]:
    """Draw a trial's learning curves and its network's output for one event.

    Args:
        folder: Where to write the pictures.
        network: With the weights of the best epoch, on the CPU; put into evaluation mode.
        events: Validation events; the first is drawn.
        curve: The trial's epochs in order, at least one.
        null_loss: Loss of predicting zero everywhere, per event.
        title: Above each picture.

    Returns:
        The PNG files `learning_curves.png` and `sample_output.png`.
    """
    network.eval()
    x_BCL, y_BL = events.load([0])
    with torch.inference_mode():
        prediction_BL = network(torch.from_numpy(x_BCL)).float().numpy()
    curves, sample = folder / "learning_curves.png", folder / "sample_output.png"
    save_curves_png(curves, curve, null_loss, title=title)
    save_event_png(sample, x_BCL[0], y_BL[0], prediction_BL[0], title=title)
    return [curves, sample]

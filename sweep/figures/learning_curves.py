"""Draws a trial's learning curves: the losses beside the null loss, efficiency, and FP rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from storage.epochs import Epoch


def save_curves_png(path: Path, curve: Sequence[Epoch], null_loss: float, *, title: str) -> None:
    """Save the learning curves of one trial as a picture.

    Args:
        path: PNG to write.
        curve: The trial's epochs in order, at least one.
        null_loss: Loss of predicting zero everywhere, per event.
        title: Above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [epoch.epoch for epoch in curve]
    figure = Figure(figsize=(7.0, 7.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    loss, efficiency, fp_rate = figure.subplots(3, 1, sharex=True)
    loss.axhline(null_loss, color="0.6", linestyle="--", label="null loss")
    loss.plot(epochs, [e.train_loss for e in curve], "o-", color="C0", ms=4, label="training")
    loss.plot(
        epochs, [e.validation_loss for e in curve], "o-", color="C1", ms=4, label="validation"
    )
    loss.set_yscale("log")
    loss.set_ylabel("loss per event")
    loss.legend(frameon=False)
    efficiency.plot(epochs, [e.efficiency for e in curve], "o-", color="C2", ms=4)
    efficiency.set_ylim(0.0, 1.0)
    efficiency.set_ylabel("efficiency")
    fp_rate.plot(epochs, [e.fp_rate for e in curve], "o-", color="C3", ms=4)
    fp_rate.set_ylim(bottom=0.0)
    fp_rate.set_ylabel("false positives per event")
    fp_rate.set_xlabel("epoch")
    fp_rate.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss, efficiency, fp_rate):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    figure.savefig(path)

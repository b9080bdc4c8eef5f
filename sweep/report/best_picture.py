"""The picture of the best trial for `sweep best --plot`: learning curves beside sample outputs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from sweep.data.progress import Progress
from sweep.data.selection import reopen_split
from sweep.figures.inspection import draw_inspected
from sweep.figures.learning_curves import draw_learning_curves
from sweep.figures.png import PICTURES, save_png
from sweep.files.output_file import check_output, write_output
from sweep.metrics.inspected import InspectedEvent
from sweep.report.best import show_curves, show_inspected
from sweep.report.blocks import Section
from sweep.report.page import Page, write_page
from sweep.results.inspection import choose_inspected, describe_inspected
from sweep.results.status import Status
from sweep.storage.epochs import TrialRow, read_curve
from sweep.storage.tables import Epoch


def write_best_picture(
    engine: sa.Engine,
    status: Status,
    trial: TrialRow,
    artifacts: Path,
    path: Path,
    progress: Progress | None = None,
) -> None:
    """Write the learning curves of a trial and what its network makes of some events.

    Args:
        trial: Complete and feasible.
        path: `.html` for a page of its own that zooms and needs no network, `.png` for a picture.

    Raises:
        SweepError: when the name ends otherwise, the events or the weights are not on this machine,
            or the file cannot be written.
    """
    check_output(path, PICTURES)
    events = reopen_split(status.config.data, progress).validation
    inspected = choose_inspected(status, trial, artifacts, events, progress)
    curve = read_curve(engine, trial.id)
    title = f"{status.sweep.name}, trial {trial.number}"
    if path.suffix == ".html":
        figures = [
            show_curves(status, trial, curve, "best"),
            show_inspected(inspected, trial, "best"),
        ]
        section = Section("best", "Learning curves and sample outputs", figures)
        write_page(path, Page(title, (), [section]))
        return
    write_output(path, lambda temporary: _save_png(temporary, status, curve, inspected, title))


def _save_png(
    path: Path,
    status: Status,
    curve: Sequence[Epoch],
    inspected: Sequence[InspectedEvent],
    title: str,
) -> None:
    """Save both pictures, side by side."""
    from matplotlib.image import imread, imsave

    with tempfile.TemporaryDirectory() as name:
        curves, outputs = Path(name) / "curves.png", Path(name) / "outputs.png"
        figure = draw_learning_curves(curve, status.config.data.null_loss)
        save_png(curves, figure, title=title, width_px=700)
        figure = draw_inspected(inspected, is_still=True)
        save_png(outputs, figure, title=f"the {describe_inspected(inspected)}", width_px=1300)
        parts = [imread(picture) for picture in (curves, outputs)]
    height = max(len(part) for part in parts)
    padded = [
        np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=1.0)
        for part in parts
    ]
    imsave(path, np.concatenate(padded, axis=1), format="png")

"""One event, looked at: features and target superimposed, on a page or as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweep.data.geometry import FEATURE_PER_MM, compute_bin_centers_mm
from sweep.figures.event import draw_event
from sweep.figures.png import PICTURES, save_png
from sweep.files.output_file import check_output, write_output
from sweep.metrics.peaks import find_peaks
from sweep.report.blocks import Column, Figure, Section, Table
from sweep.report.page import Page, write_page

COLUMNS = ("z (mm)", "target", "density", "x (mm)", "y (mm)")


def show_event(key: str, name: str, x_CL: NDArray[np.float32], y_L: NDArray[np.float32]) -> Figure:
    """Show the features of an event against its target.

    Args:
        name: Of the event, in a sentence.
        x_CL: Features [density / 2500, its square, 2 x_mm, 2 y_mm], shape (4, 4000).
        y_L: Target, shape (4000,), NaN where masked.
    """
    rows = _list_peaks(x_CL, y_L)
    places = ", ".join(row[0] for row in rows)
    return Figure(
        key,
        f"{name[0].upper()}{name[1:]}, features against target. Drag to zoom along the beam line, "
        "double click to see all of it again. Masked bins are shaded.",
        "Line chart along the beam line: the density with the target on top, below it x and y. "
        f"The target has {len(rows)} peaks{f', at {places} mm' if rows else ''}.",
        draw_event(x_CL, y_L),
        Table(f"True peaks of {name}", [Column(column, True) for column in COLUMNS], rows),
    )


def write_event(
    path: Path, x_CL: NDArray[np.float32], y_L: NDArray[np.float32], *, name: str
) -> None:
    """Write the picture of an event in the format that the file's name asks for.

    Args:
        path: `.html` for a page of its own that zooms and needs no network, `.png` for a picture.

    Raises:
        SweepError: when the name ends otherwise, or the file cannot be written.
    """
    check_output(path, PICTURES)
    if path.suffix == ".html":
        section = Section("event", "Features against target", [show_event("draw", name, x_CL, y_L)])
        write_page(path, Page(name, (), [section]))
        return
    figure = draw_event(x_CL, y_L, is_still=True)
    write_output(path, lambda temporary: save_png(temporary, figure, title=name))


def _list_peaks(x_CL: NDArray[np.float32], y_L: NDArray[np.float32]) -> list[Sequence[str]]:
    z_mm = compute_bin_centers_mm()
    bins = find_peaks(y_L[None]).position_P.round().astype(np.int64).tolist()
    values = [
        (y_L[i], x_CL[0, i], x_CL[2, i] / FEATURE_PER_MM, x_CL[3, i] / FEATURE_PER_MM) for i in bins
    ]
    return [
        (f"{z_mm[i]:.2f}", *(f"{value:.3f}" for value in row))
        for i, row in zip(bins, values, strict=True)
    ]

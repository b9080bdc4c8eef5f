"""Writes one figure into a file that a person names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.figures.png import PICTURES, save_png
from sweep.files.output_file import check_output, write_output

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDTH_PX = 800


def write_picture(path: Path, draw: Callable[[], go.Figure], title: str) -> None:
    """Write a figure in the format that the file's name asks for.

    Args:
        path: `.html` for a page that zooms and needs no network, `.png` for a picture.

    Raises:
        DataError: when the name ends otherwise, or the file cannot be written.
    """
    check_output(path, PICTURES)
    figure = draw()

    def write(temporary: Path) -> None:
        if path.suffix == ".png":
            save_png(temporary, figure, title=title, width_px=WIDTH_PX)
        else:
            figure.update_layout(title=title, margin={"t": 90})
            figure.write_html(temporary, include_plotlyjs=True, default_height="96vh")

    write_output(path, write)

"""Pictures without a browser: what is long stays within them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from sweep.figures.png import save_png
from sweep.figures.style import finish


def test_legend_of_long_names_is_not_cut(tmp_path: Path) -> None:
    """Names that fill no one line take more of them, and nothing touches the left edge."""
    figure = go.Figure([go.Scatter(x=[1, 2], y=[1, 2], name=f"{k} " * 40) for k in range(3)])
    save_png(tmp_path / "curves.png", finish(figure, 300), width_px=700)
    with Image.open(tmp_path / "curves.png") as picture:
        assert np.asarray(picture.convert("L"))[:, :3].min() == 255

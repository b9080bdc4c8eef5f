"""Pictures of events show every curve, the masked bins, and the right stretch of the beam line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweep.errors import DataError
from sweep.figures.event import draw_event, find_busiest_span_mm, find_masked_spans_mm
from sweep.report.event import write_event
from tests.data.conftest import make_arrays

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def test_a_figure_has_every_curve_over_the_whole_beam_line() -> None:
    """Density, target, prediction, x and y from the first bin to the last; a shape a masked run."""
    x, y = make_arrays(1)
    figure = draw_event(x[0], y[0], y[0])
    curves = {trace.name: trace for trace in figure.data}
    assert list(curves) == ["density", "target", "prediction", "x", "y", "masked"]
    for name in list(curves)[:5]:
        assert (curves[name].x[0], curves[name].x[-1]) == (-99.95, 299.95)
    drawn = dict(zip(curves["x"].x, curves["x"].y, strict=True))
    for z_mm, position_mm in drawn.items():
        bin_ = round((z_mm + 100) * 10 - 0.5)
        expected = None if x[0, 0, bin_] == 0 else x[0, 2, bin_] / 2
        assert position_mm == (expected if expected is None else pytest.approx(expected, abs=1e-4))
    assert len(figure.layout.shapes) == 1


def test_masked_runs_end_at_bin_edges() -> None:
    """Bins 0, 100 to 109 and the last are three runs."""
    y_L = np.zeros(4000, dtype=np.float32)
    y_L[[0, *range(100, 110), 3999]] = np.nan
    expected = [(-100.0, -99.9), (-90.0, -89.0), (299.9, 300.0)]
    np.testing.assert_allclose(find_masked_spans_mm(y_L), expected, atol=1e-9)
    assert find_masked_spans_mm(np.zeros(4000, dtype=np.float32)) == []


@pytest.mark.parametrize("center", [3, 2000, 3996])
def test_the_enlarged_stretch_holds_the_largest_peaks(center: int) -> None:
    """It lies inside the histogram and holds the peak, also at the ends."""
    y_L = np.zeros(4000, dtype=np.float32)
    y_L[center - 1 : center + 2] = 1.0
    start_mm, stop_mm = find_busiest_span_mm(y_L)
    z_mm = -100 + (center + 0.5) * 0.1
    assert -100 <= start_mm < z_mm < stop_mm <= 300.0001
    assert stop_mm - start_mm == pytest.approx(40)


@pytest.mark.parametrize("masked", [False, True])
def test_pictures_are_written_by_suffix(tmp_path: Path, masked: bool) -> None:
    """PNG is a PNG, HTML a small page; an event that is all masked or all zero is drawn too."""
    x = np.zeros((4, 4000), dtype=np.float32)
    y = np.full(4000, np.nan if masked else 0.0, dtype=np.float32)
    write_event(tmp_path / "a.png", x, y, name="t")
    write_event(tmp_path / "a.html", x, y, name="<b>t</b>")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG_MAGIC)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;t&lt;/b&gt;</h1>" in page
    assert "default-src 'none'" in page and len(page) < 2.5e6


@pytest.mark.parametrize(
    ("name", "message"), [("a.pdf", "expected .html"), ("no/a.png", "no such")]
)
def test_a_picture_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """Before anything is drawn."""
    x, y = make_arrays(1)
    with pytest.raises(DataError, match=message):
        write_event(tmp_path / name, x[0], y[0], name="t")

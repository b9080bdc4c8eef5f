"""What is drawn of single events: peaks found, missed or invented, and the worst events first."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from sweep.data.formats import open_events
from sweep.figures.inspection import draw_inspected
from sweep.figures.png import save_png
from sweep.metrics.inspected import find_worst
from sweep.training.inspection import inspect_events

FALSE_BIN = 3950  # no true peak is near: those of the file end at bin 3860


class HalfBlind(nn.Module):
    """Copies the first feature, sees nothing beyond a bin, and always invents one peak."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Give a histogram for each event."""
        y_BL = x_BCL[:, 0] * self.scale
        y_BL[:, 2000:] = 0.0
        y_BL[:, FALSE_BIN : FALSE_BIN + 5] = 0.2
        return y_BL


def test_peaks_are_sorted_and_the_worst_events_found(events_file: Path, tmp_path: Path) -> None:
    """Peaks in the half that is not seen are missed, the invented one is false."""
    inspected = inspect_events(HalfBlind(), open_events([events_file]), 30)
    assert [event.event for event in inspected] == list(range(30))
    for event in inspected:
        assert all(position < 2000 for position in event.peaks.found_P.tolist())
        assert all(position >= 2000 for position in event.peaks.missed_P.tolist())
        assert event.peaks.false_P.tolist() == [FALSE_BIN + 2.0]
    worst = find_worst(inspected, 3)
    counted = [event.num_missed + event.num_false for event in inspected]
    assert [counted[event.event] for event in worst] == sorted(counted, reverse=True)[:3]
    assert worst[0].event == counted.index(max(counted))
    path = tmp_path / "worst.png"
    save_png(path, draw_inspected(worst, is_still=True), title="half blind", width_px=1300)
    with Image.open(path) as picture:
        assert picture.size == (1300, 744)
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 20) or ()}
    assert {(0, 119, 187), (204, 51, 17), (238, 119, 51), (34, 136, 51)} <= colors


def test_fewer_events_than_asked_are_drawn(events_file: Path) -> None:
    """All there are."""
    assert len(inspect_events(HalfBlind(), open_events([events_file]), 1000)) == 36

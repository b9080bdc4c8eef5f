"""What a network could find at other rates of false positives: its curve over peak finder settings.

Shapes: S setting, F setting of the curve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sweep.data.events import EventSet
from sweep.data.progress import Progress
from sweep.machine.device import choose_device
from sweep.metrics.decode import Decode
from sweep.results.evaluation import ExportedModel, judge
from sweep.training.decode_scan import SETTINGS, count_settings, list_curve
from sweep.training.matching import match_peaks


@dataclass(frozen=True)
class TriedSetting:
    """One setting of the peak finder and what it comes to on a set of events."""

    decode: Decode
    efficiency: float
    fp_rate: float

    def to_json(self) -> dict[str, Any]:
        """Give the point as a JSON object."""
        metrics = {"efficiency": self.efficiency, "fp_rate": self.fp_rate}
        return {**self.decode.to_json(), **metrics}


@dataclass(frozen=True)
class OperatingCurve:
    """The settings of which none finds more at as few false positives.

    Attributes:
        points: With efficiency and rate rising.
        own: At the settings that the model is used with.
    """

    label: str
    points: tuple[TriedSetting, ...]
    own: TriedSetting


def trace_operating_curve(
    exported: ExportedModel,
    events: EventSet,
    label: str,
    decode: str | None = None,
    progress: Progress | None = None,
) -> OperatingCurve:
    """Trace the curve of an exported model on events; faults as those of `evaluate_export`.

    The curve is chosen on the events that it is drawn of, which flatters it a little.

    Args:
        decode: What counts as a peak at its own point, as `--decode` takes it.
    """
    own = exported.choose_decode(decode) or exported.decode

    def look(seen: Iterator[tuple[Tensor, Tensor]]) -> OperatingCurve:
        found_S, false_S = np.zeros((2, len(SETTINGS)), np.int64)
        own_found = own_false = num_true = num_events = 0
        for prediction_BL, y_BL in seen:
            found_BS, false_BS = count_settings(prediction_BL, y_BL)
            found_S += found_BS.sum(0).cpu().numpy()
            false_S += false_BS.sum(0).cpu().numpy()
            match = match_peaks(y_BL, prediction_BL, own)
            own_found += int(match.is_found_BT.sum())
            own_false += int(match.is_false_BR.sum())
            num_true += int((match.is_found_BT | match.is_missed_BT).sum())
            num_events += len(y_BL)

        def place(settings: Decode, found: int, false: int) -> TriedSetting:
            return TriedSetting(settings, found / max(num_true, 1), false / num_events)

        curve_F = list_curve(found_S, false_S)
        points = tuple(place(SETTINGS[s], int(found_S[s]), int(false_S[s])) for s in curve_F)
        return OperatingCurve(label, points, place(own, own_found, own_false))

    return judge(exported.network, events, choose_device(), look, progress)

"""What limits a network: which true peaks it misses, and what stricter matchings say of it.

Truth is compared peak by peak, by the reference's finder. Where the file has the generated vertices
each true peak is given the nearest one of category 1, so that efficiency against the number of
tracks and windows of the resolution are known; elsewhere few tracks are told by the target's area,
which is that of a vertex of 10 tracks or fewer (docs/PHYSICS.md, "Target").

Shapes: P true peak, Q predicted peak of one event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.events import EventSet
from sweep.data.geometry import BIN_WIDTH_MM, to_mm
from sweep.data.progress import Progress
from sweep.data.vertices import Vertices
from sweep.machine.device import choose_device
from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.intervals import compute_efficiency_interval
from sweep.metrics.peaks import Regions, find_regions
from sweep.results.evaluation import ExportedModel, judge
from sweep.training.matching import MAX_DISTANCE_BINS

NEAR_MM = 1.0
"""Within this of another vertex a peak is merged, and of an end of the histogram at the edge."""
FEW_TRACKS = 10
FEW_AREA = 1.04
"""Area of the target of a vertex of `FEW_TRACKS` (docs/PHYSICS.md, "Target")."""
TRACK_EDGES = (0, 5, 10, 20, 40, 80)
NUM_SIGMA = 5.0
LEAST_WINDOW_BINS = 1.0
KINDS = ("edge", "masked", "merged", "few tracks", "other")
"""What is special of a true peak; the first that holds counts."""


@dataclass
class Tally:
    """How many of some true peaks there are, and how many are found."""

    true: int = 0
    found: int = 0

    def add(self, is_found_P: NDArray[np.bool_]) -> None:
        """Count more of them."""
        self.true += len(is_found_P)
        self.found += int(is_found_P.sum())

    def to_json(self) -> dict[str, Any]:
        """Give the counts, the efficiency and its 68 % interval."""
        interval = compute_efficiency_interval(self.found, self.true)
        share = self.found / self.true if self.true else None
        missed = self.true - self.found
        return {**asdict(self), "missed": missed, "efficiency": share, "interval": list(interval)}


@dataclass
class Matching:
    """What another matching than the reference's counts."""

    peaks: Tally = field(default_factory=Tally)
    false_positives: int = 0


@dataclass
class Examination:
    """True peaks of a set of events, by kind and by tracks, and by stricter matchings.

    Attributes:
        has_vertices: Whether the file has the generated vertices.
        by_tracks: By the first of `TRACK_EDGES` that is below; empty without vertices.
        resolution: Windows of NUM_SIGMA resolutions of each vertex, one-to-one; needs vertices.
    """

    decode: Decode
    has_vertices: bool
    num_events: int = 0
    by_kind: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    by_tracks: dict[int, Tally] = field(default_factory=dict)
    one_to_one: Matching = field(default_factory=Matching)
    resolution: Matching = field(default_factory=Matching)

    def to_json(self) -> dict[str, Any]:
        """Give what `sweep evaluate --missed --json` prints beside the metrics."""
        matchings = {"one_to_one": self.one_to_one}
        if self.has_vertices:
            matchings["resolution_windows"] = self.resolution
        return {
            "missed": {kind: tally.to_json() for kind, tally in self.by_kind.items()},
            "by_tracks": [
                {"least_tracks": least, **tally.to_json()}
                for least, tally in self.by_tracks.items()
            ],
            "matchings": {
                name: {
                    **found.peaks.to_json(),
                    "false_positives": found.false_positives,
                    "fp_rate": found.false_positives / self.num_events,
                }
                for name, found in matchings.items()
            },
        }

    def list_lines(self) -> list[str]:
        """Say the same for people, a line each."""
        lines = []
        for name, tally in self.by_kind.items():
            if tally.true:
                lines.append(
                    f"missed, {name}: {tally.true - tally.found} of {tally.true} true peaks"
                )
        for least, tally in self.by_tracks.items():
            share = tally.found / tally.true
            lines.append(f"from {least} tracks: efficiency {share:.3f} of {tally.true} true peaks")
        titles = {
            "one_to_one": "matched one to one within 0.5 mm",
            "resolution_windows": f"matched one to one within {NUM_SIGMA:g} resolutions",
        }
        for name, found in self.to_json()["matchings"].items():
            share, rate = found["efficiency"] or 0.0, found["fp_rate"]
            lines.append(f"{titles[name]}: efficiency {share:.3f}, {rate:.3f} FP / event")
        return lines


def examine_export(
    exported: ExportedModel,
    events: EventSet,
    decode: str | None = None,
    progress: Progress | None = None,
) -> Examination:
    """Examine an exported model on events; arguments and faults as those of `evaluate_export`."""
    settings = exported.choose_decode(decode) or REFERENCE
    vertices = events.load_vertices()

    def look(seen: Iterator[tuple[Tensor, Tensor]]) -> Examination:
        return examine(seen, settings, vertices)

    return judge(exported.network, events, choose_device(), look, progress)


def examine(
    batches: Iterable[tuple[Tensor, Tensor]], decode: Decode, vertices: Vertices | None
) -> Examination:
    """Examine predictions event by event.

    Args:
        batches: As `sweep.training.event_scores.score_each` takes them.
        decode: What counts as a peak of a prediction.
        vertices: The generated vertices of all events, in their order, where they are known.

    Raises:
        NotFiniteError: when a value is infinite.
    """
    found = Examination(decode, vertices is not None)
    for prediction_BL, y_BL in batches:
        target_BL = y_BL.cpu().numpy()
        truth, guess = find_regions(target_BL), find_regions(prediction_BL.cpu().numpy(), decode)
        for event, target_L in enumerate(target_BL):
            true = _take(truth, event)
            near = _find_vertices(vertices, found.num_events)
            _examine_event(found, target_L, true, guess.position_R[guess.event_R == event], near)
            found.num_events += 1
    found.by_tracks = dict(sorted(found.by_tracks.items()))
    return found


def _take(regions: Regions, event: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give positions and areas of one event's regions."""
    is_mine_R = regions.event_R == event
    return regions.position_R[is_mine_R], regions.integral_R[is_mine_R]


@dataclass(frozen=True)
class _Truth:
    """Vertices of one event: of category 1 with their tracks, and all that have tracks."""

    z_mm: NDArray[np.float64]
    num_tracks: NDArray[np.float64]
    all_z_mm: NDArray[np.float64]


def _find_vertices(vertices: Vertices | None, event: int) -> _Truth | None:
    """Give the vertices of one event; None where they are not known."""
    if vertices is None:
        return None
    own = vertices.take_event(event)
    is_wanted, z_mm = own.category == 1, own.z_mm.astype(np.float64)
    tracks = own.num_tracks.astype(np.float64)
    return _Truth(z_mm[is_wanted], tracks[is_wanted], z_mm[own.category >= 0])


def _examine_event(
    found: Examination,
    target_L: NDArray[np.float32],
    true: tuple[NDArray[np.float32], NDArray[np.float32]],
    guess_Q: NDArray[np.float32],
    vertices: _Truth | None,
) -> None:
    """Add the true peaks of one event."""
    true_P, area_P = true
    distance_PQ = np.abs(true_P[:, None] - guess_Q[None, :])
    is_found_P = (distance_PQ <= MAX_DISTANCE_BINS).any(axis=1)
    bin_Q = np.rint(guess_Q).astype(np.int64)
    is_masked_Q = np.isnan(target_L[bin_Q])
    _match(found.one_to_one, distance_PQ, np.full(len(true_P), MAX_DISTANCE_BINS), is_masked_Q)
    tracks_P = None
    if vertices is not None:
        tracks_P = np.zeros(len(true_P))
        if len(vertices.z_mm):
            nearest_P = np.abs(to_mm(true_P)[:, None] - vertices.z_mm).argmin(axis=1)
            tracks_P = vertices.num_tracks[nearest_P]
        sigma_bins_P = 0.01 * (926.0 * np.maximum(tracks_P, 1.0) ** -0.84 + 10.7)
        window_P = np.maximum(NUM_SIGMA * sigma_bins_P, LEAST_WINDOW_BINS)
        _match(found.resolution, distance_PQ, window_P, is_masked_Q)
        least_P = np.array(TRACK_EDGES)[np.searchsorted(TRACK_EDGES, tracks_P, side="right") - 1]
        for least in sorted(set(least_P.tolist())):
            found.by_tracks.setdefault(least, Tally()).add(is_found_P[least_P == least])
    for index in range(len(true_P)):
        kind = _name_kind(target_L, true_P, area_P, index, tracks_P, vertices)
        found.by_kind[kind].add(is_found_P[index : index + 1])


def _name_kind(
    target_L: NDArray[np.float32],
    true_P: NDArray[np.float32],
    area_P: NDArray[np.float32],
    index: int,
    tracks_P: NDArray[np.float64] | None,
    vertices: _Truth | None,
) -> str:
    """Say what is special of a true peak: the first of `KINDS` that holds."""
    position, near_bins = float(true_P[index]), NEAR_MM / BIN_WIDTH_MM
    if position < near_bins or position > len(target_L) - 1 - near_bins:
        return "edge"
    first, last = int(position - MAX_DISTANCE_BINS), int(position + MAX_DISTANCE_BINS) + 1
    if np.isnan(target_L[max(0, first) : last + 1]).any():
        return "masked"
    is_near = int((np.abs(true_P - position) <= near_bins).sum()) > 1
    if vertices is not None:
        z_mm = float(to_mm(position))
        is_near = is_near or int((np.abs(vertices.all_z_mm - z_mm) <= NEAR_MM).sum()) > 1
    if is_near:
        return "merged"
    is_small = area_P[index] <= FEW_AREA if tracks_P is None else tracks_P[index] < FEW_TRACKS
    return "few tracks" if is_small else "other"


def _match(
    found: Matching,
    distance_PQ: NDArray[np.float32],
    window_P: NDArray[np.float64],
    is_masked_Q: NDArray[np.bool_],
) -> None:
    """Pair true and predicted peaks one to one, the closest first, each true one in its window."""
    pairs = np.argwhere(distance_PQ <= window_P[:, None])
    order = np.argsort(distance_PQ[tuple(pairs.T)], kind="stable")
    taken: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    for p, q in pairs[order].tolist():
        if not taken[0][p] and not taken[1][q]:
            taken[0][p] = taken[1][q] = 1
    is_found_P = np.array([bool(taken[0][p]) for p in range(len(window_P))], dtype=bool)
    found.peaks.add(is_found_P)
    is_free_Q = np.array([not taken[1][q] for q in range(len(is_masked_Q))], dtype=bool)
    found.false_positives += int((is_free_Q & ~is_masked_Q).sum())

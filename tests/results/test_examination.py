"""What limits a network: missed peaks by kind and by tracks, and matchings that are stricter."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sweep.data.geometry import to_mm
from sweep.data.vertices import Vertices
from sweep.metrics.decode import REFERENCE
from sweep.results.examination import Examination, examine


def draw(*centers: int, height: float = 0.4, half: int = 1) -> NDArray[np.float32]:
    """Draw one event with peaks of three bins, or more."""
    y_L = np.zeros(4000, np.float32)
    for center in centers:
        y_L[center - half : center + half + 1] = height
    return y_L


def examine_one(
    truth_L: NDArray[np.float32], guess_L: NDArray[np.float32], vertices: Vertices | None = None
) -> Examination:
    """Examine one event."""
    part = torch.from_numpy(guess_L)[None], torch.from_numpy(truth_L)[None]
    return examine([part], REFERENCE, vertices)


def make_vertices(**tracks_at: int) -> Vertices:
    """Make the vertices of one event: `b1000=12` has 12 tracks at bin 1000."""
    bins = np.array([int(name[1:]) for name in tracks_at])
    return Vertices(
        z_mm=to_mm(bins).astype(np.float32),
        num_tracks=np.array(list(tracks_at.values()), np.int16),
        category=np.ones(len(bins), np.int8),
        offsets=np.array([0, len(bins)]),
    )


def count(found: Examination) -> dict[str, tuple[int, int]]:
    """Give missed and true peaks of each kind that there is."""
    return {
        kind: (tally.true - tally.found, tally.true)
        for kind, tally in found.by_kind.items()
        if tally.true
    }


def test_missed_peaks_are_told_by_what_is_special_of_them() -> None:
    """At an end, beside masked bins, beside another vertex, of few tracks, or nothing of these."""
    truth_L = draw(4, 1000, 2000, 2008) + draw(3000, height=0.6, half=2)
    truth_L += draw(3500, height=0.3)
    truth_L[1004:1006] = np.nan
    nothing = np.zeros_like(truth_L)
    found = examine_one(truth_L, nothing)
    assert count(found) == {
        "edge": (1, 1),
        "masked": (1, 1),
        "merged": (2, 2),
        "few tracks": (1, 1),
        "other": (1, 1),
    }
    assert count(examine_one(truth_L, np.nan_to_num(truth_L)))["merged"] == (0, 2)


def test_tracks_are_those_of_the_nearest_vertex_where_the_file_has_them() -> None:
    """Efficiency by the number of tracks; few of them are a kind."""
    truth_L = draw(1000, 2000, 3000)
    vertices = make_vertices(b1000=6, b2000=25, b3000=90)
    found = examine_one(truth_L, draw(2000, 3000), vertices)
    assert count(found) == {"few tracks": (1, 1), "other": (0, 2)}
    shares = {least: tally.found / tally.true for least, tally in found.by_tracks.items()}
    assert shares == {5: 0.0, 20: 1.0, 80: 1.0}
    told = found.to_json()
    assert [row["least_tracks"] for row in told["by_tracks"]] == [5, 20, 80]
    assert "resolution_windows" in told["matchings"]
    assert any(line.startswith("from 20 tracks: efficiency 1.000") for line in found.list_lines())


def test_generated_vertex_that_makes_no_peak_of_its_own_merges() -> None:
    """Another vertex within a millimetre counts, although the target shows one peak."""
    found = examine_one(draw(1000), draw(), make_vertices(b1000=30, b1006=20))
    assert count(found) == {"merged": (1, 1)}


def test_one_to_one_matching_gives_no_peak_twice() -> None:
    """Two predictions near one true peak are one found and one false; and so the other way."""
    twice = examine_one(draw(1000), draw(997, 1003)).one_to_one
    assert (twice.peaks.found, twice.peaks.true, twice.false_positives) == (1, 1, 1)
    both = examine_one(draw(996, 1004), draw(1000)).one_to_one
    assert (both.peaks.found, both.peaks.true, both.false_positives) == (1, 2, 0)


def test_window_of_the_resolution_is_narrower_for_many_tracks() -> None:
    """Four bins beside the truth are within five resolutions of 6 tracks, and not of 90."""
    for tracks, is_found in ((6, True), (90, False)):
        found = examine_one(draw(1000), draw(1004), make_vertices(b1000=tracks))
        assert found.one_to_one.peaks.found == 1
        assert found.resolution.peaks.found == int(is_found)
        assert found.resolution.false_positives == int(not is_found)


def test_events_without_peaks_or_vertices_are_counted() -> None:
    """Nothing true and nothing found is no fault, and a false peak there is one."""
    found = examine_one(draw(), draw(1500), make_vertices())
    assert found.num_events == 1
    assert found.to_json()["matchings"]["resolution_windows"]["false_positives"] == 1
    assert found.one_to_one.false_positives == 1

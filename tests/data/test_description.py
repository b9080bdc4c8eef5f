"""A description tells what a file holds, and what is odd about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweep.data.description import (
    compute_null_loss,
    describe_events,
    load_event,
)
from sweep.data.formats import open_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz, make_arrays


def test_null_loss_is_the_loss_of_predicting_zero(write_npz: WriteNpz) -> None:
    """The vectorised sum equals the formula of docs/PHYSICS.md, "Loss", bin by bin."""
    x, y = make_arrays(3)
    expected = 0.0
    for target in y.astype(np.float64).reshape(-1):
        if not np.isnan(target):
            r = abs((0.0 + 1e-5) / (target + 1e-5))
            expected -= np.log(2 * r / (r * r + 1)) / 4000 / 3
    found = compute_null_loss(open_events([write_npz(X=x, y=y)]))
    assert found == pytest.approx(expected, rel=1e-12)


def test_real_events_are_described(shared_data: Path) -> None:
    """PV-Finder's events have the numbers of docs/PHYSICS.md, "Toy events", and nothing odd."""
    found = describe_events(open_events([shared_data / "pvfinder_toy_val.npz"]))
    assert (found.num_events, found.x_dtype, found.y_dtype) == (1000, "float16", "float16")
    assert found.nan_fraction == pytest.approx(0.0078, abs=1e-5)
    assert found.null_loss == pytest.approx(0.0948, abs=1e-4)
    assert found.mean_true_peaks == pytest.approx(5.413)
    assert found.mean_generated_vertices == pytest.approx(5.530)
    assert found.oddities == ()


def test_ranges_are_those_of_the_values(write_npz: WriteNpz) -> None:
    """Lowest, mean and highest of each feature and of the target without its masked bins."""
    x, y = make_arrays(4)
    found = describe_events(open_events([write_npz(X=x, y=y)]))
    for number, value_range in enumerate(found.ranges[:4]):
        assert value_range.low == x[:, number].min()
        assert value_range.high == x[:, number].max()
        assert value_range.mean == pytest.approx(x[:, number].mean(dtype=np.float64))
    assert found.ranges[4].high == np.nanmax(y)
    assert found.nan_fraction == np.isnan(y).mean()
    assert found.mean_generated_vertices is None


def test_oddities_are_named(write_npz: WriteNpz) -> None:
    """Copies, empty and masked events, strange scalings and constants each get a sentence."""
    x, y = make_arrays(6)
    x[1] = x[0]
    x[2] = 0
    x[:, 2] *= 1000
    x[:, 3] = 0
    y[3] = np.nan
    found = " | ".join(describe_events(open_events([write_npz(X=x, y=y)])).oddities)
    assert "1 events are copies of others (the first repeats event 0)" in found
    assert "1 empty events" in found
    assert "1 events with every bin masked" in found
    assert "x runs from 0 to" in found
    assert "y is 0 in every bin" in found


def test_largest_numbers_are_described(write_npz: WriteNpz) -> None:
    """What float32 just holds is odd, but no fault: the sum of a peak may be beyond it."""
    x, y = make_arrays(2)
    x[:], y[:, 700:710] = 3e38, 3e38
    found = describe_events(open_events([write_npz(X=x, y=y)]))
    assert [f"{value.high:.0e}" for value in found.ranges] == ["3e+38"] * 5
    assert found.max_true_peaks > 0


def test_a_file_without_masked_bins_is_odd(write_npz: WriteNpz) -> None:
    """Where nothing is masked a person should know."""
    x, y = make_arrays(2)
    found = describe_events(open_events([write_npz(X=x, y=np.nan_to_num(y))]))
    assert "no bin is masked" in " ".join(found.oddities)


def test_an_empty_set_cannot_be_described(write_npz: WriteNpz) -> None:
    """No events have no mean."""
    nothing = open_events([write_npz()]).take([])
    with pytest.raises(DataError, match="none to look at"):
        describe_events(nothing)
    with pytest.raises(DataError, match="none to look at"):
        compute_null_loss(nothing)


@pytest.mark.parametrize("index", [-1, 6])
def test_an_event_that_is_not_there_is_refused(write_npz: WriteNpz, index: int) -> None:
    """The message says which events there are."""
    with pytest.raises(DataError, match=r"Set_1.npz: no such event, got .*expected 0 to 5"):
        load_event(open_events([write_npz()]), index)

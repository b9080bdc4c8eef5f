"""Files of events open as what they hold, once read and ever after mapped."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from sweep.data.conversion import convert_events
from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz, make_arrays


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_every_float_type_gives_the_same_events(write_npz: WriteNpz, dtype: str) -> None:
    """The same values in any float type load as the same float32 arrays, with the same hashes."""
    x, y = make_arrays(70)
    events = open_events([write_npz(X=x.astype(dtype), y=y.astype(dtype))])
    x_BCL, y_BL = events.load(np.arange(70))
    np.testing.assert_array_equal(x_BCL, x)
    np.testing.assert_array_equal(y_BL, y)
    assert (x_BCL.dtype, y_BL.dtype) == (np.float32, np.float32)
    half = open_events([write_npz("half.npz", X=x.astype("f2"), y=y.astype("f2"))])
    assert events.fingerprint == half.fingerprint
    assert events.hashes.tolist() == half.hashes.tolist()


def test_half_precision_is_kept_on_disk(write_npz: WriteNpz) -> None:
    """float16 sources stay float16 in the cache, float64 ones become float32."""
    x, y = make_arrays(2)
    half = open_events([write_npz("half.npz", X=x.astype("f2"), y=y.astype("f2"))])
    double = open_events([write_npz("double.npz", X=x.astype("f8"), y=y.astype("f8"))])
    assert half.dtypes == ("float16", "float16")
    assert double.dtypes == ("float32", "float32")


def test_arrays_in_column_order_are_read_in_event_order(write_npz: WriteNpz) -> None:
    """A file written in Fortran order holds the same events."""
    x, y = make_arrays(3)
    events = open_events([write_npz(X=np.asfortranarray(x), y=np.asfortranarray(y))])
    np.testing.assert_array_equal(events.load([0, 1, 2])[0], x)


def test_keys_are_found_by_shape(write_npz: WriteNpz) -> None:
    """Without X and y the only arrays of the right shapes are taken, others are left alone."""
    x, y = make_arrays(4)
    events = open_events([write_npz(features=x, labels=y, pv_z=np.zeros(9))])
    np.testing.assert_array_equal(events.load([2])[1][0], y[2])


def test_keys_named_by_option_win(write_npz: WriteNpz) -> None:
    """An option chooses among several arrays that fit, and has a cache entry of its own."""
    x, y = make_arrays(2)
    path = write_npz(X=x, other=x[::-1], y=y)
    usual, chosen = open_events([path]), open_events([path], x_key="other")
    np.testing.assert_array_equal(usual.load([0])[0], chosen.load([1])[0])


def test_several_files_join_in_the_order_given(write_npz: WriteNpz) -> None:
    """Events of the second file follow those of the first; take and load cross the border."""
    x, y = make_arrays(6)
    paths = [write_npz("a.npz", X=x[:2], y=y[:2]), write_npz("b.npz", X=x[2:], y=y[2:])]
    events = open_events(paths)
    assert (len(events), events.labels) == (6, ("a.npz", "b.npz"))
    np.testing.assert_array_equal(events.take([5, 1, 2]).load([2, 1])[0], x[[2, 1]])
    whole = open_events([write_npz("c.npz", X=x, y=y)])
    assert events.fingerprint == whole.fingerprint


def test_fingerprint_sees_target_mask_and_order(write_npz: WriteNpz) -> None:
    """Another target, another mask or another order is other data; hashes see features alone."""
    x, y = make_arrays(4)
    other_target, other_mask = y.copy(), y.copy()
    other_target[0, 0] += 0.5
    other_mask[0, 0] = np.nan
    events = open_events([write_npz(X=x, y=y)])
    variants = [
        open_events([write_npz("t.npz", X=x, y=other_target)]),
        open_events([write_npz("m.npz", X=x, y=other_mask)]),
        events.take([1, 0, 2, 3]),
        events.take([0, 1, 2]),
    ]
    assert len({events.fingerprint, *(other.fingerprint for other in variants)}) == 5
    assert variants[0].hashes.tolist() == events.hashes.tolist()
    assert len(events.fingerprint) == 16


def test_loaded_arrays_belong_to_the_caller(write_npz: WriteNpz) -> None:
    """What load returns may be changed without changing the events."""
    events = open_events([write_npz()])
    x_BCL, y_BL = events.load([0])
    assert x_BCL.flags.c_contiguous and y_BL.flags.c_contiguous
    x_BCL[:] = -1
    assert events.load([0])[0].min() >= 0


@pytest.mark.parametrize("index", [-1, 6])
def test_an_event_out_of_range_is_an_index_error(write_npz: WriteNpz, index: int) -> None:
    """Negative indices do not count from the end."""
    events = open_events([write_npz()])
    with pytest.raises(IndexError, match="expected 0 to 5"):
        events.load([index])


def test_second_opening_reads_the_cache_only(write_npz: WriteNpz, cache: Path) -> None:
    """A file is read once: later openings report no progress and use the same store."""
    path = write_npz()
    first: list[tuple[int, int]] = []
    second: list[tuple[int, int]] = []
    open_events([path], progress=lambda *done: first.append(done))
    open_events([path], progress=lambda *done: second.append(done))
    assert first == [(6, 6)]
    assert second == []
    assert len(list((cache / "events").iterdir())) == 1


def test_a_changed_file_is_read_again(write_npz: WriteNpz) -> None:
    """A file that was written anew under the same name gives its new events."""
    x, y = make_arrays(6)
    before = open_events([write_npz()])
    path = write_npz("Set_1.npz", X=x[::-1], y=y[::-1])
    os.utime(path, ns=(1, 1))
    assert open_events([path]).fingerprint != before.fingerprint


def test_a_damaged_store_is_made_anew(write_npz: WriteNpz, cache: Path) -> None:
    """A store that lost bytes is not used."""
    path = write_npz()
    before = open_events([path]).fingerprint
    stored = next((cache / "events").iterdir()) / "x.npy"
    os.truncate(stored, stored.stat().st_size - 1)
    after = open_events([path])
    assert after.fingerprint == before
    assert after.load([5])[0].shape == (1, 4, 4000)


def test_a_set_travels_to_another_process_as_paths(write_npz: WriteNpz) -> None:
    """A pickled set is small although its events are not, and loads the same."""
    events = open_events([write_npz()])
    events.load([0])
    content = pickle.dumps(events)
    assert len(content) < 2000
    copy = pickle.loads(content)
    assert isinstance(copy, EventSet)
    np.testing.assert_array_equal(copy.load([3])[0], events.load([3])[0])


def _open_in_process(path: Path) -> str:
    return open_events([path]).fingerprint


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # has threads, and forks
def test_processes_that_open_a_file_at_once_agree(write_npz: WriteNpz, cache: Path) -> None:
    """Four processes convert the same file together: one store, the same events for all."""
    path = write_npz()
    with multiprocessing.get_context("fork").Pool(4) as pool:
        fingerprints = pool.map(_open_in_process, [path] * 4)
    assert fingerprints == [open_events([path]).fingerprint] * 4
    assert len(list((cache / "events").iterdir())) == 1


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 1e-3)])
def test_conversion_gives_the_events_back(
    write_npz: WriteNpz, tmp_path: Path, dtype: str, tolerance: float
) -> None:
    """A converted file holds the same events: exactly as float32, to three digits as float16."""
    x, y = make_arrays(3)
    x += np.float32(1e-5)
    out = tmp_path / "out.npz"
    convert_events(open_events([write_npz(X=x, y=y)]), out, dtype=dtype)
    with np.load(out, allow_pickle=False) as archive:
        assert (archive["X"].dtype, archive["y"].dtype) == (dtype, dtype)
        np.testing.assert_allclose(archive["X"].astype("f4"), x, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(archive["y"].astype("f4"), y)


def test_conversion_to_a_type_too_small_is_refused(write_npz: WriteNpz, tmp_path: Path) -> None:
    """A value beyond float16 is never written as infinity, and no file is left."""
    x, y = make_arrays(2)
    x[1, 0, 0] = 1e6
    events = open_events([write_npz(X=x, y=y)])
    with pytest.raises(DataError, match="value too large"):
        convert_events(events, tmp_path / "out.npz")
    assert [path.name for path in tmp_path.glob("*out*")] == []


def write_hdf5(path: Path, num_events: int = 70) -> dict[str, np.ndarray]:
    """Write a file as PV-Finder does, with both variants, and return its arrays as float32."""
    rng = np.random.default_rng(3)
    shape = (num_events, 4000)
    scales = {
        "kernel": 1.0,
        "Xmax": 1 / 2500,
        "Ymax": 1 / 2500,
        "poca_KDE_A": 1.0,
        "poca_KDE_B": 1.0,
        "poca_KDE_A_xMax": 1 / 2500,
        "poca_KDE_A_yMax": 1 / 2500,
        "pv": 0.02,
        "pv_other": 0.02,
    }
    arrays = {key: (rng.uniform(size=shape) * scale).astype("f2") for key, scale in scales.items()}
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="lzf")
    return {key: array.astype("f4") for key, array in arrays.items()}


@pytest.mark.parametrize(
    ("variant", "keys"),
    [
        (None, ("kernel", None, "Xmax", "Ymax")),
        ("kernel", ("kernel", None, "Xmax", "Ymax")),
        ("poca", ("poca_KDE_A", "poca_KDE_B", "poca_KDE_A_xMax", "poca_KDE_A_yMax")),
    ],
)
def test_pv_finder_files_give_scaled_features(tmp_path: Path, variant, keys) -> None:
    """Densities are taken as stored, a missing second one is the square, positions become 2 mm."""
    path = tmp_path / "pv.h5"
    arrays = write_hdf5(path)
    x_BCL, _ = open_events([path], variant=variant).load(np.arange(70))
    first, second, x_pos, y_pos = (arrays.get(key) for key in keys)
    second = first * first if second is None else second
    expected = np.stack([first, second, 5000 * x_pos, 5000 * y_pos], axis=1)
    np.testing.assert_allclose(x_BCL, expected, rtol=1e-3, atol=1e-7)


def test_pv_finder_files_mask_vertices_with_few_tracks(tmp_path: Path) -> None:
    """A bin is masked where the other vertices are above 0.01 and the target is below 0.01."""
    path = tmp_path / "pv.h5"
    arrays = write_hdf5(path)
    _, y_BL = open_events([path]).load(np.arange(70))
    masked = (arrays["pv_other"] > 0.01) & (arrays["pv"] < 0.01)
    assert 0.2 < masked.mean() < 0.3
    np.testing.assert_array_equal(np.isnan(y_BL), masked)
    np.testing.assert_array_equal(y_BL[~masked], arrays["pv"][~masked])


def test_real_events_open(shared_data: Path) -> None:
    """PV-Finder's own events are read, with their generated vertices beside them."""
    events = open_events([shared_data / "pvfinder_toy_val.npz"])
    with np.load(shared_data / "pvfinder_toy_val.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(events.load([999])[0][0], archive["X"][999])
        expected = int((archive["pv_category"] == 1).sum())
    assert events.num_generated_vertices is not None
    assert int(events.num_generated_vertices.sum()) == expected

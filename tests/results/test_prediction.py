"""Vertices that an exported model finds, written to files that others read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from sweep.metrics.decode import REFERENCE
from sweep.results.vertex_files import Finder, open_vertex_file

COPY = '''
import torch

class Copy(torch.nn.Module):
    """Gives its first feature back."""

    space = {"width": (1, 2)}

    def __init__(self, width):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x_BCL):
        return self.scale * x_BCL[:, 0]
'''


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An export of a network that gives its first feature back, with decode settings of its own."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "copy_net.py").write_text(COPY)
    save_file({"scale": torch.ones(1)}, folder / "weights.safetensors")
    data = {"num_train": 1, "num_validation": 1, "null_loss": 0.1}
    data |= {"train_fingerprint": "", "validation_fingerprint": ""}
    config = {
        "model": "copy_net.py:Copy",
        "hyperparameters": {"width": 1},
        "sweep_config": {"data": data},
        "decode": {"threshold": 0.05, "integral": 0.3, "min_width": 2},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Three events without targets; peaks in the first and the last, one too low for the model."""
    x_NCL = np.zeros((3, 4, 4000), np.float32)
    x_NCL[0, 0, 1000:1003] = [0.1, 0.3, 0.1]
    x_NCL[0, 0, 2000:2003] = [0.06, 0.08, 0.07]
    x_NCL[2, 0, 3000:3002] = 0.5
    path = tmp_path / "events.npz"
    np.savez(path, X=x_NCL)
    return path


Z_MM = [0.15, 200.1]
"""Of the peaks at bins 1001 and 3000.5 (docs/PHYSICS.md, "Histogram")."""


def read_jagged(file: h5py.File, name: str) -> list[list[float]]:
    """Read a list of lists as awkward 0 does, by what the file itself says of it."""
    schema = json.loads(bytes(file[name]["schema.json"][...]))
    assert schema["schema"]["call"] == ["awkward", "JaggedArray", "fromcounts"]
    parts: list[NDArray[Any]] = []
    for part in schema["schema"]["args"]:
        read, dtype, length = part["args"]
        content = file[schema["prefix"] + read["read"]][...]
        parts.append(np.frombuffer(content, dtype=dtype["dtype"], count=length["json"]))
    counts, values = parts
    return [row.tolist() for row in np.split(values, np.cumsum(counts)[:-1])]


def test_vertices_are_written_as_a_table(
    call: Callable[..., Any], model: Path, events: Path, tmp_path: Path
) -> None:
    """A row a vertex: event, position, height, width, integral; by the model's own settings."""
    answer = call("predict", model, "--data", events, "--out", "v.csv", "--json")
    assert answer.code == 0
    rows = list(csv.DictReader((tmp_path / "v.csv").read_text().splitlines()))
    assert [int(row["event"]) for row in rows] == [0, 2]
    assert [float(row["z_mm"]) for row in rows] == pytest.approx(Z_MM, abs=1e-5)
    assert [float(row["height"]) for row in rows] == pytest.approx([0.3, 0.5])
    assert [float(row["width_mm"]) for row in rows] == pytest.approx([0.3, 0.2])
    assert [float(row["integral"]) for row in rows] == pytest.approx([0.5, 1.0])
    said = json.loads(answer.out)
    assert (said["events"], said["vertices"]) == (3, 2)
    assert said["decode"] == {"threshold": 0.05, "integral": 0.3, "min_width": 2}
    assert "threshold 0.05, integral 0.3, width 2" in answer.err


def test_other_settings_are_taken_where_they_are_asked_for(
    call: Callable[..., Any], model: Path, events: Path, tmp_path: Path
) -> None:
    """What is named holds over the model's own; the reference's is a word; both are in the file."""
    call("predict", model, "--data", events, "--out", "a.npz", "--decode", "integral=0.2")
    call("predict", model, "--data", events, "--out", "b.npz", "--decode", "reference")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        low, reference = dict(a), dict(b)
    assert low["event"].tolist() == [0, 0, 2]
    assert low["offsets"].tolist() == [0, 2, 2, 3]
    assert (low["threshold"], low["integral_threshold"], low["min_width"]) == (0.05, 0.2, 2)
    assert reference["event"].tolist() == [0, 0]  # two bins are too few
    assert reference["integral_threshold"] == 0.2


def test_pv_finder_reads_the_vertices(
    call: Callable[..., Any], model: Path, events: Path, tmp_path: Path
) -> None:
    """Its programs find the histogram as `pv`, positions as `pv_loc`, in awkward's old form."""
    assert call("predict", model, "--data", events, "--out", "v.h5").code == 0
    with h5py.File(tmp_path / "v.h5") as file:
        assert (file["pv"].shape, file["pv"].dtype) == ((3, 4000), np.float16)
        assert file["pv"][2, 3000] == 0.5
        assert file.attrs["threshold"] == 0.05
        positions = read_jagged(file, "pv_loc")
    assert [len(row) for row in positions] == [1, 0, 1]
    assert positions[0] + positions[2] == pytest.approx(Z_MM, abs=1e-5)


def test_hdf5_without_targets_is_read(
    call: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    """Real data has no truth: a PV-Finder file of features alone is enough."""
    kernel = np.zeros((2, 4000), np.float16)
    kernel[1, 10:14] = 0.5
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["kernel"] = kernel
        file["Xmax"] = file["Ymax"] = np.zeros_like(kernel)
    answer = call("predict", model, "--data", "x.h5", "--out", "v.csv", "--json")
    assert json.loads(answer.out)["vertices"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "v.txt"], "v.txt: unknown format, got '.txt'"),
        (["--out", "nowhere/v.csv"], "nowhere/v.csv: no such folder"),
        (["--out", "events.npz"], "events.npz: exists already"),
        (["--out", "v.csv", "--decode", "height=3"], "decode: not understood, got 'height=3'"),
        (["--out", "v.csv", "--decode", "threshold=0"], "decode: out of range, got threshold 0"),
        (["--out", "v.csv", "--decode", "width=nan"], "decode: not understood, got 'width=nan'"),
        (["--out", "v.csv", "--data", "none.npz"], "none.npz: cannot be read"),
    ],
)
def test_wrong_request_is_one_line_and_leaves_nothing(
    call: Callable[..., Any],
    model: Path,
    events: Path,
    tmp_path: Path,
    options: list[str],
    said: str,
) -> None:
    """What is asked for is looked at before the model is loaded; an old file stays as it was."""
    before = events.read_bytes()
    answer = call("predict", model, "--data", events, *options)
    assert answer.fault.startswith(f"error: {said}")
    assert events.read_bytes() == before
    assert not (tmp_path / "v.csv").exists()


def test_fault_of_a_network_is_not_told_as_one_of_the_file(tmp_path: Path) -> None:
    """A file that it misses, say, stays what was missed; nothing is left."""
    with (
        pytest.raises(FileNotFoundError, match="its own"),
        open_vertex_file(tmp_path / "v.csv", Finder("Net", 1, REFERENCE)),
    ):
        raise FileNotFoundError("its own")
    assert list(tmp_path.iterdir()) == []


def test_events_that_cannot_be_judged_leave_no_file(
    call: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    """A feature that is no number, in the last event of many, ends it with nothing written."""
    x_NCL = np.zeros((70, 4, 4000), np.float16)
    x_NCL[69, 1, 5] = np.nan
    np.savez(tmp_path / "bad.npz", X=x_NCL)
    answer = call("predict", model, "--data", "bad.npz", "--out", "v.csv")
    assert answer.code == 1
    assert "bad.npz: X: NaN or inf, got nan at event 69 feature 1 bin 5" in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.npz", "model"]


def test_broken_settings_of_an_export_are_one_line(
    call: Callable[..., Any], model: Path, events: Path
) -> None:
    """Decode settings of a config that somebody changed are checked like the rest of it."""
    path = model / "config.json"
    config = json.loads(path.read_text())
    for wrong in ({"threshold": -1.0, "integral": 0.2, "min_width": 3}, {"threshold": "x"}, 5):
        path.write_text(json.dumps(config | {"decode": wrong}))
        answer = call("predict", model, "--data", events, "--out", "v.csv")
        assert "config.json: not a model's, got decode" in answer.fault


def test_parquet_holds_the_vertices_and_the_settings(
    call: Callable[..., Any], model: Path, events: Path, tmp_path: Path
) -> None:
    """Where pyarrow is there, columns keep their types, and the file says how it came about."""
    pytest.importorskip("pyarrow")
    import pandas as pd

    assert call("predict", model, "--data", events, "--out", "v.parquet").code == 0
    frame = pd.read_parquet(tmp_path / "v.parquet")
    assert frame["event"].tolist() == [0, 2]
    assert frame["z_mm"].tolist() == pytest.approx(Z_MM, abs=1e-5)
    assert (frame.attrs["threshold"], frame.attrs["num_events"]) == (0.05, 3)

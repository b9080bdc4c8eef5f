"""`sweep data`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sweep.cli.data import data_app
from sweep.data.formats import open_events
from sweep.data.toy import open_toy_events
from sweep.errors import DataError
from tests.data.conftest import WriteNpz
from tests.data.test_formats import write_hdf5


def run(*arguments: object) -> tuple[str, str]:
    """Run a command; return standard output and error. Faults propagate as exceptions."""
    result = CliRunner().invoke(data_app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_make_writes_what_the_cache_holds(tmp_path: Path) -> None:
    """The file has the events that a sweep of this seed trains on, and the note says which."""
    out = tmp_path / "toy.npz"
    _, note = run("make", "--events", 3, "--seed", 9, "--out", out)
    events = open_toy_events(3, 9)
    assert open_events([out]).fingerprint == events.fingerprint
    assert events.fingerprint in note


def test_describe_prints_one_json_object(write_npz: WriteNpz) -> None:
    """With --json standard output is the description and nothing else."""
    output, _ = run("describe", write_npz(), write_npz("b.npz"), "--json")
    found = json.loads(output)
    assert (found["num_events"], found["sources"]) == (12, ["Set_1.npz", "b.npz"])
    assert found["x_shape"] == [12, 4, 4000]


def test_describe_prints_a_table(write_npz: WriteNpz) -> None:
    """People see counts, fingerprint, null loss and oddities."""
    path = write_npz()
    output, _ = run("describe", path)
    for part in ("6 from Set_1.npz", open_events([path]).fingerprint, "null loss", "oddities"):
        assert part in output


@pytest.mark.parametrize("suffix", ["html", "png"])
def test_plot_writes_the_picture(write_npz: WriteNpz, tmp_path: Path, suffix: str) -> None:
    """Either format, with a note of what was drawn."""
    out = tmp_path / f"event.{suffix}"
    _, note = run("plot", write_npz(), "--event", 5, "--out", out)
    assert out.stat().st_size > 10_000
    assert "event 5" in note


def test_convert_writes_a_course_file(tmp_path: Path) -> None:
    """PV-Finder's HDF5 becomes an archive with the same events, by the variant asked for."""
    write_hdf5(tmp_path / "pv.h5", 3)
    out = tmp_path / "out.npz"
    run("convert", tmp_path / "pv.h5", out, "--variant", "poca", "--type", "float32")
    with np.load(out, allow_pickle=False) as archive:
        assert (archive["X"].shape, archive["y"].dtype) == ((3, 4, 4000), np.float32)
    expected = open_events([tmp_path / "pv.h5"], variant="poca").fingerprint
    assert open_events([out]).fingerprint == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("make", "--events", 0), "expected at least 1"),
        (("make", "--events", 1, "--out", "toy.csv"), "expected .npz"),
        (("describe", "none.npz"), "No such file"),
        (("plot", "FILE", "--event", 6, "--out", "a.png"), "expected 0 to 5"),
        (("plot", "FILE", "--event", 0, "--out", "a.pdf"), "expected .html or .png"),
        (("convert", "FILE", "out.h5"), "expected .npz"),
        (("convert", "FILE", "none/out.npz"), "no such folder"),
        (("convert", "FILE", "FILE"), "exists already"),
    ],
)
def test_faults_of_a_command_are_data_errors(write_npz, arguments, message: str) -> None:
    """What a person can put right reaches the command line as one line."""
    path = write_npz()
    with pytest.raises(DataError, match=message):
        run(*(path if argument == "FILE" else argument for argument in arguments))

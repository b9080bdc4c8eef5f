"""A sweep's events are known by their content: where they lie may change, and is said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweep.config import SweepConfig
from sweep.data.asked import TOY_VERSION
from sweep.data.selection import reopen_split
from sweep.errors import ConflictError, DataError
from sweep.plan.plan import plan_sweep
from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.storage.sweeps import find_sweep


@pytest.fixture
def files(events_file: Path, tmp_path: Path) -> list[Path]:
    """Two files of 20 and 16 events, in a folder of their own."""
    folder = tmp_path / "old"
    folder.mkdir()
    with np.load(events_file) as events:
        x_NCL, y_NL = events["X"], events["y"]
    for name, part in (("a.npz", slice(0, 20)), ("b.npz", slice(20, None))):
        np.savez(folder / name, X=x_NCL[part], y=y_NL[part])
    return [folder / "a.npz", folder / "b.npz"]


def ask(*files: Path, **options: str) -> Request:
    """Ask for a small sweep on files."""
    return Request(model="cnn", data=tuple(map(str, files)), epochs=1, val_events=8, **options)


def prepare(request: Request, url: str) -> tuple[SweepConfig, list[str]]:
    """Make the sweep or go on with it; gives what is stored then, and what is said."""
    engine, sweep, notes = prepare_sweep(request, url, "net", 1, CPU)
    stored = SweepConfig.from_json(find_sweep(engine, sweep.name).config)
    engine.dispose()
    return stored, notes


def test_sweep_goes_on_where_its_events_lie_now(
    files: list[Path], database_url: str, tmp_path: Path
) -> None:
    """In another folder, under other names, packed and with other array names: the same events.

    Workers and all who read the config find them there from now on; nothing else changed.
    """
    before, _notes = prepare(ask(*files), database_url)
    moved = [tmp_path / "new" / name for name in ("first.npz", "second.npz")]
    moved[0].parent.mkdir()
    for old, new in zip(files, moved, strict=True):
        with np.load(old) as events:
            np.savez_compressed(new, features=events["X"], target=events["y"])
        old.unlink()
    asked = ask(*moved, x_key="features", y_key="target")
    after, notes = prepare(asked, database_url)
    assert after.data.files == tuple(map(str, moved))
    assert after.data == before.data.move(after.data)
    assert replace_data(after) == replace_data(before)
    (note,) = notes
    assert f"read from {moved[0]}, {moved[1]} from now on (they were in {files[0]}" in note
    assert reopen_split(after.data).train.fingerprint == before.data.train_fingerprint
    assert prepare(replace(asked, data=(), x_key=None, y_key=None), database_url) == (after, [])


def replace_data(config: SweepConfig) -> SweepConfig:
    """Give a config without its events."""
    return config.model_copy(update={"data": None})


def test_other_events_at_the_new_place_are_refused(
    files: list[Path], sqlite_url: str, tmp_path: Path
) -> None:
    """By their fingerprint; the sweep stays where its events were."""
    before, _notes = prepare(ask(files[0]), sqlite_url)
    with np.load(files[0]) as events:
        np.savez(tmp_path / "a.npz", X=events["X"] * 0.5, y=events["y"])
    with pytest.raises(ConflictError, match=r"data\.train_fingerprint: stored"):
        prepare(ask(tmp_path / "a.npz"), sqlite_url)
    assert prepare(Request(model="cnn"), sqlite_url) == (before, [])


def test_another_order_of_the_files_is_named(files: list[Path], sqlite_url: str) -> None:
    """It splits the events otherwise, so that it is another sweep, which paths alone do not say."""
    prepare(ask(*files), sqlite_url)
    with pytest.raises(ConflictError, match="the same files in another order, which splits"):
        prepare(ask(*reversed(files)), sqlite_url)


def test_machine_says_where_it_keeps_events(
    files: list[Path], sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SWEEP_DATA` lists folders of this machine, which the database need not know."""
    before, _notes = prepare(ask(files[0]), sqlite_url)
    (tmp_path / "here").mkdir()
    shutil.move(files[0], tmp_path / "here")
    with pytest.raises(DataError, match=r"a\.npz: the events of the sweep are not there.*--data"):
        reopen_split(before.data)
    monkeypatch.setenv("SWEEP_DATA", f"{tmp_path}:{tmp_path / 'here'}")
    assert len(reopen_split(before.data).validation) == 8
    assert prepare(Request(model="cnn"), sqlite_url) == (before, [])


def test_sweep_of_earlier_toy_events_goes_on_where_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With equal events and no word of a difference; where they are gone one line refuses."""
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path))
    asked = Request(model="cnn", events=4, val_events=3, epochs=1)
    now = plan_sweep(asked, CPU).config
    before = now.model_copy(update={"data": now.data.model_copy(update={"toy_version": 1})})
    for place in (tmp_path / "events").iterdir():
        place.rename(place.with_name(place.name.replace(f"recipe{TOY_VERSION}", "recipe1")))
    assert plan_sweep(Request(model="cnn"), CPU, before).config == before
    shutil.rmtree(tmp_path / "events")
    with pytest.raises(DataError, match="got version 1, expected"):
        plan_sweep(Request(model="cnn"), CPU, before)

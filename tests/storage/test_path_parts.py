"""Names that come out of a database lead to no file outside of the artifact folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from optuna.artifacts.exceptions import ArtifactNotFound

from sweep.storage import studies
from sweep.storage.artifacts import TrialFolder
from sweep.storage.attachments import ArtifactStore, attach_file
from sweep.storage.engine import parse_url
from sweep.storage.errors import StorageError
from sweep.storage.sweeps import find_sweep
from sweep.storage.transfer import Folders, copy_sweeps

AWAY = ("../home/x", "/etc/x", "a/b", "..", "", "x" * 20)


def rename_file(engine: sa.Engine, artifact: str) -> str:
    """Give an attached file another name in the database, as whoever writes there can."""
    with engine.begin() as connection:
        query = "SELECT key FROM trial_system_attributes WHERE key LIKE 'artifacts:%'"
        key = str(connection.execute(sa.text(query)).scalars().first())
        connection.execute(
            sa.text("UPDATE trial_system_attributes SET key = :new WHERE key = :old"),
            {"new": f"artifacts:{artifact}", "old": key},
        )
    return key.removeprefix("artifacts:")


@pytest.mark.parametrize("artifact", AWAY)
def test_copy_writes_only_into_its_folder(source: sa.Engine, tmp_path: Path, artifact: str) -> None:
    """A file that is named otherwise than Optuna names them is refused with the whole copy."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "x").write_text("to be taken")
    rename_file(source, artifact)
    folders = Folders(tmp_path / "artifacts", tmp_path / "inner" / "copied")
    target = parse_url(f"sqlite:///{tmp_path / 'b'}")
    with pytest.raises(StorageError, match="not the name of an attached file, got"):
        copy_sweeps(source.url, target, [], folders, lambda _done, _total: None)
    assert not (tmp_path / "inner").exists()


def test_sweep_named_by_hand_has_no_folder_elsewhere(source: sa.Engine, tmp_path: Path) -> None:
    """Neither for weights nor for checkpoints; the sweep can still be listed."""
    sweep = replace(find_sweep(source, "cnn"), name="../cnn")
    with pytest.raises(StorageError, match=r"got '../cnn' in the database"):
        TrialFolder(tmp_path, sweep, 0)


def test_link_is_not_shown_and_not_copied(source: sa.Engine, tmp_path: Path) -> None:
    """Whoever may write to the artifact folder learns nothing of other files by a link there."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    artifact = "0" * 32
    link = tmp_path / "artifacts" / rename_file(source, artifact)
    link.rename(link.with_name(artifact)).unlink()
    link.with_name(artifact).symlink_to(secret)
    with pytest.raises(ArtifactNotFound):
        ArtifactStore(tmp_path / "artifacts").open_reader(artifact)
    with pytest.raises(StorageError, match="not the name"):
        ArtifactStore(tmp_path / "artifacts").open_reader("../secret")
    folders = Folders(tmp_path / "artifacts", tmp_path / "copied")
    target = parse_url(f"sqlite:///{tmp_path / 'b'}")
    copied = copy_sweeps(source.url, target, [], folders, lambda _done, _total: None)
    assert copied.num_missing == 1
    assert not (tmp_path / "copied" / artifact).exists()


def test_file_is_attached_under_a_name_of_optuna(source: sa.Engine, tmp_path: Path) -> None:
    """A name that was changed in the database is not written to."""
    study = studies.load_study(studies.open_study_storage(source.url), "cnn")
    trial = studies.begin_trial(study, 9, {})
    meta = {"artifact_id": "../x", "filename": "a.png", "mimetype": "image/png", "encoding": None}
    trial.storage.set_trial_system_attr(trial._trial_id, "artifacts:../x", json.dumps(meta))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"png")
    with pytest.raises(StorageError, match="not the name of an attached file"):
        attach_file(trial, picture, tmp_path / "artifacts")
    assert not (tmp_path / "x").exists()

"""Files attached to studies and trials: whole, in the artifact folder, by the names of Optuna."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import Trial

from sweep.storage.files import open_plain, write_file
from sweep.storage.path_parts import check_artifact_id
from sweep.storage.transactions import retry


def attach_file(target: Trial | optuna.Study, path: Path, folder: Path) -> None:
    """Attach a file to a running trial or to a study, so that the dashboard shows it.

    It takes the place of one of the same name: a worker may have been killed after it had attached
    that, and before it told the trial.

    Args:
        folder: The artifact folder that the dashboard is started with.

    Raises:
        OSError: when the disk is full or the folder not writable; nothing is attached then.
    """
    copy = folder / f".{path.name}.{uuid.uuid4().hex}"
    write_file(copy, lambda file: shutil.copyfile(path, file))

    def attach() -> None:
        attached = {meta.filename: meta.artifact_id for meta in get_all_artifact_meta(target)}
        if path.name in attached:
            copy.replace(folder / check_artifact_id(attached[path.name]))
        else:
            store = _WholeCopyStore(copy)
            upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=target)

    try:
        retry(attach)
    finally:
        copy.unlink(missing_ok=True)


class ArtifactStore(FileSystemArtifactStore):
    """The artifact folder for the dashboard: only what is in it, by names that Optuna gives."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        path = self._base_path / check_artifact_id(artifact_id)
        try:
            return open_plain(path)
        except OSError as exc:
            raise ArtifactNotFound(f"no such file, or a link: {path}") from exc

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        with (self._base_path / check_artifact_id(artifact_id)).open("xb") as file:
            shutil.copyfileobj(content_body, file)

    def remove(self, artifact_id: str) -> None:
        super().remove(check_artifact_id(artifact_id))


class _WholeCopyStore(FileSystemArtifactStore):
    """Takes a copy that lies whole in its folder, since Optuna notes a file before it is there."""

    def __init__(self, copy: Path) -> None:
        super().__init__(copy.parent)
        self._copy = copy

    def write(self, artifact_id: str, _content: BinaryIO) -> None:
        self._copy.replace(self._copy.with_name(artifact_id))

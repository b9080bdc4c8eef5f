"""The trackers that a sweep can be written for, and what each needs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sweep.errors import ConfigError, list_allowed

if TYPE_CHECKING:
    from sweep.trackers.runs import Run


@dataclass(frozen=True)
class Tracker:
    """One tracker of experiments.

    Attributes:
        module: Of this package, which writes for it.
        library: Which that needs.
        shown_by: The command that shows what was written; `{}` for the folder.
    """

    module: str
    library: str
    shown_by: str

    def show(self, folder: Path) -> str:
        """Give the command that shows what was written into a folder."""
        return self.shown_by.format(shlex.quote(str(folder)))


class Writer(Protocol):
    """Writes a sweep for a tracker bit by bit; made of folder, name and mark of the sweep."""

    def write(self, run: Run) -> None:
        """Write what is new of a run."""

    def close(self, *, is_done: bool) -> None:
        """End, with the sweep or before it."""


TRACKERS = {
    "mlflow": Tracker(
        "sweep.trackers.mlflow", "mlflow", "mlflow ui --backend-store-uri sqlite:///{}/mlflow.db"
    ),
    "tensorboard": Tracker("sweep.trackers.tensorboard", "tensorboard", "tensorboard --logdir {}"),
    "wandb": Tracker("sweep.trackers.wandb", "wandb", "wandb sync {}/*/wandb/offline-run-*"),
}


def require_tracker(name: str) -> Tracker:
    """Give a tracker by its name.

    Raises:
        ConfigError: when there is none of that name, or its library is not installed.
    """
    if name not in TRACKERS:
        raise ConfigError(
            f"tracker: unknown, got {name!r}, expected {list_allowed(TRACKERS)}; check the spelling"
        )
    tracker = TRACKERS[name]
    if find_spec(tracker.library) is None:
        raise ConfigError(
            f"tracker: {tracker.library} is not installed, got none, expected it beside sweep; "
            f"`pip install {tracker.library}`"
        )
    return tracker


def read_tracks(texts: Sequence[str]) -> list[tuple[str, Tracker, Path]]:
    """Read what `--track` was given: a tracker, and a folder after a colon.

    Raises:
        ConfigError: when there is no such tracker, its library is not installed, or a file stands
            in the place of the folder.
    """
    found = []
    for text in texts:
        name, _, folder = text.partition(":")
        tracker, place = require_tracker(name), Path(folder or f"sweep_{name}")
        if place.exists() and not place.is_dir():
            raise ConfigError(
                f"track: {place}: not a folder, got a file, expected one; choose another name"
            )
        found.append((name, tracker, place))
    return found

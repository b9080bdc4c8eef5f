"""The sweeps of a database, as tables, values and figures."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from sweep.api.display import open_display
from sweep.api.settings import write_assignments
from sweep.data.events import EventSet
from sweep.data.selection import reopen_split
from sweep.errors import ConfigError, SweepError
from sweep.plan.changes import AskedChange
from sweep.results.changes import describe_changes
from sweep.results.confirmation import find_confirmation, find_winner_or_best
from sweep.results.edits import begin_version, resume_sweep, stop_sweep
from sweep.results.export import export_trial
from sweep.results.frames import tabulate_epochs, tabulate_sweeps, tabulate_trials
from sweep.results.status import Status, read_status
from sweep.settings.settings import find_place
from sweep.storage.database_file import check_address, name_user
from sweep.storage.engine import parse_url
from sweep.storage.epochs import read_curve, read_curves
from sweep.storage.sweeps import find_sweep, list_sweeps
from sweep.storage.tables import open_sweeps

if TYPE_CHECKING:
    import plotly.graph_objects as go


def open(storage: str | None = None) -> Database:
    """Open a database of sweeps.

    Args:
        storage: As `--storage` takes it: `sqlite:///sweep.db` or `postgresql://USER@HOST/NAME`,
            whose password stands in `~/.pgpass`. If left out, what `sweep config` shows.

    Raises:
        ConfigError: when a `sweep.toml` is asked that says what cannot be.
        StorageError: when it is missing, does not answer, or holds no sweeps of this version.
    """
    storage = storage or str(find_place("storage").value)
    check_address(storage)
    return Database(open_sweeps(parse_url(storage)))


class Database:
    """The sweeps of a database; each call reads them as they are now.

    Nothing but `stop`, `resume` and `change` changes them. It may be used in a `with` statement,
    which closes it.

    Args:
        engine: As `open` makes it.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def sweeps(self) -> pd.DataFrame:
        """Read a table of all sweeps, oldest first, a row each.

        Columns: `sweep`, `kind`, `model`, `objective`, `created`, `budget`, the numbers of trials
        by state, `stopped`, `trials_per_hour`, `time_left_s`, `best_trial`, and that trial's
        metrics and counts as `trials` has them. A sweep of another version is left out with a
        warning.
        """
        statuses = []
        for found in list_sweeps(self._engine):
            try:
                statuses.append(read_status(self._engine, found))
            except ConfigError as exc:
                warnings.warn(f"{found.name}: left out: {exc}", stacklevel=2)
        return tabulate_sweeps(statuses)

    def trials(self, name: str) -> pd.DataFrame:
        """Read a table of every trial of a sweep that has begun, a row each.

        Columns: `trial`, `state`, `outcome`, `reason`, `feasible`, `origin` (who chose it); each
        hyperparameter as `params_NAME`; each metric of its best epoch, with the ends of the 68 %
        interval as `_low` and `_high`, and the counts it is made of; `best_epoch`, `epochs`,
        `events_seen`, `training_s`, `attempts`, `started` and `finished` (UTC), `worker`.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
        """
        status = self.read_status(name)
        return tabulate_trials(status, read_curves(self._engine, status.sweep.id))

    def epochs(self, name: str) -> pd.DataFrame:
        """Read a table of every epoch of every trial of a sweep, a row each.

        Columns: `trial`, `epoch`, `events_seen`, `lr`, `train_loss`, the metrics and counts as
        `trials` has them, `duration_s`.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
        """
        status = self.read_status(name)
        return tabulate_epochs(status, read_curves(self._engine, status.sweep.id))

    def best(self, name: str) -> dict[str, Any]:
        """Find the best trial of a sweep, as `sweep best --json` tells it.

        Returns:
            `sweep`, `trial`, its metrics, and its hyperparameters as `params`. Of a search that was
            confirmed it is the winner's, and `confirmation` tells of the candidates.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
            SweepError: when no trial of it is complete and feasible.
        """
        status = self.read_status(name)
        owner, trial = find_winner_or_best(self._engine, status)
        found = find_confirmation(self._engine, status)
        told = {} if found is None else {"confirmation": found.describe()}
        return {**owner.describe_trial(trial), **told}

    def export(
        self,
        name: str,
        folder: str | os.PathLike[str],
        *,
        artifacts: str | os.PathLike[str] = "sweep_artifacts",
    ) -> Path:
        """Write the best network of a sweep into a new folder, as `sweep best --export` does.

        Args:
            artifacts: Folder where the workers kept its weights.

        Returns:
            The folder, as `load_model` takes it.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
            SweepError: when no trial of it is complete and feasible, the folder is there already,
                or the weights are missing.
        """
        status = self.read_status(name)
        owner, trial = find_winner_or_best(self._engine, status)
        found = find_confirmation(self._engine, status) if owner is not status else None
        export_trial(owner, trial, Path(artifacts), Path(folder), confirmation=found)
        return Path(folder)

    def validation_events(self, name: str) -> EventSet:
        """Open the events that the trials of a sweep were judged on, as `read_events` gives them.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
            DataError: when a file is missing or holds other events than the sweep began with.
        """
        return reopen_split(self.read_status(name).config.data).validation

    def draw_history(self, name: str) -> go.Figure:
        """Draw the metrics of a sweep by trial, with the best so far and the null loss."""
        from sweep.figures.trials import draw_history  # late: Plotly is for figures only

        return draw_history(self.read_status(name))

    def draw_front(self, name: str) -> go.Figure:
        """Draw efficiency against false positives per event of a sweep's trials."""
        from sweep.figures.trials import draw_front  # late: Plotly is for figures only

        return draw_front(self.read_status(name))

    def draw_curves(self, name: str) -> go.Figure:
        """Draw the validation loss of a sweep's trials by epoch."""
        from sweep.figures.trials import draw_all_curves  # late: Plotly is for figures only

        status = self.read_status(name)
        return draw_all_curves(status, read_curves(self._engine, status.sweep.id))

    def draw_trial(self, name: str, trial: int) -> go.Figure:
        """Draw the training loss and the metrics of one trial by epoch.

        Raises:
            SweepError: when the sweep has no trial of that number that has begun.
        """
        from sweep.figures.learning_curves import draw_learning_curves  # late: as above

        status = self.read_status(name)
        found = next((row for row in status.begun if row.number == trial), None)
        if found is None:
            raise SweepError(
                f"sweep {name}: no such trial, got {trial}, expected the number of one that has "
                "begun; `trials` lists them"
            )
        curve = read_curve(self._engine, found.id)
        return draw_learning_curves(curve, status.config.data.null_loss)

    def follow(self, name: str, *, refresh_s: float = 1.0) -> None:
        """Show a sweep in a notebook's cell or a terminal while it is trained, wherever that is.

        It ends with the sweep; to interrupt it (the notebook's stop button, Ctrl-C) changes
        nothing.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
        """
        with open_display() as display:
            while True:
                status = self.read_status(name)
                display.show(name, status)
                if not status.is_open:
                    return
                time.sleep(refresh_s)

    def stop(self, name: str) -> None:
        """Ask all workers of a sweep, its confirmation and its audit to stop after their epoch.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
        """
        stop_sweep(self._engine, find_sweep(self._engine, name), name_user())

    def resume(self, name: str) -> None:
        """Take `stop` back: workers that stay, and those that come, go on.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
        """
        resume_sweep(self._engine, find_sweep(self._engine, name), name_user())

    def change(
        self,
        name: str,
        *,
        set: Mapping[str, Any] | None = None,
        fix: Mapping[str, Any] | None = None,
        trials: int | None = None,
        priority: int | None = None,
        sampler: str | None = None,
        pruner: str | None = None,
        why: str | None = None,
    ) -> list[dict[str, Any]]:
        """Change a sweep while it runs, as `sweep change` does: trials get it that have not begun.

        Args:
            set: Dimensions of the space: `{"lr": "1e-4:1e-2:log", "hidden_size": [16, 32]}`.
            fix: Hyperparameters with one value from now on.
            trials: To be trained in all.
            priority: Of open sweeps workers take the highest first.
            why: Your reason, kept with the change.

        Returns:
            All changes of the sweep: `version`, `from_trial`, `changed`, `author`, `why`, `made`.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
            ConfigError: when something asked for cannot be, or is so already.
        """
        asked = AskedChange(
            tuple(write_assignments("set", set or {})),
            tuple(write_assignments("fix", fix or {})),
            trials=trials,
            priority=priority,
            sampler=sampler,
            pruner=pruner,
            why=why,
        )
        begin_version(self._engine, find_sweep(self._engine, name), asked, name_user())
        return describe_changes(self.read_status(name))

    def read_status(self, name: str) -> Status:
        """Read how far a sweep is: its counts, trials, workers, pace and time left.

        Raises:
            UnknownSweepError: when there is no sweep of that name.
        """
        return read_status(self._engine, find_sweep(self._engine, name))

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

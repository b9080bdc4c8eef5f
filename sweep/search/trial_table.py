"""What a sampler looks at of a study's trials: a row each, that stays as long as the trial does.

A search of thousands costs what has changed since it was last looked at, and sums over arrays.

Shapes: N trial, D dimension, E epoch.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from sweep.search.coordinates import find_coordinate, find_value
from sweep.search.draw import Outlook
from sweep.search.expected_ends import carry_to_end, tabulate_curves
from sweep.search.seen import Seen
from sweep.storage.studies import SLOT_KEY
from sweep.storage.study_cache import get_row_id

PROPOSAL_KEY = "sweep:proposal"
MOST_HELD = 16
"""Tables that are kept: of each sweep one, of several architectures one of each."""

Identity = tuple[Any, ...]
"""What two configurations that are the same have in common."""


class TrialTable:
    """The trials of a study as a sampler sees them.

    Args:
        names: Of the hyperparameters that are searched, as the study has them.
        outlook: What a trial can come to.
    """

    def __init__(self, names: Sequence[str], outlook: Outlook) -> None:
        self._names, self._outlook = names, outlook
        self._trials: list[FrozenTrial] = []
        self._running: list[int] = []
        self._identities: list[Identity] = []
        self._inside: defaultdict[Identity, set[int]] = defaultdict(set)
        form = [
            ("place", float, (len(names),)),  # coordinates; NaN where it has not all values
            ("curve", float, (outlook.num_epochs,)),  # NaN where nothing is known yet
            ("arm", "U8"),
            ("slot", int),
            ("number", int),
            ("is_inside", bool),  # within the space, and no fault ended it
        ]
        self._rows = np.zeros(0, form)

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take the rows anew of those trials that are others than before, or ran then.

        One that has changed since it was read is another object, where it does not run.
        """
        pairs = enumerate(zip_longest(self._trials, trials))
        changed = {row for row, (before, now) in pairs if before is not now}.union(self._running)
        for row in changed:
            if row < len(self._identities):
                self._inside.get(self._identities[row], set()).discard(row)
        self._trials = list(trials)
        missing = max(0, len(trials) - len(self._rows))
        added = np.zeros(missing, self._rows.dtype)
        self._rows = np.concatenate([self._rows, added])[: len(trials)]
        self._identities = [*self._identities, *[()] * missing][: len(trials)]
        self._take(sorted(row for row in changed if row < len(trials)))

    def _take(self, rows: Sequence[int]) -> None:
        """Take from trials what is looked at."""
        names, outlook = self._names, self._outlook
        trials = [self._trials[row] for row in rows]
        curves = [outlook.read_curve(trial) for trial in trials]
        curve_NE = tabulate_curves(curves, outlook.num_epochs, outlook.worst)
        for row, trial, curve, curve_E in zip(rows, trials, curves, curve_NE, strict=True):
            has_all = all(name in trial.params for name in names)
            place = (
                [find_coordinate(trial.params[n], trial.distributions[n]) for n in names]
                if has_all
                else [math.nan] * len(names)
            )
            is_inside = has_all and all(0.0 <= u <= 1.0 for u in place)
            is_inside = is_inside and trial.state != TrialState.FAIL
            is_known = bool(curve) or trial.state.is_finished()
            arm = trial.system_attrs.get(PROPOSAL_KEY, {}).get("arm")
            self._rows[row] = (
                place,
                curve_E if is_known else math.nan,
                arm or "",
                trial.system_attrs.get(SLOT_KEY, -1),
                trial.number,
                is_inside,
            )
            self._identities[row] = _identify([trial.params.get(name) for name in names])
            if is_inside:
                self._inside[self._identities[row]].add(row)
        ran = {
            row for row, one in zip(rows, trials, strict=True) if one.state == TrialState.RUNNING
        }
        self._running = sorted(ran)

    def list_inside(self, but: int | None = None) -> NDArray[np.int64]:
        """List the rows of trials within the space that did not fail, but that of a number."""
        is_inside_N = self._rows["is_inside"]
        if but is not None:
            is_inside_N = is_inside_N & (self._rows["number"] != but)
        return np.flatnonzero(is_inside_N)

    def has(self, point: Mapping[str, float], row_N: NDArray[np.int64]) -> bool:
        """Say whether one of the trials of some rows within the space has the values of a point.

        Args:
            point: Coordinates, by the hyperparameters' names.
        """
        if not len(row_N):
            return False
        alike: Mapping[str, BaseDistribution] = self._trials[row_N[0]].distributions
        identity = _identify([find_value(point[n], alike[n]) for n in self._names])
        found = self._inside.get(identity, ())
        return bool(np.isin(list(found), row_N).any())

    def see(self, row_N: NDArray[np.int64]) -> Seen:
        """See what is known of the trials of some rows."""
        curve_NE = self._rows["curve"][row_N]
        value_N, doubt_N = np.full(len(row_N), math.nan), np.zeros(len(row_N))
        is_known_N = ~np.isnan(curve_NE[:, 0])
        if is_known_N.any():
            ends = carry_to_end(curve_NE[is_known_N])
            value_N[is_known_N], doubt_N[is_known_N] = ends.value_N, ends.doubt_N
        return Seen(self._rows["place"][row_N], value_N, doubt_N, self._rows["arm"][row_N])

    def find_center(self, row_N: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Find the place of the recommended point, if it is a trial of some rows."""
        slot = self._outlook.center_slot
        if slot is None:
            return None
        found_N = row_N[self._rows["slot"][row_N] == slot]
        place_D: NDArray[np.float64] = self._rows["place"][found_N[:1]]
        return place_D[0] if len(found_N) else None


class _Held(threading.local):
    """The tables of a thread: each of a process's workers has its own view of a study."""

    def __init__(self) -> None:
        self.tables: dict[tuple[Any, ...], TrialTable] = {}


_held = _Held()


def open_table(names: Sequence[str], outlook: Outlook, trials: Sequence[FrozenTrial]) -> TrialTable:
    """Open the table of a study's trials, as it is kept from one of them to the next."""
    key = tuple(names), outlook, get_row_id(trials[0]) if trials else None
    tables = _held.tables
    table = tables.pop(key, None) or TrialTable(names, outlook)
    table.update(trials)
    tables[key] = table
    while len(tables) > MOST_HELD:
        del tables[next(iter(tables))]
    return table


def _identify(values: Sequence[Any]) -> Identity:
    """Give what two configurations that are the same have in common.

    A value that comes back from its coordinate may differ in its last digits.
    """
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in values)

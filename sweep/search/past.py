"""What a sampler learns from when its space was changed: the trials that lie inside, moved into it.

A trial that was tried in another version of the space has its values in that one's ranges and
choices, and none for what was fixed then. Here it gets those of the space of now. A trial outside
teaches nothing: the place that it would have is none.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from optuna.trial import FixedTrial, FrozenTrial

from sweep.models.space import Dimension, Fixed
from sweep.models.value import Value
from sweep.search.suggestion import fix_point, suggest
from sweep.storage.studies import SLOT_KEY


@dataclass(frozen=True)
class Past:
    """What was tried in a sweep whose space was changed meanwhile.

    Attributes:
        space: Of the trial that is drawn for: what lies inside of it counts, as if tried in it.
        names: What the study calls its hyperparameters.
        varied: Hyperparameters that are not the same in all versions of the space.
        params_by_slot: Every hyperparameter of each trial that has begun.
    """

    space: Mapping[str, Dimension]
    names: Mapping[str, str]
    varied: Collection[str]
    params_by_slot: Mapping[int, Mapping[str, Value]]

    def see(self, trial: FrozenTrial) -> FrozenTrial | None:
        """Move a trial into the space of now; None where it lies outside or has no values yet.

        What is fixed alike in all versions may have another value in a setting tuned by hand.
        """
        params = self.params_by_slot.get(trial.system_attrs.get(SLOT_KEY, -1))
        if params is None:
            return None
        for name, dimension in self.space.items():
            is_free = isinstance(dimension, Fixed) and name not in self.varied
            if not is_free and (name not in params or not dimension.contains(params[name])):
                return None
        known = {name: params[name] for name in self.space if name in params}
        chosen = FixedTrial(fix_point(known, self.space, self.names))
        suggest(chosen, self.space, {}, self.names)
        moved = copy.copy(trial)
        moved.params, moved.distributions = chosen.params, chosen.distributions
        return moved

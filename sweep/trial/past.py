"""Reads what was tried in other versions of a sweep's space, for a sampler to learn from."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from sweep.config import SweepConfig
from sweep.plan.space import complete_params, read_space
from sweep.plan.versions import find_varied
from sweep.search.past import Past
from sweep.storage.changes import read_params
from sweep.storage.sweeps import Sweep


def read_past(
    engine: sa.Engine, sweep: Sweep, config: SweepConfig, names: Mapping[str, str]
) -> Past | None:
    """Read what was tried in other versions of a sweep's space; None where there is one alone.

    Args:
        config: Of the version that a trial is begun with; of several architectures that of one.
        names: What the study calls its hyperparameters.
    """
    if not {"space", "architectures"} & {key for one in config.changes for key in one.before}:
        return None
    whole = SweepConfig.from_json(sweep.config)
    params = read_params(engine, sweep.id)
    complete = {slot: complete_params(whole, found) for slot, found in params.items()}
    return Past(read_space(config), names, find_varied(whole, config.label), complete)

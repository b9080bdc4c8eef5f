"""What each trial draws: its training events, in a curve; the seed of its weights and order."""

from __future__ import annotations

import numpy as np

from sweep.config import SweepConfig
from sweep.data.events import EventSet
from sweep.plan.curve_trials import list_curve_trials
from sweep.search.seeds import derive_seed


def draw_events(config: SweepConfig, slot: int, train: EventSet) -> EventSet:
    """Draw the training events of one trial: all of them, but for a sample-size curve."""
    if config.curve is None:
        return train
    drawn = list_curve_trials(config.curve)[slot]
    seed = derive_seed(config.search.seed, "events", drawn.repeat)
    order = np.random.default_rng(seed).permutation(len(train))
    return train.take(order[: drawn.num_train])


def choose_draw(config: SweepConfig, slot: int) -> int:
    """Choose what, beside the sweep's seed, decides a trial's weights and order of events.

    The slot; in a sample-size curve the repeat, whose sizes all begin alike; in a confirmation the
    seed, which its candidates have in common.
    """
    if config.confirmation is not None:
        return config.confirmation.pairs[slot][1]
    return slot if config.curve is None else list_curve_trials(config.curve)[slot].repeat

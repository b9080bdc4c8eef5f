"""The events, weights and order that each trial of a sample-size curve is trained with."""

from __future__ import annotations

import numpy as np

from sweep.config import CurveConfig, OriginConfig, SweepConfig
from sweep.data.events import EventSet
from sweep.data.selection import reopen_split
from sweep.data.splits import Split, count_shared
from sweep.errors import DataError
from sweep.plan.request import CurveRequest
from sweep.plan.sample import list_samples
from sweep.seeds import derive_seed


def finish_curve(curve: CurveConfig, asked: CurveRequest | None, split: Split) -> CurveConfig:
    """Check a curve's sizes against the events, and note whose hyperparameters it trains with.

    Raises:
        DataError: when there are too few events, or those of the other sweep are not there to be
            compared.
    """
    if curve.sizes[-1] > len(split.train):
        raise DataError(
            f"events: fewer than the largest size, got {len(split.train)} training events, "
            f"expected at least {curve.sizes[-1]}; ask for fewer with --events or give more files"
        )
    if asked is None or asked.origin is None:
        return curve
    lender = asked.origin
    tuned_on = reopen_split(lender.config.data).validation
    origin = OriginConfig(
        sweep=lender.sweep,
        trial=lender.trial,
        num_train=lender.config.data.num_train,
        num_shared_validation=count_shared(split.validation, tuned_on),
    )
    return curve.model_copy(update={"origin": origin})


def draw_events(config: SweepConfig, slot: int, train: EventSet) -> EventSet:
    """Draw the training events of one trial: all of them, but for a sample-size curve.

    Args:
        config: The sweep's.
        slot: The trial's.
        train: The sweep's training events.
    """
    if config.curve is None:
        return train
    sample = list_samples(config.curve)[slot]
    seed = derive_seed(config.search.seed, "events", sample.repeat)
    order = np.random.default_rng(seed).permutation(len(train))
    return train.take(order[: sample.num_train])


def choose_draw(config: SweepConfig, slot: int) -> int:
    """Choose what, beside the sweep's seed, decides a trial's weights and order of events.

    The slot; in a sample-size curve the repeat, whose sizes all begin alike; in a confirmation the
    seed, which its candidates have in common.
    """
    if config.confirmation is not None:
        return config.confirmation.pairs[slot][1]
    return slot if config.curve is None else list_samples(config.curve)[slot].repeat

"""A sample-size curve: which events, weights and order each of its trials is trained with.

A trial is a number of training events in a repeat. Within a repeat the events of a smaller size are
a part of those of a larger one, and the weights and the order begin from the same seeds, so that
sizes compare in pairs; all are judged on the same validation events.

What is kept alike across sizes is by default the number of events seen in training, hence of
optimiser steps and the whole schedule of the learning rate: all that changes is how many
*different* events there are. At equal epochs, as the hand-tuned report had it, a smaller sample
also trains for fewer steps, and since networks leave the null loss late, counted in events seen
(docs/PHYSICS.md, "Learning"), its efficiency says how far it had come rather than what the sample
is worth. Equal epochs cost less: a trial takes time in proportion to its size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from models.space import Dimension, Fixed, Int, Value
from sweep.config import CurveConfig, OriginConfig, SweepConfig
from sweep.data.events import EventSet
from sweep.data.selection import reopen_split
from sweep.data.splits import Split, count_shared
from sweep.errors import ConfigError, ConflictError, DataError
from sweep.plan.request import CurveRequest
from sweep.plan.sample import list_samples
from sweep.seeds import derive_seed

SIZE_NAME, REPEAT_NAME = "num_train", "repeat"
"""What the study calls the two, so that it can be sliced by them."""
DEFAULT_REPEATS = 3


def plan_curve(asked: CurveRequest | None, stored: SweepConfig | None) -> CurveConfig | None:
    """Turn what was asked into a sample-size curve; without its origin, where that is new.

    Args:
        asked: What was asked, or None where none was asked for.
        stored: The config of the sweep that goes on, or None.

    Returns:
        The curve, that of the stored config where nothing else is asked; None for a search.

    Raises:
        ConfigError: when a number is not usable or there are no sizes.
        ConflictError: when the stored sweep is a search.
    """
    old = stored.sample_size if stored else None
    if asked is None:
        return old
    if stored is not None and old is None:
        raise ConflictError(
            "sweep: it is a search already, got a sample-size curve asked of it, expected a "
            "name of its own; give the curve one with --sweep"
        )
    sizes = asked.sizes or (old.sizes if old else ())
    repeats = asked.repeats if asked.repeats is not None else old.repeats if old else None
    equal = asked.equal or (old.equal if old else "passes")
    if equal not in ("passes", "epochs"):
        raise ConfigError(
            f"equal: unknown, got {equal!r}, expected passes or epochs; change --equal"
        )
    if not sizes or min(sizes) < 1 or len(set(sizes)) < len(sizes):
        raise ConfigError(
            f"events: no sizes to train with, got {', '.join(map(str, sizes)) or 'none'}, expected "
            "different numbers of at least 1, as 1000,2000,4000; give them with --events"
        )
    if repeats is not None and repeats < 1:
        raise ConfigError(f"repeats: got {repeats}, expected at least 1; raise --repeats")
    return CurveConfig(
        sizes=tuple(sorted(sizes)),
        repeats=repeats or DEFAULT_REPEATS,
        equal=equal,
        origin=old.origin if old else None,
    )


def parse_sizes(text: str | None) -> tuple[int, ...]:
    """Read numbers of training events, as 1000,2000,4000.

    Raises:
        ConfigError: when there is something else among them.
    """
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as exc:
        raise ConfigError(
            f"events: not a list of numbers, got {text!r}, expected some as 1000,2000,4000; "
            "change --events"
        ) from exc


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


def list_points(curve: CurveConfig) -> tuple[dict[str, Value], ...]:
    """Give what is special of each trial, as starting points of the sweep."""
    return tuple(
        {SIZE_NAME: sample.num_train, REPEAT_NAME: sample.repeat} for sample in list_samples(curve)
    )


def extend_space(
    curve: CurveConfig, space: Mapping[str, Dimension], taken: Collection[str]
) -> dict[str, Dimension]:
    """Add size and repeat to the hyperparameters.

    Args:
        space: The hyperparameters, all of them fixed.
        taken: Names that the network takes.

    Raises:
        ConfigError: when a hyperparameter is not fixed, or the network takes one of the two names.
    """
    sizes, repeats = curve.sizes, curve.repeats
    added: dict[str, Dimension] = {
        SIZE_NAME: Int(sizes[0], sizes[-1]) if len(sizes) > 1 else Fixed(sizes[0]),
        REPEAT_NAME: Int(1, repeats) if repeats > 1 else Fixed(1),
    }
    for name, dimension in space.items():
        if name not in added and not isinstance(dimension, Fixed):
            raise ConfigError(
                f"space.{name}: a sample-size curve searches nothing, got {dimension}, "
                f"expected one value; add --fix {name}=VALUE"
            )
    for name in added:
        if name in taken:
            raise ConfigError(
                f"space.{name}: the curve's own name, got a network that takes it, expected "
                "another; rename the network's hyperparameter"
            )
    return {**space, **added}


def draw_events(config: SweepConfig, slot: int, train: EventSet) -> EventSet:
    """Draw the training events of one trial: all of them, but for a sample-size curve.

    Args:
        config: The sweep's.
        slot: The trial's.
        train: The sweep's training events.
    """
    if config.sample_size is None:
        return train
    sample = list_samples(config.sample_size)[slot]
    seed = derive_seed(config.search.seed, "events", sample.repeat)
    order = np.random.default_rng(seed).permutation(len(train))
    return train.take(order[: sample.num_train])


def choose_draw(config: SweepConfig, slot: int) -> int:
    """Choose what, beside the sweep's seed, decides a trial's weights and order of events.

    The slot; in a sample-size curve the repeat, whose sizes all begin alike.
    """
    return slot if config.sample_size is None else list_samples(config.sample_size)[slot].repeat

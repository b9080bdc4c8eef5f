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

from sweep.config import CurveConfig, SweepConfig
from sweep.errors import ConfigError, ConflictError, check_known, check_least
from sweep.models.space import Dimension, Fixed, Int
from sweep.models.value import Value
from sweep.plan.curve_trials import list_curve_trials
from sweep.plan.request import CurveRequest

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
    old = stored.curve if stored else None
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
    check_known("equal", equal, ("passes", "epochs"))
    if not sizes or min(sizes) < 1 or len(set(sizes)) < len(sizes):
        raise ConfigError(
            f"events: no sizes to train with, got {', '.join(map(str, sizes)) or 'none'}, expected "
            "different numbers of at least 1, as 1000,2000,4000; give them with --events"
        )
    check_least("repeats", repeats)
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


def list_points(curve: CurveConfig) -> tuple[dict[str, Value], ...]:
    """Give what is special of each trial, as starting points of the sweep."""
    return tuple(
        {SIZE_NAME: sample.num_train, REPEAT_NAME: sample.repeat}
        for sample in list_curve_trials(curve)
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

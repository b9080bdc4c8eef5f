"""What of a sweep follows from how many optimiser steps its trials have.

A network leaves the null loss after so many steps, however many events each of them saw. So where
a profile's batches leave a trial few steps, they are made smaller, and rates that could not move a
weight far enough in the steps there are, are not searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sweep.config import Recipe
from sweep.models.space import Dimension, Fixed, Float
from sweep.plan.recipes import get_grace_steps
from sweep.search.suggestion import list_ends

LEAST_STEPS = 200
LEAST_BATCH = 16
LEAST_WAY = 0.35
"""A rate times the steps, which is how far Adam moves a weight at most: with less, a network is
still about the null loss at its end (a rate of 1e-3 on the 350 steps of the CPU's profile)."""
LEAST_SPAN = 10.0
"""From the lowest to the highest rate of a range that was cut."""


def fit_space(space: Mapping[str, Dimension], num_seen: int) -> dict[str, Dimension]:
    """Fit the batch size and the rates of a default space to a trial's steps.

    Args:
        space: With one batch size.
        num_seen: Events that a trial sees in all its epochs.
    """
    fitted = dict(space)
    size = find_largest_batch(space)
    while size > LEAST_BATCH and num_seen < LEAST_STEPS * size:
        size = max(LEAST_BATCH, size // 2)
    fitted["batch_size"] = Fixed(size)
    rates = fitted.get("lr")
    if isinstance(rates, Float) and rates.low > 0:
        least = min(LEAST_WAY * size / num_seen, rates.high / LEAST_SPAN)
        fitted["lr"] = replace(rates, low=max(rates.low, float(f"{least:.1e}")))
    return fitted


def list_fits(usual: Mapping[str, Dimension], fitted: Mapping[str, Dimension]) -> list[str]:
    """List what was fitted, one line each, with what to do about it."""
    return [
        f"space: {name} is {fitted[name]} instead of {usual[name]}, since a trial has few steps; "
        f"for another one: --set {name}={usual[name]}"
        for name in usual
        if fitted[name] != usual[name]
    ]


def fit_grace(recipe: Recipe, space: Mapping[str, Dimension]) -> Recipe:
    """Give a recipe with its grace in events, so many steps of a space's largest batches."""
    grace = get_grace_steps(recipe.name) * find_largest_batch(space)
    return recipe.model_copy(update={"grace_events": grace})


def find_largest_batch(space: Mapping[str, Dimension]) -> int:
    """Find the largest batch size that a space holds."""
    return max(int(end) for end in list_ends(space["batch_size"]) if isinstance(end, int | float))

"""The learning rate of every step of a training, worked out before it begins.

A table needs no one to look at it between two steps, so that a GPU can find its rate there itself.
"""

from __future__ import annotations

import math

from sweep.config import Recipe

FIRST_DIVISOR = 25.0
LAST_DIVISOR = 1e4
"""A one-cycle schedule begins at this part of the highest rate, and ends at that part of where it
began: PyTorch's `OneCycleLR`, after Smith and Topin, arXiv:1708.07120."""


def list_rates(recipe: Recipe, lr: float, num_batches: int) -> list[float]:
    """List the learning rate of each step from the first on; the last one is that of all others.

    Args:
        lr: The highest rate.
        num_batches: Steps of an epoch.

    Returns:
        At least one rate; of a one-cycle schedule one more than there are steps.
    """
    if recipe.schedule == "one_cycle":
        num_steps = num_batches * recipe.epochs
        return [_find_one_cycle_rate(recipe, lr, num_steps, step) for step in range(num_steps + 1)]
    num_rising = max(1, math.ceil(recipe.warmup_epochs * num_batches))
    return [lr * ((step + 1) / num_rising) for step in range(num_rising)]


def _find_one_cycle_rate(recipe: Recipe, lr: float, num_steps: int, step: int) -> float:
    """Find the rate of one step: a half wave up to the highest rate and another one down."""
    first = lr / FIRST_DIVISOR
    top, end = recipe.warmup_fraction * num_steps - 1, num_steps - 1
    if step <= top:
        return _go(first, lr, step / top if top else 1.0)
    return _go(lr, first / LAST_DIVISOR, (step - top) / (end - top))


def _go(start: float, end: float, way: float) -> float:
    """Go a share of the way from one rate to another, along half a wave of the cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)

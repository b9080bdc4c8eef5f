"""Which architecture is next: each has its first trials, then what has paid decides."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from sweep.search.allocation import NUM_FIRST, Tried, choose_architecture

LABELS = ("cnn", "mlp", "unet")


def play(values: dict[str, float], num_trials: int, spread: float = 0.05) -> Counter[str]:
    """Play a sweep in which an architecture's trials end about one value; NaN always fails."""
    rng, tried = np.random.default_rng(1), list[Tried]()
    for slot in range(num_trials):
        label = choose_architecture(LABELS, tried, np.random.default_rng(slot))
        value = values[label] + spread * float(rng.standard_normal())
        tried.append(Tried(label, value, math.isnan(value)))
    return Counter(one.label for one in tried)


def test_budget_goes_to_the_architecture_that_is_better_and_leaves_none_out() -> None:
    """Most trials are of the best one, and the others have had their first ones."""
    shares = play({"cnn": 0.0, "mlp": 1.0, "unet": 0.3}, 100)
    assert shares["cnn"] > 60
    assert min(shares.values()) >= NUM_FIRST


def test_equal_architectures_share_the_budget() -> None:
    """Luck of the first trials is outgrown."""
    assert min(play(dict.fromkeys(LABELS, 0.0), 120).values()) >= 10


def test_every_architecture_has_its_first_trials_before_any_is_preferred() -> None:
    """Those that run count, too, so that workers do not all go to one."""
    tried = [Tried("cnn", 0.1), Tried("cnn", math.nan), Tried("mlp", 0.5)]
    assert choose_architecture(LABELS, tried, np.random.default_rng(0)) == "unet"


def test_architecture_that_only_fails_has_no_more_trials() -> None:
    """It would end the sweep of the others; where all fail one goes on, to end it."""
    assert play({"cnn": 0.0, "mlp": math.nan, "unet": 0.2}, 30)["mlp"] == 2
    assert sum(play(dict.fromkeys(LABELS, math.nan), 9).values()) == 9

"""How many trials of each architecture should come before any is preferred? Played, not trained.

    python benchmarks/search/allocation.py

Nine architectures, whose levels differ as much as their trials lie above them, are played through
the product's own choice. Regret is how far the best trial ends above the best
architecture's level.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from sweep.search import allocation
from sweep.search.allocation import Tried, choose_architecture

LABELS = [f"architecture {number}" for number in range(9)]
SPREAD = 0.05
NUM_SEEDS = 30


def main() -> None:
    """Print a row for each number of first trials and each budget."""
    print("| first trials of each | trials | share of the best | regret: mean, 90 % |")
    print("|---|---|---|---|")
    for num_first, num_trials in product((1, 2, 3), (30, 60, 100)):
        allocation.NUM_FIRST = num_first
        played = np.array([_play(num_trials, seed) for seed in range(NUM_SEEDS)])
        share, regret = played.mean(axis=0)
        worst = np.quantile(played[:, 1], 0.9)
        print(f"| {num_first} | {num_trials} | {share:.0%} | {regret:.4f}, {worst:.4f} |")


def _play(num_trials: int, seed: int) -> tuple[float, float]:
    """Play a sweep; gives the share of the best architecture and the regret."""
    rng, tried = np.random.default_rng(seed), list[Tried]()
    levels = dict(zip(LABELS, SPREAD * rng.standard_normal(len(LABELS)), strict=True))
    for slot in range(num_trials):
        label = choose_architecture(LABELS, tried, np.random.default_rng([seed, slot]))
        tried.append(Tried(label, levels[label] + SPREAD * abs(rng.standard_normal())))
    best = min(levels, key=levels.__getitem__)
    share = sum(one.label == best for one in tried) / num_trials
    return share, min(one.value for one in tried) - levels[best]


if __name__ == "__main__":
    main()

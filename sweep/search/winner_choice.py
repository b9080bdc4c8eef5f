"""Which of some candidates is the best, by trainings with seeds that they have in common.

What a training gives is taken as the candidate's own level, plus what the seed adds to every
candidate, plus a rest that is alike for all (a two-way table without interaction). So candidates
compare in pairs, also where the clearly worse ones were dropped and have fewer seeds, and the rest
is known from all of them together, though each has only two or three. Probabilities and intervals
are those of the posterior under flat priors, by draws: levels are t-distributed about the least
squares (Gelman et al., Bayesian Data Analysis, 14.2).

Shapes: C candidate, S seed, D draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SURE = 0.95
"""Probability from which a candidate counts as better than another, and width of intervals."""
NUM_DRAWS = 20_000


@dataclass(frozen=True)
class Estimate:
    """The candidates' levels; lower is better.

    Attributes:
        level_C: The estimate of each, averaged over the seeds; NaN where one was never measured.
        draw_DC: Levels as they may be in truth; empty where the seeds do not tell the spread.
    """

    level_C: NDArray[np.float64]
    draw_DC: NDArray[np.float64]

    def get_probability(self, better: int, worse: int) -> float | None:
        """Give the probability that one candidate is better than another; None where unknown."""
        if not len(self.draw_DC):
            return None
        return float(np.mean(self.draw_DC[:, better] < self.draw_DC[:, worse]))

    def list_best_probabilities(self) -> list[float | None]:
        """List each candidate's probability of being the best of all."""
        if not len(self.draw_DC):
            return [None] * len(self.level_C)
        drawn = np.where(np.isnan(self.draw_DC), np.inf, self.draw_DC)
        counts = np.bincount(drawn.argmin(axis=1), minlength=len(self.level_C))
        return [float(count) / len(drawn) for count in counts]

    def find_interval(self, of: int, against: int) -> tuple[float, float] | None:
        """Find where the difference of two levels lies with 95 %; None where unknown."""
        if not len(self.draw_DC):
            return None
        tail = (1 - SURE) / 2
        difference_D = self.draw_DC[:, of] - self.draw_DC[:, against]
        low, high = np.quantile(difference_D, [tail, 1 - tail])
        return float(low), float(high)


def estimate_levels(value_CS: NDArray[np.float64]) -> Estimate:
    """Estimate the candidates' levels.

    Args:
        value_CS: What each training gave, lower is better; NaN where there was none.
    """
    num_candidates = len(value_CS)
    level_C = np.full(num_candidates, np.nan)
    candidates, seeds = np.nonzero(np.isfinite(value_CS))
    present, column = np.unique(candidates, return_inverse=True)
    used, seed_column = np.unique(seeds, return_inverse=True)
    if not len(present):
        return Estimate(level_C, np.empty((0, num_candidates)))
    design = np.zeros((len(candidates), len(present) + len(used) - 1))
    rows = np.arange(len(candidates))
    design[rows, column] = 1.0
    # The seeds' parts add up to zero, so that levels are averages over the seeds.
    for row, seed in zip(rows, seed_column, strict=True):
        if seed < len(used) - 1:
            design[row, len(present) + seed] = 1.0
        else:
            design[row, len(present) :] = -1.0
    values = value_CS[candidates, seeds]
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    level_C[present] = solution[: len(present)]
    freedom = len(values) - int(rank)
    if freedom < 1 or int(rank) < design.shape[1]:
        return Estimate(level_C, np.empty((0, num_candidates)))
    variance = float(np.sum((values - design @ solution) ** 2)) / freedom
    covariance = variance * np.linalg.inv(design.T @ design)[: len(present), : len(present)]
    rng = np.random.default_rng(0)
    scale_D = np.sqrt(freedom / rng.chisquare(freedom, NUM_DRAWS))
    normal_DC = rng.multivariate_normal(np.zeros(len(present)), covariance, NUM_DRAWS)
    draw_DC = np.full((NUM_DRAWS, num_candidates), np.nan)
    draw_DC[:, present] = level_C[present] + scale_D[:, None] * normal_DC
    return Estimate(level_C, draw_DC)


def keep_open(estimate: Estimate, recommended: int | None) -> list[int]:
    """List the candidates that are worth another seed.

    The recommended one stays, since the others are measured by it; another is dropped where the
    best one so far is surely better, though it is the best of several, or where none of its
    trainings gave a value.

    Args:
        recommended: Index of the recommended one, or None where there is none.
    """
    known = np.flatnonzero(np.isfinite(estimate.level_C))
    if not len(known):
        return []
    best = int(known[np.argmin(estimate.level_C[known])])
    sure = _be_sure_among(len(known))
    kept = [
        int(index)
        for index in known
        if index in (best, recommended)
        or (estimate.get_probability(best, int(index)) or 0.0) < sure
    ]
    return kept if len(kept) > 1 else []


def choose_winner(estimate: Estimate, recommended: int | None) -> int | None:
    """Choose the winner: the best level, where the seeds show that it beats the recommended one.

    The best of several has to be better by more than chance makes the best of so many.

    Returns:
        Its index, that of the recommended one where nothing is shown to beat it; None where no
        training gave a value.
    """
    known = np.flatnonzero(np.isfinite(estimate.level_C))
    if not len(known):
        return None
    best = int(known[np.argmin(estimate.level_C[known])])
    if recommended is None or recommended not in known:
        return best
    sure = _be_sure_among(len(known))
    is_shown = (estimate.get_probability(best, recommended) or 0.0) >= sure
    return best if is_shown else recommended


def _be_sure_among(num_candidates: int) -> float:
    """Give the probability from which the best of some is better than one of the others.

    `SURE` for all comparisons together, each with the same share of the doubt (Bonferroni): of five
    alike the best would seem better than a given one in 11 % of the cases otherwise (measured).
    """
    return 1.0 - (1.0 - SURE) / max(1, num_candidates - 1)

"""The best of some candidates by paired seeds: levels, dropping, the winner, the size unasked."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.plan.confirmation_plan import choose_size
from sweep.search import winner_choice
from sweep.search.winner_choice import choose_winner, estimate_levels, keep_open

SEED_PART = np.array([0.0, 0.01, -0.01])


def make_values(*levels: float, noise: float = 2e-4, seed: int = 0) -> np.ndarray:
    """Make trainings of candidates: their level, what the seed adds to all, and a little noise."""
    rng = np.random.default_rng(seed)
    rest = rng.normal(0.0, noise, (len(levels), len(SEED_PART)))
    return np.array(levels)[:, None] + SEED_PART + rest


def test_what_a_seed_adds_to_all_does_not_hide_a_difference() -> None:
    """A candidate that is better in every pair wins, though the seeds spread ten times as far."""
    estimate = estimate_levels(make_values(0.034, 0.036))
    probability = estimate.get_probability(0, 1)
    assert probability is not None and probability > 0.95
    assert choose_winner(estimate, recommended=1) == 0


def test_ties_go_to_the_recommended_point() -> None:
    """A candidate that is better by less than the seeds show does not beat the recommended one."""
    estimate = estimate_levels(make_values(0.03499, 0.0350, noise=5e-4))
    assert choose_winner(estimate, recommended=1) == 1


@pytest.mark.parametrize(
    ("spread", "num_candidates", "num_seeds"), [(0.1, 2, 2), (0.016, 2, 3), (0.016, 5, 2)]
)
def test_equal_candidates_are_seldom_called_different(
    spread: float, num_candidates: int, num_seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one of twenty cases, whatever they differ by and however many one is the best of."""
    monkeypatch.setattr(winner_choice, "NUM_DRAWS", 2000)
    rng = np.random.default_rng(1)
    values = 0.03 * (1 + rng.normal(0, spread, (400, num_candidates, num_seeds)))
    estimates = [estimate_levels(value_CS) for value_CS in values]
    chosen = [choose_winner(estimate, 1) for estimate in estimates]
    assert 0.01 < 1 - chosen.count(1) / len(chosen) < 0.08
    num_dropped = sum(0 not in (keep_open(estimate, 1) or [0]) for estimate in estimates)
    assert num_dropped / len(values) < 0.05


def test_one_seed_shows_nothing() -> None:
    """With one training each the spread is unknown, and the recommended one wins."""
    estimate = estimate_levels(np.array([[0.030], [0.035]]))
    assert estimate.get_probability(0, 1) is None
    assert choose_winner(estimate, recommended=1) == 1


def test_the_clearly_worse_are_dropped_and_the_recommended_stays() -> None:
    """After two seeds only those that may be the best go on, and the one they are measured by."""
    values = make_values(0.034, 0.0341, 0.06, 0.05)
    values[:, 2] = np.nan
    assert keep_open(estimate_levels(values), recommended=3) == [0, 1, 3]


def test_nothing_goes_on_where_the_recommended_one_is_left_alone() -> None:
    """Where every other one is clearly worse than it, another seed would decide nothing."""
    values = make_values(0.06, 0.034)
    values[:, 2] = np.nan
    assert keep_open(estimate_levels(values), recommended=1) == []


def test_dropped_candidates_are_compared_by_the_seeds_they_had() -> None:
    """A level does not profit from a hard seed that it never met."""
    values = make_values(0.034, 0.034, noise=1e-6)
    values[1, 1] = np.nan  # the seed that costs 0.01
    assert estimate_levels(values).level_C == pytest.approx([0.034, 0.034], abs=1e-4)


def test_a_candidate_without_a_value_cannot_win() -> None:
    """One whose trainings all failed is no winner, not even as the recommended one."""
    values = make_values(0.034, 0.036)
    values[1] = np.nan
    assert choose_winner(estimate_levels(values), recommended=1) == 0
    assert choose_winner(estimate_levels(np.full((2, 3), np.nan)), recommended=1) is None


@pytest.mark.parametrize(
    ("spent", "size"), [(127, None), (128, (1, 2)), (300, (2, 3)), (10_000, (4, 3))]
)
def test_unasked_it_takes_no_more_than_its_share(spent: int, size: tuple[int, int] | None) -> None:
    """Top and seeds follow from a quarter of the epochs of the search, here with 8 a training."""
    assert choose_size(spent, epochs=8) == size


@pytest.mark.parametrize(("spent", "size"), [(127, None), (128, (2, 2)), (200, (3, 2))])
def test_no_place_is_kept_for_a_recommended_point_that_is_not_there(
    spent: int, size: tuple[int, int] | None
) -> None:
    """Where nothing is known to work, the whole share goes to the best, at least two of them."""
    assert choose_size(spent, epochs=8, has_recommended=False) == size

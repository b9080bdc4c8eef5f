"""The table of metrics: what each is made of, its interval, and what follows for the others."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.metrics.score import MatchCounts, Score, get_score, make_score
from sweep.metrics.table import (
    METRICS,
    OBJECTIVES,
    RESIDUAL_MEAN,
    RESIDUAL_WIDTH,
    Ratio,
)
from sweep.metrics.writing import describe_metrics, describe_score, list_known, write_bars
from sweep.storage.tables import Epoch


def make_residuals(residuals_um: list[int]) -> Score:
    """Make the score of a network with these residuals."""
    sums = [sum(um**power for um in residuals_um) for power in (1, 2, 3, 4)]
    num = len(residuals_um)
    return Score(MatchCounts(10, num, num, 2, 1, num, *sums), 0.05)


def test_objectives_can_be_ranked_by_the_database() -> None:
    """Each has a direction and is a ratio of what an epoch stores."""
    for metric in OBJECTIVES.values():
        assert metric.direction is not None
        assert isinstance(metric.formula, Ratio)


def test_residual_is_a_mean_and_a_standard_deviation() -> None:
    """In mm, of sums in micrometres."""
    residuals_um = [-120, 30, 45, 200, -310, 15]
    score = make_residuals(residuals_um)
    assert RESIDUAL_MEAN.compute(score) == pytest.approx(np.mean(residuals_um) / 1000)
    assert RESIDUAL_WIDTH.compute(score) == pytest.approx(np.std(residuals_um, ddof=1) / 1000)


@pytest.mark.parametrize("kind", ["gaussian", "tailed"])
def test_residual_intervals_are_the_bootstrap_s(kind: str) -> None:
    """Half an interval is the spread over resamples, with tails too; a Gaussian's is the usual."""
    rng = np.random.default_rng(1)
    drawn = rng.normal(5, 80, 3000) if kind == "gaussian" else 60 * rng.standard_t(4, 3000)
    residuals = np.clip(drawn, -500, 500).round().astype(np.int64)
    score = make_residuals(residuals.tolist())
    again = rng.choice(residuals, (1000, len(residuals))) / 1000
    for metric, values in ((RESIDUAL_MEAN, again.mean(1)), (RESIDUAL_WIDTH, again.std(1, ddof=1))):
        low, high = metric.compute_interval(score)
        assert low < metric.compute(score) < high
        assert (high - low) / 2 == pytest.approx(values.std(), rel=0.08)
    usual = RESIDUAL_WIDTH.compute(score) / np.sqrt(2 * (len(residuals) - 1))
    low, high = RESIDUAL_WIDTH.compute_interval(score)
    ratio = (high - low) / 2 / usual
    assert ratio == pytest.approx(1.0, abs=0.06) if kind == "gaussian" else ratio > 1.2


@pytest.mark.parametrize(
    ("residuals_um", "known"),
    [
        ([], set()),
        ([30], {"residual_mean_mm"}),
        ([7, 7], {"residual_mean_mm", "residual_width_mm"}),
    ],
)
def test_few_pairs_give_what_they_can(residuals_um: list[int], known: set[str]) -> None:
    """No mean without one, no width without two; equal ones have none of it."""
    score = make_residuals(residuals_um)
    found = describe_metrics(score)
    assert {key for key in found if key.startswith("residual")} == known
    assert found.get("residual_width_mm", 0.0) == 0.0
    assert ("residual_mean_mm_interval" in describe_score(score)) is (len(residuals_um) > 1)


def test_epoch_of_an_older_version_has_no_residual() -> None:
    """It is shown as nothing, and its column is left out; the other metrics are as ever."""
    old = get_score(Epoch(1, 100, 0.05, 0.05, 10, 8, 2, 8, 1, 1e-3, 1.0))
    assert describe_metrics(old) == {"validation_loss": 0.05, "efficiency": 0.8, "fp_rate": 0.1}
    assert list_known([old]) == list(METRICS[:3])
    assert [write_bars(metric, old) for metric in METRICS[3:]] == ["", "", ""]
    assert list_known([old, make_residuals([1, 2])]) == list(METRICS[:-1])


def test_scores_add_up_and_come_back() -> None:
    """Of parts as of the whole; from a row or a JSON file as they were."""
    parts = [make_residuals(um) for um in ([3, -4], [100, -250, 17])]
    whole = make_residuals([3, -4, 100, -250, 17])
    added = parts[0].counts + parts[1].counts
    assert (added.pairs, added.residual_um4) == (whole.counts.pairs, whole.counts.residual_um4)
    assert make_score(describe_score(whole)) == whole
    assert make_score(whole.to_row()) == whole

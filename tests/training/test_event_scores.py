"""Scores event by event add up to the score of the set."""

from __future__ import annotations

import math

import pytest
import torch

from sweep.metrics.peaks import Regions
from sweep.metrics.score import MatchCounts
from sweep.training.event_scores import score_each
from sweep.training.loss import compute_ratio_loss_B
from tests.training.test_matching import count_matches_per_event, make_pairs


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_events_add_up_to_the_score(batch_size: int) -> None:
    """Count for count, whatever the batches, masked bins and odd predictions included."""
    truth_BL, prediction_BL = make_pairs(11, 40, 300)
    prediction_BL = prediction_BL.nan_to_num()
    parts = zip(prediction_BL.split(batch_size), truth_BL.split(batch_size), strict=True)
    scores = score_each(parts)
    score = scores.score
    assert len(scores) == 40
    assert score.counts == MatchCounts(
        40, *count_matches_per_event(truth_BL, prediction_BL).sum(0).tolist()
    )
    loss_B = compute_ratio_loss_B(prediction_BL, truth_BL)
    assert score.validation_loss == pytest.approx(loss_B.double().mean().item(), rel=1e-6)
    assert scores.num_true_N.sum() == score.counts.true_peaks > 0
    assert scores.get_counts("false_positives").sum() == score.counts.false_positives > 0


def test_event_is_scored_as_if_it_were_alone() -> None:
    """Nothing of its neighbours in the batch reaches it."""
    truth_BL, prediction_BL = make_pairs(12, 5, 300)
    prediction_BL = prediction_BL.nan_to_num()
    together = score_each([(prediction_BL, truth_BL)])
    for event in range(5):
        alone = score_each([(prediction_BL[event : event + 1], truth_BL[event : event + 1])])
        assert alone.counts_NK[0].tolist() == together.counts_NK[event].tolist()
        assert alone.loss_N[0] == pytest.approx(together.loss_N[event], rel=1e-6)


def test_no_number_leaves_its_event_without_a_loss() -> None:
    """And the set without one."""
    truth_BL, prediction_BL = torch.zeros(2, 50), torch.zeros(2, 50)
    prediction_BL[1, 3] = math.nan
    scores = score_each([(prediction_BL, truth_BL)])
    assert [math.isnan(loss) for loss in scores.loss_N] == [False, True]
    assert scores.score.validation_loss is None


def test_known_true_peaks_change_nothing() -> None:
    """Not from one pass to the next, nor where the batches are cut otherwise."""
    truth_BL, prediction_BL = make_pairs(13, 40, 300)
    prediction_BL = prediction_BL.nan_to_num()
    expected = score_each([(prediction_BL, truth_BL)]).counts_NK
    known: list[Regions | None] = []
    for sizes in ([16, 12, 12], [16, 12, 12], [16, 24], [16, 8, 8, 8], [40]):
        parts = zip(prediction_BL.split(sizes), truth_BL.split(sizes), strict=True)
        assert score_each(parts, known).counts_NK.tolist() == expected.tolist()
        assert len(known) == len(sizes)

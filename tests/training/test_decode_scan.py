"""The efficiency at a fixed rate of false positives: settings scanned, chosen and drawn again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sweep.metrics.decode import REFERENCE, Decode
from sweep.metrics.table import EFFICIENCY, EFFICIENCY_AT_FP
from sweep.training.decode_scan import (
    SETTINGS,
    choose_setting,
    count_settings,
    list_curve,
    score_at_fp,
    score_chosen,
)
from sweep.training.event_scores import score_each
from sweep.training.matching import match_peaks


def make_events(num_events: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw predictions and targets: peaks of all heights and widths, some missed, some invented."""
    rng = np.random.default_rng(seed)
    bins = np.arange(600)
    both = np.zeros((2, num_events, 600), np.float32)
    for prediction_L, y_L in zip(*both, strict=True):
        for center in rng.choice(np.arange(20, 580, 25), size=9, replace=False):
            shape = np.exp(-0.5 * ((bins - center - rng.normal(0, 1.5)) / rng.uniform(0.5, 3)) ** 2)
            prediction_L += rng.lognormal(-3.0, 1.2) * shape
            if rng.random() < 0.7:
                y_L += 0.3 * np.exp(-0.5 * ((bins - center) / 2.0) ** 2)
        y_L[rng.integers(600) :][:30] = np.nan
    return torch.from_numpy(both[0]), torch.from_numpy(both[1])


def test_every_setting_is_counted_as_a_match_of_its_own_counts() -> None:
    """Found and false peaks of each event, at settings from all over the grid."""
    prediction_BL, y_BL = make_events(12, seed=3)
    found_BS, false_BS = count_settings(prediction_BL, y_BL)
    assert REFERENCE in SETTINGS
    for index in {*range(0, len(SETTINGS), 37), SETTINGS.index(REFERENCE)}:
        own = match_peaks(y_BL, prediction_BL, SETTINGS[index]).count()
        assert found_BS[:, index].tolist() == own[:, 0].tolist(), SETTINGS[index]
        assert false_BS[:, index].tolist() == own[:, 3].tolist(), SETTINGS[index]


def test_settings_find_most_within_the_rate() -> None:
    """No setting of the grid finds more at as few false positives; the score is counted with it."""
    parts = [make_events(10, seed=seed) for seed in (5, 6)]
    scores = score_at_fp(parts, max_fp=0.5)
    operating = scores.operating
    assert operating is not None
    found_S, false_S = (
        sum(count_settings(*part)[side].sum(0) for part in parts) for side in (0, 1)
    )
    assert scores.score.counts.found == int(found_S[false_S <= 10].max())
    assert scores.score.counts.false_positives <= 10
    again = score_each(parts, decode=operating.decode)
    assert np.array_equal(scores.counts_NK, again.counts_NK)
    assert operating.low <= EFFICIENCY.measure(scores.score) <= operating.high


def test_stricter_rates_find_less() -> None:
    """The rate that is asked for is kept."""
    part = make_events(20, seed=9)
    found = []
    for rate in (2.0, 0.5, 0.2):
        counts = score_at_fp([part], rate).score.counts
        assert counts.false_positives <= rate * 20
        found.append(counts.found)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_equals_are_decided_by_false_positives_then_by_the_reference() -> None:
    """Fewest false positives, then the reference's own; where none is strict enough, the fewest."""
    found_S, false_S = np.full(len(SETTINGS), 7), np.full(len(SETTINGS), 3)
    reference = SETTINGS.index(REFERENCE)
    assert choose_setting(found_S, false_S, most_false=4) == reference
    false_S[5] = 2
    assert choose_setting(found_S, false_S, most_false=4) == 5
    found_S[6] = 8
    assert choose_setting(found_S, false_S, most_false=4) == 6
    assert choose_setting(found_S, false_S, most_false=1) == 5


def test_curve_holds_what_nothing_beats() -> None:
    """Strictest first; a setting that finds no more at more false positives is not in it."""
    found_S, false_S = np.array([5, 7, 7, 9]), np.array([1, 4, 3, 8])
    assert list_curve(found_S, false_S).tolist() == [0, 2, 3]


def test_score_with_settings_chosen_before_says_so() -> None:
    """It has an efficiency at the fixed rate, with an interval; the reference's alone has none."""
    parts = [make_events(30, seed=4)]
    chosen = score_chosen(parts, Decode(0.02, 0.1, 2)).score
    assert EFFICIENCY_AT_FP.compute(chosen) == EFFICIENCY.compute(chosen)
    low, high = EFFICIENCY_AT_FP.compute_interval(chosen) or (0.0, 0.0)
    assert 0.0 < low < EFFICIENCY.measure(chosen) < high < 1.0
    plain = score_chosen(parts, None).score
    assert EFFICIENCY_AT_FP.compute(plain) is None
    assert EFFICIENCY_AT_FP.compute_interval(plain) is None


def test_interval_knows_that_peaks_of_an_event_are_alike() -> None:
    """Where an event is found whole or not at all, the bootstrap's interval is the wider one."""
    prediction_BL, _ = make_events(40, seed=8)
    y_BL = torch.zeros_like(prediction_BL)
    for center in range(50, 600, 50):
        y_BL[:, center : center + 4] = 0.3
    prediction_BL = torch.where(torch.arange(40)[:, None] % 2 == 0, y_BL, 0.0)
    score = score_chosen([(prediction_BL, y_BL)], REFERENCE).score
    drawn, binomial = (m.compute_interval(score) for m in (EFFICIENCY_AT_FP, EFFICIENCY))
    assert drawn is not None
    assert binomial is not None
    assert drawn[1] - drawn[0] > 2 * (binomial[1] - binomial[0])


def test_what_is_not_finite_is_refused() -> None:
    """An infinite bin has no settings, as it has no score."""
    prediction_BL, y_BL = make_events(2, seed=1)
    prediction_BL[1, 7] = torch.inf
    with pytest.raises(ValueError, match="not finite"):
        score_at_fp([(prediction_BL, y_BL)], 0.1)

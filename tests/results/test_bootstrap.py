"""The paired bootstrap: the fast one equals a slow one, and its intervals cover what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sweep.metrics.decode import REFERENCE, OperatingPoint
from sweep.metrics.score import EVENT_COUNTS
from sweep.metrics.writing import describe_metrics
from sweep.results.bootstrap import Difference, compare_scores
from sweep.training.event_scores import EventScores

EFFICIENCIES = (0.80, 0.83)
FP_RATES = (0.10, 0.12)


def make_scores(num_found: NDArray[np.int64], num_true: NDArray[np.int64], num_false, loss):
    """Make the scores of a network from what it found in each event."""
    nothing = [np.zeros_like(num_found)] * 5
    columns = (num_found, num_found, num_true - num_found, num_false, *nothing)
    return EventScores(np.stack(columns, axis=1).astype(np.int64), loss)


def draw_pair(rng: np.random.Generator, num_events: int) -> tuple[EventScores, EventScores]:
    """Draw two networks' scores on the same events, some of which are hard for both."""
    num_true = rng.poisson(5.0, num_events)
    hardness = rng.uniform(-0.15, 0.15, num_events)
    pair = []
    for efficiency, fp_rate in zip(EFFICIENCIES, FP_RATES, strict=True):
        found = rng.binomial(num_true, efficiency + hardness)
        loss = 0.03 + 0.01 * hardness + rng.normal(0.0, 0.002, num_events) + 0.1 * (1 - efficiency)
        pair.append(make_scores(found, num_true, rng.poisson(fp_rate, num_events), loss))
    return pair[0], pair[1]


def compare_slowly(
    a: EventScores, b: EventScores, num_resamples: int, seed: int
) -> list[tuple[float, float, float]]:
    """Draw the events again one resample at a time, and give the three differences of each."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(num_resamples):
        chosen = rng.integers(len(a), size=len(a))
        metrics = []
        for scores in (a, b):
            found, _, missed, false_positives = (
                sum(int(scores.counts_NK[event, column]) for event in chosen) for column in range(4)
            )
            loss = sum(float(scores.loss_N[event]) for event in chosen)
            metrics.append((loss / len(a), found / (found + missed), false_positives / len(a)))
        rows.append(tuple(second - first for first, second in zip(*metrics, strict=True)))
    return rows


def test_fast_bootstrap_equals_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the resamples are drawn a few at a time."""
    monkeypatch.setattr("sweep.training.event_scores._NUM_HELD", 350)
    a, b = draw_pair(np.random.default_rng(3), 50)
    found = compare_scores(a, b, num_resamples=40, seed=9)
    slow = np.array(compare_slowly(a, b, 40, 9))
    for column, difference in enumerate(found.values()):
        for interval, confidence in (
            (difference.interval_68, 0.6827),
            (difference.interval_95, 0.95),
        ):
            tail = (1 - confidence) / 2
            assert interval == pytest.approx(np.quantile(slow[:, column], [tail, 1 - tail]))


def test_networks_with_chosen_settings_are_compared_with_them() -> None:
    """Their efficiency at a fixed rate has the interval that their efficiency has."""
    point = OperatingPoint(REFERENCE, 0.7, 0.9)
    a, b = (replace(one, operating=point) for one in draw_pair(np.random.default_rng(3), 50))
    found = compare_scores(a, b, num_resamples=40, seed=9)
    assert found["efficiency_at_fp"] == found["efficiency"]


def test_values_are_those_of_the_whole_set() -> None:
    """Each metric is the score's, and the difference is B minus A."""
    a, b = draw_pair(np.random.default_rng(4), 80)
    found = compare_scores(a, b, num_resamples=10, seed=1)
    for name, difference in found.items():
        assert difference.a == pytest.approx(describe_metrics(a.score)[name])
        assert difference.b == pytest.approx(describe_metrics(b.score)[name])
        assert difference.value == difference.b - difference.a


def test_intervals_cover_the_true_difference_as_often_as_they_say() -> None:
    """In 200 simulated comparisons, for a ratio of sums and for a mean (three sigma are 10 %)."""
    rng = np.random.default_rng(5)
    truth = {
        "efficiency": EFFICIENCIES[1] - EFFICIENCIES[0],
        "fp_rate": FP_RATES[1] - FP_RATES[0],
        "validation_loss": -0.1 * (EFFICIENCIES[1] - EFFICIENCIES[0]),
    }
    covered = {name: [0, 0] for name in truth}
    for seed in range(200):
        found = compare_scores(*draw_pair(rng, 150), num_resamples=100, seed=seed)
        for name, difference in found.items():
            for place, (low, high) in enumerate((difference.interval_68, difference.interval_95)):
                covered[name][place] += low <= truth[name] <= high
    for narrow, wide in covered.values():
        assert 0.56 < narrow / 200 < 0.80
        assert 0.88 < wide / 200 < 0.995


def test_pairing_makes_use_of_the_same_events() -> None:
    """Shuffled against each other, the same networks are told apart less well."""
    a, b = draw_pair(np.random.default_rng(6), 400)
    order = np.random.default_rng(7).permutation(400)
    shuffled = EventScores(b.counts_NK[order], b.loss_N[order])
    paired = compare_scores(a, b, num_resamples=500, seed=1)["efficiency"]
    apart = compare_scores(a, shuffled, num_resamples=500, seed=1)["efficiency"]
    assert paired.value == pytest.approx(apart.value)
    width, width_apart = (high - low for low, high in (paired.interval_68, apart.interval_68))
    assert width < 0.95 * width_apart


def test_same_seed_same_interval() -> None:
    """And another seed another one."""
    a, b = draw_pair(np.random.default_rng(8), 60)
    first, again, other = (compare_scores(a, b, num_resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_network_does_not_differ_from_itself() -> None:
    """Nor is zero beyond chance; without true peaks efficiency is 0, as everywhere."""
    a, _ = draw_pair(np.random.default_rng(9), 30)
    for difference in compare_scores(a, a, num_resamples=50, seed=1).values():
        assert (difference.value, difference.interval_95) == (0.0, (0.0, 0.0))
        assert not difference.is_beyond_chance
    nothing = EventScores(np.zeros((3, len(EVENT_COUNTS)), dtype=np.int64), np.zeros(3))
    found = compare_scores(nothing, nothing, num_resamples=5, seed=1)["efficiency"]
    assert (found.a, found.interval_68) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize(
    ("interval", "beyond"),
    [((0.01, 0.02), True), ((-0.02, -0.01), True), ((-0.01, 0.02), False), ((0.0, 0.02), False)],
)
def test_beyond_chance_is_an_interval_without_zero(
    interval: tuple[float, float], beyond: bool
) -> None:
    """At 95 %."""
    assert Difference(0.8, 0.81, (0.0, 0.0), interval).is_beyond_chance is beyond

"""When a further trial does not pay."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from sweep.config import PrunerConfig, SearchConfig
from sweep.models.space import Float
from sweep.search.draw import Outlook
from sweep.search.flatness import NUM_AGREEING, explain_flatness
from sweep.search.mixed import MixedSampler
from sweep.search.proposal import Prospect
from sweep.search.strategy import build_sampler, choose_sampler
from sweep.search.suggestion import fix_point, suggest
from sweep.storage.studies import begin_trial

SPACE = {"lr": Float(1e-3, 1e-1, "log")}
OUTLOOK = Outlook(num_epochs=1, null_loss=0.1)


def expect(*gains: float) -> list[Prospect]:
    """Give prospects of these gains, in deviations between trainings."""
    return [Prospect(np.zeros(1), 0.01 * gain, 0.01) for gain in gains]


@pytest.mark.parametrize(
    ("gains", "num_begun", "is_flat"),
    [
        ((0.1, 0.1, 0.1), 30, True),
        ((0.1, 0.1, 0.4), 30, False),  # not yet for so many in a row
        ((0.3, 0.3, 0.3), 30, True),  # less than its thirtieth part of the cost is worth
        ((0.3, 0.3, 0.3), 40, False),  # a fortieth part is less
        ((0.1, 0.1, 0.1), 400, True),  # however little a trial costs
        ((0.1, 0.1, 0.1), 15, False),  # the model has seen too few
        ((0.1, 0.1), 30, False),
    ],
)
def test_gain_is_held_against_noise_and_cost(
    gains: tuple[float, ...], num_begun: int, *, is_flat: bool
) -> None:
    """A search is flat where none of its last trials had anything to gain that pays."""
    assert (explain_flatness(expect(*gains), num_begun) is not None) == is_flat


@pytest.mark.parametrize(("slope", "is_flat"), [(0.0, True), (0.5, False)])
def test_model_tells_a_plain_from_a_slope(slope: float, *, is_flat: bool) -> None:
    """Where no place is better than another nothing is to be gained; on the way down there is."""
    study, rng = optuna.create_study(), np.random.default_rng(3)
    search = SearchConfig(sampler=choose_sampler("mixed"), pruner=PrunerConfig(name="none"))
    for slot in range(20):
        study.sampler = build_sampler(search, SPACE, slot, OUTLOOK)
        point = {"lr": 10 ** (-3 + 1.2 * slot / 20)}  # the better end is still to be seen
        trial = begin_trial(study, slot, fix_point(point, SPACE), is_first=True)
        suggest(trial, SPACE, point)
        loss = 0.03 * (point["lr"] / 1e-3) ** -slope * np.exp(0.02 * rng.standard_normal())
        trial.report(loss, 1)
        study.tell(trial, loss)
    sampler = build_sampler(search, SPACE, 20, OUTLOOK)
    assert isinstance(sampler, MixedSampler)
    prospects = sampler.ask_prospects(study, NUM_AGREEING)
    assert len(prospects) == NUM_AGREEING
    assert (explain_flatness(prospects, 20) is not None) == is_flat

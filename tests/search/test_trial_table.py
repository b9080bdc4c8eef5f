"""What is kept of a study's trials is what a new look at all of them gives."""

from __future__ import annotations

import random

import numpy as np
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.search.draw import Outlook
from sweep.search.trial_table import TrialTable
from sweep.storage.studies import SLOT_KEY

OUTLOOK = Outlook(num_epochs=4, null_loss=0.1, center_slot=3)


def make_trial(number: int, rng: random.Random) -> FrozenTrial:
    """Make a trial somewhere on its way; some lie outside the space or have no value yet."""
    state = rng.choice(list(TrialState))
    trial = create_trial(
        state=state,
        value=0.1 if state == TrialState.COMPLETE else None,
        system_attrs={SLOT_KEY: number},
        intermediate_values={epoch: rng.random() for epoch in range(1, rng.randrange(1, 6))},
    )
    trial.number = number
    if rng.random() < 0.9:
        trial.params = {"lr": rng.choice([rng.random(), 0.5, 1.5])}
        trial.distributions = {"lr": FloatDistribution(0.0, 1.0)}
    return trial


def test_rows_that_stay_are_those_of_a_new_look() -> None:
    """Whatever trials are replaced, begun, taken out, or go on in place while they run."""
    rng = random.Random(2)
    kept, trials = TrialTable(["lr"], OUTLOOK), [make_trial(number, rng) for number in range(9)]
    for _step in range(60):
        for row in rng.sample(range(len(trials)), 3):
            trials[row] = make_trial(row, rng)
        for trial in trials:
            if trial.state == TrialState.RUNNING:
                trial.intermediate_values[4] = rng.random()
        trials = trials[: rng.randrange(5, 12)]
        trials += [make_trial(number, rng) for number in range(len(trials), rng.randrange(5, 12))]
        new = TrialTable(["lr"], OUTLOOK)
        kept.update(trials)
        new.update(trials)
        row_N = kept.list_inside(but=1)
        assert row_N.tolist() == new.list_inside(but=1).tolist()
        for mine, theirs in zip(
            *(vars(one.see(row_N)).values() for one in (kept, new)), strict=True
        ):
            assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
        assert np.array_equal(kept.find_center(row_N), new.find_center(row_N), equal_nan=False)
        for place in (0.5, 0.25):
            assert kept.has({"lr": place}, row_N) == new.has({"lr": place}, row_N)

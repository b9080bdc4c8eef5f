"""When a further trial does not pay: the rule behind `--stop-when-flat`.

A model of all that was seen says how much better than the best one a trial is expected to be where
it promises most. That is measured by how much two trainings of one configuration differ, since what
is small beside it no confirmation can show, and held against the cost: a trial adds to a search of
n trials one part of n. The last trials have to agree, for a model changes its mind with each.
"""

from __future__ import annotations

from collections.abc import Sequence

from sweep.search.proposal import Prospect

NUM_LEAST = 16
"""Trials before the model's word counts: it has seen twice as many as it needs to propose."""
NUM_AGREEING = 3
"""Trials in a row after each of which a further one did not pay."""
RETURN = 10.0
"""What a trial has to gain, in standard deviations between trainings, for its share of the cost."""
LEAST_GAIN = 0.2
"""And at least so much of one, whatever it costs. Both were chosen on recorded curves
(docs/SEARCH.md)."""


def gather_prospects(asked: Sequence[Sequence[Prospect]]) -> list[Prospect]:
    """Give, of what several models expect at each moment, what promises the most."""
    return [max(one, key=_measure_gain) for one in zip(*asked, strict=False)]


def _measure_gain(prospect: Prospect) -> float:
    """Measure a gain in standard deviations between trainings."""
    return prospect.gain / max(prospect.noise, 1e-12)


def explain_flatness(prospects: Sequence[Prospect], num_begun: int) -> str | None:
    """Say why a further trial does not pay; None where it does.

    Args:
        prospects: What a model expects of it now, and expected before each of the last trials.
        num_begun: Trials of the search so far.
    """
    least = max(LEAST_GAIN, RETURN / max(1, num_begun))
    gains = [_measure_gain(one) for one in prospects[:NUM_AGREEING]]
    if num_begun < NUM_LEAST or len(gains) < NUM_AGREEING or max(gains) >= least:
        return None
    return (
        f"after {num_begun} trials a further one is expected to gain {gains[0]:.2f} of what two "
        f"trainings of one configuration differ by, less than the {least:.2f} that pay"
    )

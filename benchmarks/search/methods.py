"""The ways to search that are compared, each with the settings its own library gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import optuna
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from sweep.plan.confirmation_plan import SHARE

GRACE = 2
RAY_FACTOR, RAY_GRACE = 4, 1


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        sampler: Of the product by name, or Optuna's own.
        pruner: Optuna's.
        stop: Says by the curves of all trials and that of one whether it ends after its last epoch.
            Where there is neither, trials pause at rungs.
        eta: Reduction factor of the rungs.
        is_plain: Whether the best of those that came to the first rung go to the end at once.
        stops_when_flat: Whether no trial begins any more where it is not expected to pay.
        knows_ends: Whether trials are compared at rungs by what their configurations come to in
            the mean, which nobody knows: no pruner can do better.
        confirmed_share: Of a search's epochs, so many more for a confirmation, whose winner is
            selected, as `sweep run` has them; the epochs are those of both. None for no
            confirmation.
    """

    sampler: str | Callable[[int], optuna.samplers.BaseSampler]
    pruner: Callable[[], optuna.pruners.BasePruner] | None = None
    stop: Callable[[Sequence[Sequence[float]], Sequence[float]], bool] | None = None
    eta: int = 2
    is_plain: bool = False
    stops_when_flat: bool = False
    knows_ends: bool = False
    confirmed_share: float | None = None

    @property
    def is_pausing(self) -> bool:
        """Whether trials pause at rungs."""
        return self.pruner is None and self.stop is None

    def count_trials(self, num_epochs: int, rungs: Sequence[int]) -> int:
        """Count the trials that spend so many epochs; without an end where trials follow."""
        if not self.is_pausing:
            return num_epochs
        mean, share = float(rungs[0]), 1.0
        for before, rung in pairwise(rungs):
            share /= self.eta
            mean += share * (rung - before)
        return round(num_epochs / mean)


def build_tpe(seed: int) -> optuna.samplers.BaseSampler:
    """Build Optuna's default sampler."""
    return optuna.samplers.TPESampler(seed=seed)


def stop_as_ray(curves: Sequence[Sequence[float]], curve: Sequence[float]) -> bool:
    """Stop as Ray Tune's `AsyncHyperBandScheduler` does with its defaults.

    At a rung a trial ends that is below the best share of those that came there before it (ray
    2.60, python/ray/tune/schedulers/async_hyperband.py, `_Bracket.on_result` and `cutoff`).
    """
    rung = RAY_GRACE
    while rung < len(curve):
        rung *= RAY_FACTOR
    values = [other[rung - 1] for other in curves if other is not curve and len(other) >= rung]
    if rung != len(curve) or not values:
        return False
    return bool(curve[-1] > np.quantile(values, 1 / RAY_FACTOR))


METHODS: Mapping[str, Method] = {
    "random": Method("random", NopPruner),
    "optuna": Method(build_tpe, MedianPruner),
    "tpe+halving": Method(build_tpe, SuccessiveHalvingPruner),
    "tpe+hyperband": Method(build_tpe, HyperbandPruner),
    "ray asha": Method("random", stop=stop_as_ray),
    "i-epochs": Method("random", eta=12, is_plain=True),
    "tpe+rungs": Method("tpe"),
    "ours": Method("mixed"),
    "ours, knowing": Method("mixed", knows_ends=True),
    "ours, confirmed": Method("mixed", confirmed_share=SHARE),
    "ours, confirmed more": Method("mixed", confirmed_share=0.6),
    "optuna, confirmed": Method(build_tpe, MedianPruner, confirmed_share=SHARE),
    "ours, flat": Method("mixed", stops_when_flat=True),
}
"""Each by the name that the table gives it."""

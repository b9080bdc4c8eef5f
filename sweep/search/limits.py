"""What a network may cost to be called the best, and what of it is too much.

Parameters and latency are known before a network trains, so that one beyond its limit is refused
before that; false positives are those of each epoch, and an epoch within the limit comes before all
others.
"""

from __future__ import annotations

from dataclasses import dataclass

from sweep.config import LimitsConfig
from sweep.metrics.score import get_score
from sweep.metrics.table import FP_RATE
from sweep.storage.tables import Epoch

OVER_LIMIT = "over_limit"
"""The outcome of a trial beyond a limit."""


@dataclass(frozen=True)
class Excess:
    """How far a quantity is beyond its limit, in its own unit: 0 or less within it.

    `told` says the quantity and its limit, for people.
    """

    name: str
    value: float
    told: str


def find_fp_excess(limits: LimitsConfig, epoch: Epoch | None) -> Excess | None:
    """Find how far an epoch's rate of false positives is beyond the limit; None without one."""
    if limits.max_fp is None or epoch is None:
        return None
    rate = FP_RATE.measure(get_score(epoch))
    told = f"{rate:.4g} false positives per event, expected at most {limits.max_fp:g} (--max-fp)"
    return Excess("max_fp", rate - limits.max_fp, told)


def find_size_excess(limits: LimitsConfig, num_parameters: int) -> Excess | None:
    """Find how far a network's parameters are beyond the limit; None without one."""
    most = limits.max_parameters
    if most is None:
        return None
    told = f"{num_parameters} parameters, expected at most {most} (--max-parameters)"
    return Excess("max_parameters", num_parameters - most, told)


def find_latency_excess(limits: LimitsConfig, latency_us: float) -> Excess | None:
    """Find how far a network's time for an event is beyond the limit; None without one."""
    most = limits.max_latency_us
    if most is None:
        return None
    told = f"{latency_us:.4g} us an event, expected at most {most:g} (--max-latency-us)"
    return Excess("max_latency_us", latency_us - most, told)


def is_within_fp(epoch: Epoch, max_fp: float | None) -> bool:
    """Say whether an epoch has no more false positives than allowed; True without a limit."""
    return max_fp is None or epoch.false_positives <= max_fp * epoch.events

"""Adam's betas: what every architecture starts from and searches."""

from __future__ import annotations

from collections.abc import Mapping

from sweep.models.space import Dimension, Float
from sweep.models.value import Value

DEFAULT_BETAS: Mapping[str, Value] = {"beta1": 0.9, "beta2": 0.999}
BETAS: Mapping[str, Dimension] = {
    "beta1": Float(0.8, 0.99, "one_minus_log"),
    "beta2": Float(0.9, 0.9999, "one_minus_log"),
}
SHORT_BETAS: Mapping[str, Dimension] = {
    "beta1": Float(0.5, 0.95, "one_minus_log"),
    "beta2": Float(0.9, 0.9995, "one_minus_log"),
}
"""For the few hundred steps of a training on a CPU, in which a long memory only delays."""

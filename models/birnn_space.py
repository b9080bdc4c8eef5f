"""The search space of `birnn`, beside its network in `sweep.models.birnn`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

_REPORT_SETTINGS = ((1e-3, 64), (5e-3, 64), (1e-3, 96), (5e-4, 96))

ARCHITECTURE = Architecture(
    name="birnn",
    network="sweep.models.birnn:BiRNN",
    rationale=(
        "Bins are neighbours in space, so a network that reads them in order, from both sides of "
        "a peak, can find it; the mean of both directions did better than a connected layer."
    ),
    num_parameters=136_218,
    defaults={
        "lr": 5e-4,
        **DEFAULT_BETAS,
        "hidden_size": 64,
        "num_layers": 2,
        "bins_per_step": 1,
        "head": "softplus",
        "activation": "none",
    },
    space={
        "lr": Float(1e-4, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((32, 64, 96)),
        "num_layers": Int(1, 3),
        "bins_per_step": Choice((1, 5, 10)),
        "head": Fixed("softplus"),
        "activation": Fixed("none"),
    },
    cpu_space={
        "lr": Float(3e-3, 4e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 32, step=8),
        "num_layers": Int(1, 3),
        "bins_per_step": Choice((5, 8, 10, 16)),
    },
    starting_points=tuple(
        {
            "lr": lr,
            "hidden_size": hidden_size,
            "num_layers": 2,
        }
        for lr, hidden_size in _REPORT_SETTINGS
    ),
    recommended={
        "lr": 1e-2,
        "hidden_size": 32,
        "num_layers": 1,
    },
    cpu_recommended={
        "lr": 1e-2,
        "beta1": 0.7,
        "beta2": 0.99,
        "hidden_size": 16,
        "num_layers": 2,
        "bins_per_step": 8,
    },
    report={"head": "identity", "activation": "none"},
)

"""The search space of `rcnn`, beside its network in `sweep.models.rcnn`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

_REPORT_SETTINGS = ((1e-3, 64, 2), (5e-4, 64, 2), (5e-4, 96, 2), (5e-4, 64, 3))

ARCHITECTURE = Architecture(
    name="rcnn",
    network="sweep.models.rcnn:RCNN",
    rationale=(
        "Stretches of about a hundred bins matter and an LSTM does not remember so far, so "
        "convolutions shorten the beam line to 500 steps before it and bring it back after it."
    ),
    num_parameters=657_039,
    defaults={
        "lr": 5e-4,
        **DEFAULT_BETAS,
        "hidden_size": 64,
        "num_layers": 2,
        "channels": 64,
        "head": "softplus",
        "activation": "relu",
    },
    space={
        "lr": Float(1e-4, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((16, 32, 64, 96)),
        "num_layers": Int(1, 3),
        "channels": Choice((32, 64)),
        "head": Fixed("softplus"),
        "activation": Fixed("relu"),
    },
    cpu_space={
        "lr": Float(1e-3, 5e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 24, step=8),
        "num_layers": Int(1, 2),
        "channels": Int(6, 14, step=2),
    },
    starting_points=tuple(
        {
            "lr": lr,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
        }
        for lr, hidden_size, num_layers in _REPORT_SETTINGS
    ),
    recommended={
        "lr": 5e-3,
        "hidden_size": 16,
        "num_layers": 1,
    },
    cpu_recommended={
        "lr": 8e-3,
        "beta1": 0.8,
        "beta2": 0.99,
        "hidden_size": 16,
        "num_layers": 1,
        "channels": 10,
    },
    report={"head": "identity", "activation": "none"},
)

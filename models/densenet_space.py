"""The search space of `densenet`, beside its network in `sweep.models.densenet`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="densenet",
    network="sweep.models.densenet:DenseNet",
    rationale=(
        "Every layer sees what all earlier ones found, at full length: nothing has to be carried "
        "on to be used late."
    ),
    num_parameters=163_280,
    defaults={
        "lr": 2e-3,
        **DEFAULT_BETAS,
        "hidden_size": 25,
        "num_layers": 7,
        "kernel_size": 15,
        "dropout": 0.0,
        "head": "softplus",
    },
    space={
        "lr": Float(2e-4, 2e-2, "log"),
        **BETAS,
        "hidden_size": Choice((8, 12, 25, 32)),
        "num_layers": Int(5, 8),
        "kernel_size": Choice((9, 15, 25)),
        "dropout": Float(0.0, 0.25),
        "head": Fixed("softplus"),
    },
    cpu_space={
        "lr": Float(1e-3, 2e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(4, 12, step=4),
        "num_layers": Int(4, 6),
        "dropout": Fixed(0.0),
    },
    recommended={
        "lr": 5e-3,
        "hidden_size": 8,
        "num_layers": 5,
    },
)

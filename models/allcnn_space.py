"""The search space of `allcnn`, beside its network in `sweep.models.allcnn`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="allcnn",
    network="sweep.models.allcnn:AllCNN",
    rationale=(
        "The best published one: track densities alone find the vertices, positions across the "
        "beam only correct them, so each branch can be small."
    ),
    num_parameters=54_138,
    defaults={
        "lr": 2e-3,
        **DEFAULT_BETAS,
        "hidden_size": 25,
        "num_layers": 6,
        "position_size": 20,
        "dropout": 0.0,
        "head": "softplus",
    },
    space={
        "lr": Float(2e-4, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((12, 16, 25, 40)),
        "num_layers": Int(4, 8),
        "position_size": Choice((10, 20, 40)),
        "dropout": Float(0.0, 0.15),
        "head": Fixed("softplus"),
    },
    cpu_space={
        "lr": Float(1e-3, 1e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 16, step=4),
        "num_layers": Int(3, 6),
        "position_size": Choice((8, 20)),
        "dropout": Fixed(0.0),
    },
    recommended={
        "lr": 3e-3,
        "hidden_size": 12,
        "num_layers": 5,
    },
)

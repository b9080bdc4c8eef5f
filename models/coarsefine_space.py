"""The search space of `coarsefine`, beside `sweep.models.coarsefine`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="coarsefine",
    network="sweep.models.coarsefine:CoarseFine",
    rationale=(
        "What is there can be told from few coarse steps, only where it is needs every bin; and "
        "no reflection or rotation across the beam changes where a vertex is."
    ),
    num_parameters=293_747,
    defaults={
        "lr": 5e-3,
        **DEFAULT_BETAS,
        "hidden_size": 32,
        "num_levels": 3,
        "num_deep": 2,
        "fine_size": 16,
        "positions": "invariant",
        "head": "softplus",
    },
    space={
        "lr": Float(5e-4, 2e-2, "log"),
        **BETAS,
        "hidden_size": Choice((16, 32, 48, 64)),
        "num_levels": Int(2, 5),
        "num_deep": Int(0, 4),
        "fine_size": Choice((8, 16, 32)),
        "positions": Fixed("invariant"),
        "head": Fixed("softplus"),
    },
    cpu_space={
        "lr": Float(2e-3, 4e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 24, step=4),
        "num_levels": Int(2, 4),
        "num_deep": Int(0, 3),
        "fine_size": Choice((4, 8, 16)),
    },
    recommended={
        "lr": 1e-2,
        "hidden_size": 16,
        "num_deep": 1,
        "fine_size": 16,
    },
)

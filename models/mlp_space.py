"""The search space of `mlp`, beside its network in `sweep.models.mlp`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="mlp",
    network="sweep.models.mlp:MLP",
    rationale=(
        "The baseline: every bin sees every feature of every bin, but what is learned in one "
        "place is not known in another."
    ),
    num_parameters=1_288_226,
    defaults={
        "lr": 1e-3,
        **DEFAULT_BETAS,
        "hidden_size": 64,
        "num_layers": 2,
        "head": "softplus",
        "activation": "relu",
    },
    space={
        "lr": Float(1e-5, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((64, 256, 1024)),
        "num_layers": Int(1, 4),
        "head": Fixed("softplus"),
        "activation": Fixed("relu"),
    },
    # Measured on one core: after 6 passes over 1,000 real-chain events, or 10 over 5,000, it is no
    # better than the null loss on new events, while it learns those of the training by heart. So
    # these ranges only keep it cheap.
    cpu_space={
        "lr": Float(1e-4, 5e-3, "log"),
        "hidden_size": Choice((32, 64, 128)),
        "num_layers": Int(1, 3),
    },
    report={"head": "identity", "activation": "relu"},
)

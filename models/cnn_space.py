"""The search space of `cnn`, beside its network in `sweep.models.cnn`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="cnn",
    network="sweep.models.cnn:CNN",
    rationale=(
        "Strided convolutions see a wide stretch of the beam line with a small kernel, as networks "
        "that find a sound in a recording do; transposed ones bring back every bin."
    ),
    num_parameters=1_080_067,
    defaults={
        "lr": 1e-3,
        **DEFAULT_BETAS,
        "hidden_size": 64,
        "num_layers": 4,
        "head": "softplus",
        "activation": "relu",
    },
    space={
        "lr": Float(1e-4, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((16, 32, 64, 96)),
        "num_layers": Int(2, 5),
        "head": Fixed("softplus"),
        "activation": Fixed("relu"),
    },
    # Of the recorded 60 configurations the best 31 have 2 or 3 layers, and one with 1 hardly
    # learns (benchmarks/search/README.md). A processor takes eight numbers at a time: a step takes
    # longer with 28 channels than with 32, with 12 than with 16, and learns no more.
    cpu_space={
        "lr": Float(2e-3, 1.5e-1, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 32, step=8),
        "num_layers": Int(2, 3),
    },
    starting_points=tuple(
        {
            "lr": lr,
            "beta1": beta1,
            "beta2": beta2,
            "hidden_size": 64,
            "num_layers": 4,
        }
        for lr, beta1, beta2 in ((1e-3, 0.9, 0.999), (5e-4, 0.95, 0.9995), (1e-3, 0.9, 0.9))
    ),
    recommended={
        "lr": 5e-3,
        "hidden_size": 16,
        "num_layers": 3,
    },
    cpu_recommended={
        "lr": 3e-2,
        "beta1": 0.8,
        "beta2": 0.99,
        "hidden_size": 24,
        "num_layers": 2,
    },
    report={"head": "identity", "activation": "none"},
)

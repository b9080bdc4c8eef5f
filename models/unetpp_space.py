"""The search space of `unetpp`, beside its network in `sweep.models.unetpp`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="unetpp",
    network="sweep.models.unetpp:UNetPlusPlus",
    rationale=(
        "A U-Net whose shortcuts are refined on their way, so that what the encoder hands over is "
        "nearer to what the decoder joins it with."
    ),
    num_parameters=767_619,
    defaults={
        "lr": 2e-3,
        **DEFAULT_BETAS,
        "hidden_size": 64,
        "upsample": "linear",
        "dropout": 0.0,
        "head": "softplus",
        "activation": "relu",
    },
    space={
        "lr": Float(2e-4, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((12, 16, 32, 64)),
        "upsample": Choice(("transpose", "linear", "pixel_shuffle")),
        "dropout": Float(0.0, 0.25),
        "head": Fixed("softplus"),
        "activation": Fixed("relu"),
    },
    cpu_space={
        "lr": Float(1e-3, 2e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 16, step=4),
        "dropout": Fixed(0.0),
    },
    recommended={
        "lr": 5e-3,
        "hidden_size": 12,
    },
)

"""The search space of `unet`, beside its network in `sweep.models.unet`; loads no torch."""

from __future__ import annotations

from sweep.models.adam import BETAS, DEFAULT_BETAS, SHORT_BETAS
from sweep.models.architecture import Architecture
from sweep.models.space import Choice, Fixed, Float, Int

ARCHITECTURE = Architecture(
    name="unet",
    network="sweep.models.unet:UNet",
    rationale=(
        "PV-Finder's best family: it sees where a vertex is at full length and what is around it "
        "at a sixteenth, and joins both at every length between."
    ),
    num_parameters=250_435,
    defaults={
        "lr": 2e-3,
        **DEFAULT_BETAS,
        "hidden_size": 64,
        "widening": 1.0,
        "first_kernel_size": 25,
        "skip": "concat",
        "upsample": "linear",
        "dropout": 0.0,
        "num_features": 4,
        "head": "softplus",
        "activation": "relu",
    },
    space={
        "lr": Float(2e-4, 1e-2, "log"),
        **BETAS,
        "hidden_size": Choice((16, 32, 64)),
        "widening": Choice((1.0, 1.4)),
        "first_kernel_size": Choice((9, 25)),
        "skip": Choice(("concat", "add")),
        "upsample": Choice(("transpose", "linear", "pixel_shuffle")),
        "dropout": Float(0.0, 0.25),
        "num_features": Fixed(4),
        "head": Fixed("softplus"),
        "activation": Fixed("relu"),
    },
    cpu_space={
        "lr": Float(1e-3, 2e-2, "log"),
        **SHORT_BETAS,
        "hidden_size": Int(8, 16, step=4),
        "first_kernel_size": Choice((5, 9)),
        "dropout": Fixed(0.0),
    },
    recommended={
        "lr": 5e-3,
        "hidden_size": 16,
        "widening": 1.4,
        "first_kernel_size": 9,
    },
)

"""What `sweep models` tells of the architectures."""

from __future__ import annotations

from typing import Any

from sweep.models import ARCHITECTURES, Architecture, count_parameters
from sweep.plan.network import check_name, load_model


def describe_models(name: str | None) -> list[dict[str, Any]]:
    """Describe the architectures of this project, or one of any kind.

    Returns:
        For each: `name`; `parameters` of the network at the default settings; `space` and
        `cpu_space` as texts that `--set` takes; `starting_points` of the report; `recommended`
        and `cpu_recommended`, tried after them; `defaults`; `rationale`.

    Raises:
        ModelError: when there is none of that name.
    """
    if name:
        check_name(name)
    described = []
    for model in [name] if name else ARCHITECTURES:
        architecture = load_model(model).architecture
        described.append(
            {
                "name": architecture.name,
                "parameters": _count_parameters(architecture),
                "space": {k: str(v) for k, v in architecture.select_space(False).items()},
                "cpu_space": {k: str(v) for k, v in architecture.select_space(True).items()},
                "starting_points": [dict(point) for point in architecture.starting_points],
                "recommended": dict(architecture.recommended),
                "cpu_recommended": dict(architecture.select_recommended(on_cpu=True)),
                "defaults": dict(architecture.defaults),
                "rationale": architecture.rationale,
            }
        )
    return described


def _count_parameters(architecture: Architecture) -> int:
    """Give the parameters at the default settings; where nobody says them, the network is built."""
    if architecture.num_parameters is not None:
        return architecture.num_parameters
    from sweep.results.evaluation import build_network  # late: it loads torch

    return count_parameters(build_network(architecture, architecture.defaults))

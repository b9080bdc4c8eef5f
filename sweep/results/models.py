"""What `sweep models` tells of the architectures."""

from __future__ import annotations

from typing import Any

from sweep.models import ARCHITECTURES, count_parameters
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
    from sweep.results.evaluation import build_network  # late: it loads torch

    described = []
    for model in [name] if name else ARCHITECTURES:
        architecture = load_model(model).architecture
        network = build_network(architecture, architecture.defaults)
        described.append(
            {
                "name": architecture.name,
                "parameters": count_parameters(network),
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

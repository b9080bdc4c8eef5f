"""What an epoch of each architecture costs in seconds, so that all may have as many.

It is measured once, where the sweep is created, and kept: what a trial comes to then depends on no
clock. An epoch of a slower architecture has fewer events, others each time, so that rungs are at
the same epochs for all, and at about equal seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sweep.config import SweepConfig
from sweep.data.splits import Split
from sweep.errors import ModelError, summarise_fault
from sweep.models import Architecture
from sweep.models.value import get_number
from sweep.plan.network import is_own
from sweep.plan.space import read_space
from sweep.search.suggestion import list_ends

if TYPE_CHECKING:
    import torch

NUM_BATCHES = 4
"""Of a training that is timed, in its second pass: the first one sets things up."""
VALIDATION_SHARE = 1 / 3
"""Time for an event of validation, in that of training it: forward alone, and its peaks."""
LEAST_SHARE = 1 / 8
"""Of the training events that an epoch has at least, however slow the architecture."""


def fit_epochs(
    configs: Sequence[SweepConfig], networks: Mapping[str, Architecture], split: Split
) -> list[int]:
    """Fit the events of an epoch of each architecture to the seconds of the fastest one's.

    Args:
        configs: Of the architectures, each planned as if alone.
        networks: By their labels.
        split: The sweep's events.

    Returns:
        Training events of an epoch, in the order of the configs: all for the fastest.

    Raises:
        ModelError: when a network cannot be trained.
    """
    from sweep.machine.device import choose_device, open_device  # late: they load torch

    device = open_device("cpu") if configs[0].profile == "cpu" else choose_device()
    paces = [_try_pace_s(one, networks[one.label], split, device) for one in configs]
    num_train, validation = len(split.train), VALIDATION_SHARE * len(split.validation)
    fitted = [(num_train + validation) * min(paces) / pace - validation for pace in paces]
    return [max(round(LEAST_SHARE * num_train), 2, round(number)) for number in fitted]


def _try_pace_s(
    config: SweepConfig, architecture: Architecture, split: Split, device: torch.device
) -> float:
    """Measure the pace of a network that may do anything, where it is a person's own."""
    from sweep.machine.device import open_device  # late: they load torch
    from sweep.models.rehearsal import find_ending

    if not is_own(config.model):
        return _measure_pace_s(config, architecture, split, device)
    cpu = open_device("cpu")
    ending = find_ending(lambda: _measure_pace_s(config, architecture, split, cpu))
    said = f"it ends the process: {ending}"
    if ending is None:
        try:
            return _measure_pace_s(config, architecture, split, device)
        except (Exception, SystemExit) as exc:
            said = summarise_fault(exc)
    raise ModelError(
        f"model: {config.label} cannot be timed, got {said}, expected a training of some batches; "
        "correct it, or leave --cost out"
    )


def _measure_pace_s(
    config: SweepConfig, architecture: Architecture, split: Split, device: torch.device
) -> float:
    """Measure the seconds for a training event, validation being counted as a part of one."""
    import torch

    from sweep.training.trainer import Trainer

    point = config.starting_points[0] if config.starting_points else {}
    space = read_space(config)
    params = {n: architecture.defaults.get(n, list_ends(d)[0]) for n, d in space.items()} | point
    num_train = min(len(split.train), NUM_BATCHES * int(get_number(params["batch_size"])))
    num_validation = max(1, len(split.validation) * num_train // len(split.train))
    few = replace(
        split,
        train=split.train.take(np.arange(num_train)),
        validation=split.validation.take(np.arange(num_validation)),
    )
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker for a CPU core has
    try:
        with torch.random.fork_rng(devices=[]):
            network = architecture.build_trial(params)
            recipe = config.recipe.model_copy(update={"epochs": 2})
            trainer = Trainer(network, few, recipe, params, seed=0, device=device)
            *_, last = trainer.run()
    finally:
        torch.set_num_threads(num_threads)
    return last.duration_s / (num_train + VALIDATION_SHARE * num_validation)

"""The same search with Ray Tune: ASHA and OptunaSearch, trials side by side on one thread each.

    python benchmarks/peer_ray.py --model cnn --trials 50 --out curve.jsonl

It trains as benchmarks/peer_script.py does and needs `pip install 'ray[tune]'`. A trial that ASHA
stopped has not come to its end and is no line of the file.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Mapping
from functools import partial
from typing import Any

import optuna
import ray
import torch
from peer_script import Log, Task, Training, open_task, parse
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from sweep.models.space import Dimension
from sweep.search.suggestion import suggest


class Ended(tune.Callback):
    """Writes the trials that came to their end as they do."""

    def __init__(self, log: Log, epochs: int) -> None:
        self._log, self._epochs = log, epochs

    def on_trial_complete(
        self,
        iteration: int,  # noqa: ARG002
        trials: list[Any],  # noqa: ARG002
        trial: Any,
        **info: Any,  # noqa: ARG002
    ) -> None:
        result = trial.last_result
        if result["training_iteration"] >= self._epochs:
            self._log.add(result["loss"], result["params"])


def train(config: dict[str, Any], task: Task) -> None:
    """Train one trial; a value of a fixed dimension is none of Ray's."""
    torch.set_num_threads(1)
    params = suggest(optuna.trial.FixedTrial(config), task.space, {})
    for loss in Training(task.build(params), task, params).run():
        tune.report({"loss": loss, "params": params})


def define(space: Mapping[str, Dimension], trial: optuna.Trial) -> None:
    """Ask Optuna for a value of each hyperparameter, as Ray has it define a space."""
    suggest(trial, space, {})


def search(task: Task, asked: argparse.Namespace, folder: str) -> tune.Tuner:
    """Make the search, with Ray's defaults but for its number of trials and threads."""
    sampler = OptunaSearch(
        space=partial(define, task.space), metric="loss", mode="min", seed=asked.seed
    )
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(train, task=task), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(sampler, max_concurrent=asked.threads),
            scheduler=ASHAScheduler(metric="loss", mode="min", max_t=asked.epochs),
            num_samples=asked.trials,
        ),
        run_config=tune.RunConfig(
            storage_path=folder, verbose=0, callbacks=[Ended(Log(asked.out), asked.epochs)]
        ),
    )


def main() -> None:
    asked = parse(__doc__.splitlines()[0]).parse_args()
    ray.init(num_cpus=asked.threads, log_to_driver=False, logging_level=logging.ERROR)
    task = open_task(asked.model, asked.events, asked.val_events, asked.epochs)
    with tempfile.TemporaryDirectory() as folder:
        search(task, asked, folder).fit()
    ray.shutdown()


if __name__ == "__main__":
    main()

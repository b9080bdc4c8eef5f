"""A sweep as a person writes it who has Optuna and no sweep service: one script, one process.

    python benchmarks/peer_script.py --model cnn --trials 50 --out curve.jsonl [--sampler random]

A DataLoader over tensors in memory, the networks, the loss and the loop over events as PV-Finder's
users write them, `study.optimize` with Optuna's defaults (TPE, MedianPruner) or random without
pruning. What it shares with a sweep of this program is what the comparison is not about: the
events, the ranges, and how a trial is trained (AdamW, clipping, a short rise of the rate, averaged
weights), here by PyTorch's own classes.

Each trial that came to its end is a line of the file: seconds since the start, loss, values.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from counting import count_events
from peer_networks import build_plain
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

from sweep.data.events import EventSet
from sweep.models.space import Dimension
from sweep.plan.plan import plan_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request
from sweep.plan.space import read_space
from sweep.search.suggestion import suggest

EPSILON = 1e-5
NUM_BINS = 4000


@dataclass(frozen=True)
class Task:
    """What is searched, and the events, in memory."""

    model: str
    space: Mapping[str, Dimension]
    epochs: int
    training: TensorDataset
    validation: TensorDataset

    def build(self, params: Mapping[str, Any]) -> nn.Module:
        return build_plain(self.model, params)


def open_task(model: str, events: int, val_events: int, epochs: int) -> Task:
    """Open what `sweep run` with these options trains on a CPU."""
    request = Request(model=model, events=events, val_events=val_events, epochs=epochs)
    plan = plan_sweep(request, CPU)
    return Task(
        model,
        read_space(plan.config),
        epochs,
        hold(plan.split.train),
        hold(plan.split.validation),
    )


def hold(events: EventSet) -> TensorDataset:
    x_NCL, y_NL = events.load(range(len(events)))
    return TensorDataset(torch.from_numpy(x_NCL).float(), torch.from_numpy(y_NL).float())


def ratio_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The loss of PV-Finder's `model/loss.py`, a mean over the events of a batch."""
    valid = ~torch.isnan(target)
    r = torch.abs((prediction[valid] + EPSILON) / (target[valid] + EPSILON))
    alpha = -torch.log(2 * r / (r**2 + 1))
    return torch.sum(alpha) / NUM_BINS / len(target)


class Training:
    """One network in training."""

    def __init__(self, network: nn.Module, task: Task, params: Mapping[str, Any]) -> None:
        self.network, self.task = network, task
        batch_size = int(params["batch_size"])
        self.batches = DataLoader(task.training, batch_size=batch_size, shuffle=True)
        self.judging = DataLoader(task.validation, batch_size=64)
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=params["lr"],
            betas=(params["beta1"], params["beta2"]),
            weight_decay=0.01,
        )
        num_rising = max(1, len(self.batches) // 2)
        self.rate = LambdaLR(self.optimizer, lambda step: min(1.0, (step + 1) / num_rising))
        self.average = AveragedModel(
            network,
            avg_fn=lambda mean, new, n: mean + (new - mean) * (1 - (1 - 1 / (n + 1)) ** 8),
            use_buffers=True,
        )

    def train_epoch(self) -> None:
        self.network.train()
        for x, y in self.batches:
            self.optimizer.zero_grad()
            ratio_loss(self.network(x), y).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.rate.step()
            self.average.update_parameters(self.network)

    def validate(self) -> float:
        """Give the loss; the counts are what a person looks at beside it."""
        self.average.eval()
        total, counts = 0.0, []
        with torch.no_grad():
            for x, y in self.judging:
                prediction = self.average(x)
                total += float(ratio_loss(prediction, y)) * len(y)
                counts.append(count_events(y.numpy(), prediction.numpy()))
        assert len(counts) == len(self.judging)
        return total / len(self.task.validation)

    def run(self) -> Iterator[float]:
        for _epoch in range(self.task.epochs):
            self.train_epoch()
            yield self.validate()


class Log:
    """Writes each trial that came to its end."""

    def __init__(self, path: Path) -> None:
        self._path, self._began_s = path, time.time()
        path.write_text("")

    def add(self, loss: float, params: Mapping[str, Any]) -> None:
        line = {"wall_s": time.time() - self._began_s, "loss": loss, "params": dict(params)}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def optimize(task: Task, sampler: str, trials: int, seed: int, log: Log) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    is_random = sampler == "random"
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed) if is_random else None,
        pruner=optuna.pruners.NopPruner() if is_random else None,
    )

    def objective(trial: optuna.Trial) -> float:
        params = suggest(trial, task.space, {})
        loss = float("nan")
        for epoch, loss in enumerate(Training(task.build(params), task, params).run()):
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        log.add(loss, params)
        return loss

    study.optimize(objective, n_trials=trials)


def parse(description: str) -> argparse.ArgumentParser:
    """Make the parser of what all peers take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--events", type=int, default=CPU.num_train)
    parser.add_argument("--val-events", type=int, default=CPU.num_validation)
    parser.add_argument("--epochs", type=int, default=CPU.epochs)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="of the processor, in all")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def main() -> None:
    parser = parse(__doc__.splitlines()[0])
    parser.add_argument("--sampler", choices=("default", "random"), default="default")
    asked = parser.parse_args()
    log = Log(asked.out)
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    task = open_task(asked.model, asked.events, asked.val_events, asked.epochs)
    optimize(task, asked.sampler, asked.trials, asked.seed, log)


if __name__ == "__main__":
    main()

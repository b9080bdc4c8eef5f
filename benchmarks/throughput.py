"""Events a second of a CPU: this program's training beside a script's and beside the bare step.

    python benchmarks/throughput.py [--events 160] [--rounds 8] [--clock wall] [cnn rcnn ...]
    python benchmarks/throughput.py --profile cnn

All train the same network with the same batches in one process, turn by turn. `ours` is the
`Trainer`'s step on the batches that it serves, `script` that of benchmarks/peer_script.py on the
network as a person writes it, `shared` the same on the network as it is here, `bare` forward, loss,
backward, clipping and the fused optimiser on tensors in memory, in order, with no average of the
weights, on the network as it is here. Ratios are medians of the rounds, with quartiles. `validated`
is judging with the metrics, ours to the script's; the last column weighs both as an epoch of
700 + 400 events.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from peer_networks import build_plain, copy_weights
from peer_script import Task, Training, open_task
from torch import nn

from sweep.data.splits import Split
from sweep.machine.device import keep_memory
from sweep.models import ARCHITECTURES
from sweep.plan.plan import plan_sweep
from sweep.plan.profile import CPU
from sweep.plan.recipes import build_recipe
from sweep.plan.request import Request
from sweep.training.event_scores import score_each
from sweep.training.forward import predict_batches
from sweep.training.loss import compute_ratio_loss_B
from sweep.training.trainer import Trainer

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
DEVICE = torch.device("cpu")


def choose_params(name: str) -> dict[str, Any]:
    """Give the point that a sweep on a CPU tries first."""
    architecture = ARCHITECTURES[name]
    recommended = architecture.select_recommended(on_cpu=True)
    return {"batch_size": CPU.batch_size, **architecture.defaults, **recommended}


class Contest:
    """The trainings of one network, and what a turn of each takes."""

    def __init__(self, name: str, split: Split, task: Task, clock: Callable[[], float]) -> None:
        params = choose_params(name)
        torch.manual_seed(1)
        network = ARCHITECTURES[name].build(params)
        recipe = build_recipe("fast", 1000, 1000)
        own = copy.deepcopy(network)
        self.trainer = Trainer(own, split, recipe, params, seed=1, device=DEVICE)
        self.script = Training(copy_weights(network, build_plain(name, params)), task, params)
        self.shared = Training(copy.deepcopy(network), task, params)
        self.bare, self.batch_size = network, int(params["batch_size"])
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=params["lr"], weight_decay=0.01, fused=True
        )
        self.x_NCL, self.y_NL = task.training.tensors
        self.regions: list[Any] = []
        self.clock, self.epoch = clock, 0

    def train_ours(self) -> None:
        self.epoch += 1
        self.trainer.network.train()
        with self.trainer.player.open_lane():
            for given in self.trainer.train.shuffle(1, self.epoch):
                self.trainer.player(*given)

    def train_bare(self) -> None:
        self.bare.train()
        for first in range(0, len(self.y_NL), self.batch_size):
            part = slice(first, first + self.batch_size)
            self.optimizer.zero_grad(set_to_none=True)
            compute_ratio_loss_B(self.bare(self.x_NCL[part]), self.y_NL[part]).mean().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.bare.parameters(), 1.0)
            self.optimizer.step()

    def validate_ours(self) -> None:
        score_each(predict_batches(self.trainer.network, self.trainer.validation), self.regions)

    def take_turn(self) -> dict[str, float]:
        turn = {
            "ours": self.train_ours,
            "script": self.script.train_epoch,
            "shared": self.shared.train_epoch,
            "bare": self.train_bare,
            "ours validated": self.validate_ours,
            "script validated": self.script.validate,
        }
        return {name: self._take_time(action) for name, action in turn.items()}

    def _take_time(self, action: Callable[[], Any]) -> float:
        began_s = self.clock()
        action()
        return self.clock() - began_s


def compare(name: str, turns: Sequence[Mapping[str, float]], num_events: int) -> str:
    """Give a line of the table."""

    def describe(ratios: list[float]) -> str:
        low, middle, high = statistics.quantiles(ratios, n=4)
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"

    def weigh(turn: Mapping[str, float], who: str) -> float:
        return CPU.num_train * turn[who] + CPU.num_validation * turn[f"{who} validated"]

    speed = num_events / statistics.median(turn["ours"] for turn in turns)
    ratios = (
        [turn["script"] / turn["ours"] for turn in turns],
        [turn["shared"] / turn["ours"] for turn in turns],
        [turn["bare"] / turn["ours"] for turn in turns],
        [turn["script validated"] / turn["ours validated"] for turn in turns],
        [weigh(turn, "script") / weigh(turn, "ours") for turn in turns],
    )
    return f"| {name} | {speed:.0f} | {' | '.join(map(describe, ratios))} |"


def show_profile(contest: Contest) -> None:
    """Print where the time of our training goes, by PyTorch's operators."""
    contest.train_ours()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        contest.train_ours()
    found = profiler.key_averages()
    total = sum(one.self_cpu_time_total for one in found)
    print("| operator | share | calls |\n|---|---|---|")
    for one in sorted(found, key=lambda one: -one.self_cpu_time_total)[:12]:
        print(f"| {one.key} | {one.self_cpu_time_total / total:.0%} | {one.count} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("models", nargs="*", default=list(ARCHITECTURES))
    asked = parser.parse_args()
    keep_memory()  # as a worker does; it serves all three
    torch.set_num_threads(asked.threads)
    few = Request(model="cnn", events=asked.events, val_events=asked.events)
    split = plan_sweep(few, CPU).split
    task = open_task("cnn", asked.events, asked.events, 1)
    print(f"{asked.events} events, {asked.threads} threads, {asked.clock} clock", flush=True)
    if not asked.profile:
        columns = "trained, events/s", "to script", "to shared", "to bare", "validated", "an epoch"
        print("| network |", " | ".join(columns), "|")
        print("|---" * (len(columns) + 1) + "|", flush=True)
    for name in asked.models:
        contest = Contest(name, split, task, CLOCKS[asked.clock])
        if asked.profile:
            print(f"\n{name}")
            show_profile(contest)
            continue
        turns = [contest.take_turn() for _round in range(asked.rounds + 1)][1:]
        print(compare(name, turns, asked.events), flush=True)


if __name__ == "__main__":
    main()

"""What one GPU makes of a training: checks first, then speeds side by side, all as one table.

Every speed is that of the product's own `Trainer`, beside a bare loop and a bare recorded step that
are written here as a person would write them, on the same events in the same run.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import ARCHITECTURES
from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.splits import Split, pair_events
from sweep.data.toy import open_toy_events
from sweep.device import free_memory, full_precision, repeatable
from sweep.plan.recipes import build_recipe
from sweep.training import batches
from sweep.training import trainer as trainer_module
from sweep.training.loss import compute_ratio_loss_B
from sweep.training.replay import Player
from sweep.training.trainer import InterruptedTrainingError, Trainer

GPU = torch.device("cuda")
BATCH_SIZE = 64
VALUES: dict[str, Any] = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.99, "batch_size": BATCH_SIZE}
BOUNDED = {"head": "softplus", "activation": "relu"}
NETWORKS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "cnn, 16 channels": ("cnn", {"hidden_size": 16, "num_layers": 3, **BOUNDED}),
    "cnn, the report's": ("cnn", {}),
    "rcnn, 16 cells": ("rcnn", {"hidden_size": 16, "num_layers": 1, **BOUNDED}),
    "rcnn, the report's": ("rcnn", {}),
    "birnn, the report's": ("birnn", {}),
    "mlp": ("mlp", {}),
}
SMALL = "cnn, 16 channels"
CHECKS: list[Callable[[Split], str]] = []


def check(function: Callable[[Split], str]) -> Callable[[Split], str]:
    """Have a function called among the checks; it says what it saw, or raises."""
    CHECKS.append(function)
    return function


def build(name: str) -> nn.Module:
    family, sizes = NETWORKS[name]
    return ARCHITECTURES[family].load_network()(**sizes)


def make_trainer(
    network: nn.Module | str,
    split: Split,
    epochs: int,
    *,
    is_replayed: bool = True,
    device: torch.device | None = None,
    seed: int = 5,
    values: Mapping[str, Any] = VALUES,
    **options: Any,
) -> Trainer:
    torch.manual_seed(seed)
    if isinstance(network, str):
        network = build(network)
    recipe = build_recipe("fast", epochs, epochs)
    trainer = Trainer(network, split, recipe, values, seed=seed, device=device or GPU, **options)
    if not is_replayed:
        trainer.player = Player(trainer.act, trainer.network, None)
    return trainer


def list_losses(trainer: Trainer) -> list[float]:
    return [loss for r in trainer.run() for loss in (r.train_loss, r.score.validation_loss or 0.0)]


def take(split: Split, num_train: int, num_validation: int) -> Split:
    """Take some events of each part; the first ones again where there are fewer."""
    chosen = (
        part.take(np.arange(count) % len(part))
        for part, count in ((split.train, num_train), (split.validation, num_validation))
    )
    return Split(*chosen)


def compare(first: list[float], second: list[float]) -> float:
    """Give the largest relative difference of two curves."""
    assert len(first) == len(second), (first, second)
    return max(abs(a - b) / abs(a) for a, b in zip(first, second, strict=True))


class Dropping(nn.Module):
    """Has random numbers of the device in it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build(SMALL)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x_BCL: Tensor) -> Tensor:
        return self.inner(self.dropout(x_BCL))


class Odd(Dropping):
    """A person's own network; what it does in a batch that cannot be recorded is `act`."""

    def __init__(self, act: Callable[[Odd, Tensor], None]) -> None:
        super().__init__()
        self.odd = act
        self.count = 0

    def forward(self, x_BCL: Tensor) -> Tensor:
        if self.training:
            self.odd(self, x_BCL)
        return super().forward(x_BCL)


def read_value(_self: Odd, x_BCL: Tensor) -> None:
    assert float(x_BCL.sum()) < 1e9


def count(self: Odd, _x_BCL: Tensor) -> None:
    self.count += 1


def wait_for_all(_self: Odd, _x_BCL: Tensor) -> None:
    mark = torch.cuda.Event()
    mark.record()
    mark.synchronize()


def refuse(_self: Odd, _x_BCL: Tensor) -> None:
    if torch.cuda.is_current_stream_capturing():
        raise ValueError("not while it is recorded")


def draw_otherwise(_self: Odd, x_BCL: Tensor) -> None:
    generator = torch.Generator(device=x_BCL.device)
    torch.rand(3, device=x_BCL.device, generator=generator)


@check
def check_replays_agree(split: Split) -> str:
    """Recorded, called and called again: losses after three epochs."""
    lines = []
    for name in (SMALL, "rcnn, 16 cells", "mlp", "dropout", "reflected"):
        network: Callable[[], Any] = {"dropout": Dropping, "reflected": lambda: SMALL}.get(
            name, lambda name=name: name
        )
        values = {**VALUES, "reflected_share": 0.5} if name == "reflected" else VALUES
        curves = []
        for is_replayed in (True, True, False, False):
            torch.manual_seed(5)
            curves.append(
                list_losses(
                    make_trainer(network(), split, 3, is_replayed=is_replayed, values=values)
                )
            )
        lines.append(
            f"{name}: recorded against called {compare(curves[0], curves[2]):.1e}, recorded twice "
            f"{compare(curves[0], curves[1]):.1e}, called twice {compare(curves[2], curves[3]):.1e}"
        )
        assert compare(curves[0], curves[2]) < 1e-6, curves
    return "largest relative difference of a loss in 3 epochs; " + "; ".join(lines)


@check
def check_it_records(split: Split) -> str:
    """The built-in networks are recorded, and nothing is said against it."""
    said = []
    others = set(ARCHITECTURES) - {family for family, _sizes in NETWORKS.values()}
    for name in [*NETWORKS, *sorted(others)]:
        network = name if name in NETWORKS else ARCHITECTURES[name].load_network()()
        start = time.monotonic()
        try:
            trainer = make_trainer(network, take(split, 6 * BATCH_SIZE, 64), 2)
            list_losses(trainer)
            number = str(trainer.player.num_recorded)
        except Exception as exc:
            number = repr(exc)[:200]
        said.append(f"{name}: {number} in {time.monotonic() - start:.1f} s")
        free_memory(GPU)
    assert all(": 1 in" in line for line in said), said
    return "recordings; " + "; ".join(said)


@check
def check_resumption(split: Split) -> str:
    """Interrupted in mid-epoch, through a file and the CPU, it goes on to the same losses."""
    lines = []
    for name in (SMALL, "rcnn, 16 cells", "dropout"):
        network: Callable[[], Any] = Dropping if name == "dropout" else lambda name=name: name
        torch.manual_seed(5)
        whole = list_losses(make_trainer(network(), split, 3))
        asked: list[bool] = []
        torch.manual_seed(5)
        broken = make_trainer(
            network(), split, 3, is_interrupted=lambda a=asked: a.append(True) or len(a) == 160
        )
        curve: list[float] = []
        try:
            for result in broken.run():
                curve += [result.train_loss, result.score.validation_loss or 0.0]
        except InterruptedTrainingError:
            pass
        path = Path(os.environ["SWEEP_CACHE"]) / "state.pt"
        torch.save(broken.capture(), path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        torch.manual_seed(77)
        resumed = make_trainer(network(), split, 3)
        resumed.restore(state)
        curve += list_losses(resumed)
        difference = compare(whole, curve)
        lines.append(f"{name}: {'equal to the bit' if whole == curve else f'{difference:.1e}'}")
        on_cpu = make_trainer(network(), split, 3, device=torch.device("cpu"))
        on_cpu.restore(copy.deepcopy(state))
        assert difference < 1e-6, (whole, curve)
    return "interrupted after some 160 questions, from a file; " + "; ".join(lines)


@check
def check_what_cannot_be_recorded(split: Split) -> str:
    """Networks of a person's own are called instead, and the GPU is sound afterwards."""
    said = []
    for act in (read_value, count, wait_for_all, refuse, draw_otherwise):
        few = take(split, 8 * BATCH_SIZE, 64)
        torch.manual_seed(5)
        trainer = make_trainer(Odd(act), few, 2)
        torch.manual_seed(5)
        called = list_losses(make_trainer(Odd(act), few, 2, is_replayed=False))
        torch.manual_seed(5)
        difference = compare(list_losses(trainer), called)
        said.append(f"{act.__name__}: {trainer.player.num_recorded} ({difference:.0e})")
        after = make_trainer(Dropping(), few, 2)
        list_losses(after)
        assert after.player.num_recorded == 1, f"after {act.__name__}"
    return "recordings, and difference from called; " + "; ".join(said)


@check
def check_events_from_the_host(split: Split) -> str:
    """Events that do not fit the GPU are copied into what a recording reads."""
    share, batches.RESIDENT_SHARE = batches.RESIDENT_SHARE, 0.0
    try:
        curve = list_losses(make_trainer(SMALL, split, 3))
    finally:
        batches.RESIDENT_SHARE = share
    difference = compare(curve, list_losses(make_trainer(SMALL, split, 3)))
    assert difference < 0.05
    return f"losses differ by {difference:.1e} from those of resident events"


@check
def check_interruption(split: Split) -> str:
    """How long a training goes on that was asked to end, and is then captured."""
    said = []
    for name in (SMALL, "birnn, the report's"):
        asked_at = time.monotonic() + (1.0 if name == SMALL else 3.0)
        trainer = make_trainer(
            name, split, 1000, is_interrupted=lambda t=asked_at: time.monotonic() > t
        )
        try:
            list_losses(trainer)
        except InterruptedTrainingError:
            trainer.capture()
        taken_s = time.monotonic() - asked_at
        said.append(f"{name}: {taken_s:.2f} s")
        assert taken_s < 0.5, said
    return "; ".join(said)


@check
def check_memory(split: Split) -> str:
    """Trainings one after the other leave nothing on the GPU."""
    few, left = take(split, 8 * BATCH_SIZE, 64), []
    for _ in range(8):
        list_losses(make_trainer(SMALL, few, 2))
        free_memory(GPU)
        left.append(torch.cuda.memory_reserved() >> 20)
    assert left[-1] <= left[2], left
    return f"MiB reserved after each of 8 trainings: {left}"


def time_trainer(trainer: Trainer, num_events: int, seconds: float) -> float:
    """Give the events a second of the epochs after the first one."""
    durations: list[float] = []
    for result in trainer.run():
        durations.append(result.duration_s)
        if sum(durations[1:]) > seconds:
            break
    return num_events * len(durations[1:]) / sum(durations[1:])


@dataclass
class Bare:
    """A step as a person would write it, on events of the GPU.

    Args:
        is_recorded: As a CUDA graph, or started operation by operation.
    """

    network: nn.Module
    x_NCL: Tensor
    y_NL: Tensor
    is_recorded: bool

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=torch.tensor(3e-3, device=GPU),
            fused=True,
            capturable=True,
        )
        self.means = [p.detach().clone() for p in self.network.parameters()]
        self.chosen = torch.zeros(BATCH_SIZE, dtype=torch.int64, device=GPU)
        self.total = torch.zeros((), dtype=torch.float64, device=GPU)

    def step(self) -> None:
        x_BCL, y_BL = self.x_NCL[self.chosen].float(), self.y_NL[self.chosen].float()
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            prediction_BL = self.network(x_BCL)
        loss_B = compute_ratio_loss_B(prediction_BL.float(), y_BL)
        self.optimizer.zero_grad(set_to_none=True)
        loss_B.mean().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.means, list(self.network.parameters()), 0.01)
        self.total += loss_B.detach().sum()

    def time(self, seconds: float) -> float:
        """Give the events a second."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
            play = self.step
            if self.is_recorded:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, stream=stream):
                    self.step()
                play = graph.replay
            order = torch.randperm(len(self.x_NCL), device=GPU).split(BATCH_SIZE)[:-1]
            torch.cuda.synchronize()
            start, num_done = time.monotonic(), 0
            while time.monotonic() - start < seconds:
                for part in order[:20]:
                    self.chosen.copy_(part)
                    play()
                    num_done += BATCH_SIZE
                torch.cuda.synchronize()
            return num_done / (time.monotonic() - start)


def measure_speed(split: Split, seconds: float) -> Iterator[str]:
    """Give a table: each network's events a second, trained and validated."""
    yield (
        "| network | parameters | trained | by any kernels | called step by step | bare loop "
        "| bare recorded step | trained / bare recorded | validated | validated / trained |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    x_BCL, y_BL = split.train.load(np.arange(min(2048, len(split.train))))
    x_NCL, y_NL = (torch.from_numpy(part).half().to(GPU) for part in (x_BCL, y_BL))
    for name in NETWORKS:
        size = {"birnn, the report's": 10, "mlp": 200, SMALL: 200}.get(name, 100) * BATCH_SIZE
        part = take(split, size, 2)
        trained, called = (
            time_trainer(make_trainer(name, part, 999, is_replayed=replayed), size, seconds)
            for replayed in (True, False)
        )
        trainer_module.repeatable = nullcontext
        free = time_trainer(make_trainer(name, part, 999), size, seconds)
        trainer_module.repeatable = repeatable
        size = 1000 if "birnn" in name else 5000
        part = take(split, BATCH_SIZE, size)
        validated = time_trainer(make_trainer(name, part, 999), size, seconds)
        bare = []
        for is_recorded in (False, True):
            try:
                bare.append(
                    Bare(build(name).to(GPU).train(), x_NCL, y_NL, is_recorded).time(seconds)
                )
            except RuntimeError:
                traceback.print_exc()
                bare.append(float("nan"))
            free_memory(GPU)
        number = sum(p.numel() for p in build(name).parameters())
        yield (
            f"| {name} | {number:,} | {trained:,.0f} | {free:,.0f} | {called:,.0f} "
            f"| {bare[0]:,.0f} | {bare[1]:,.0f} | {trained / bare[1]:.2f} | {validated:,.0f} "
            f"| {validated / trained:.2f} |"
        )


def measure_precision(split: Split, epochs: int = 6) -> Iterator[str]:
    """Give losses with bfloat16 and with float32, of the same seeds."""
    for name in (SMALL, "rcnn, 16 cells"):
        ends: dict[bool, list[float]] = {True: [], False: []}
        for seed in range(3):
            for is_mixed in ends:
                trainer = make_trainer(name, split, epochs, seed=seed)
                trainer.step.is_mixed = is_mixed
                with full_precision():
                    ends[is_mixed].append(list_losses(trainer)[-1])
        mixed, full = ends[True], ends[False]
        yield (
            f"{name}: bfloat16 {_describe(mixed)}, float32 {_describe(full)}, difference of the "
            f"means {statistics.mean(mixed) - statistics.mean(full):+.5f}, spread of seeds "
            f"{statistics.stdev(full):.5f}"
        )


def _describe(losses: list[float]) -> str:
    return ", ".join(f"{loss:.5f}" for loss in losses)


def run_sweep(args: argparse.Namespace) -> Iterator[str]:
    """Give what the default sweep comes to."""
    program = [sys.executable, "-m", "sweep"]
    options = ["--storage", f"sqlite:///{args.folder}/sweep.db"]
    data = ["--data", args.train, "--val-data", args.validation] if args.train else []
    limits = ["--trials", str(args.trials), "--timeout", str(args.sweep_s)]
    start = time.monotonic()
    command = [*program, "run", "--model", "cnn", *limits, *data, *options]
    done = subprocess.run(
        [*command, "--artifacts", f"{args.folder}/artifacts", "--no-confirm"],
        cwd=args.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    yield f"{' '.join(command[2:])}: exit code {done.returncode}, {time.monotonic() - start:.0f} s"
    yield done.stdout[-1500:]
    yield done.stderr[-1500:]
    status = subprocess.run(
        [*program, "status", *options, "--json"],
        cwd=args.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        (only,) = (
            json.loads(status.stdout)
            if status.stdout.startswith("[")
            else [json.loads(status.stdout)]
        )
        yield json.dumps({k: v for k, v in only.items() if not isinstance(v, list | dict)})
    except (ValueError, AttributeError):
        yield status.stdout[-1500:] + status.stderr[-1500:]


def run_checks(split: Split) -> Iterator[str]:
    """Do all checks, whatever becomes of each."""
    for function in CHECKS:
        start = time.monotonic()
        try:
            word, said = "ok", function(split)
        except Exception:
            word, said = "FAILED", traceback.format_exc(limit=-4)
        name = function.__name__.removeprefix("check_").replace("_", " ")
        yield f"{word}: {name} ({time.monotonic() - start:.1f} s): {said}"


def open_split(args: argparse.Namespace) -> Split:
    if args.train:
        return pair_events(open_events([Path(args.train)]), open_events([Path(args.validation)]))
    events: EventSet = open_toy_events(args.events + 512, 1)
    return Split(events.take(np.arange(args.events)), events.take(np.arange(512) + args.events))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="checks,speed,precision,sweep")
    parser.add_argument("--train", help="events; toys are made where none are given")
    parser.add_argument("--validation")
    parser.add_argument("--events", type=int, default=3200, help="toys to train on")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--trials", type=int, default=12, help="of the sweep")
    parser.add_argument("--sweep-s", type=float, default=150.0, help="after which it stops")
    parser.add_argument("--folder", default=".", help="for what is written")
    args = parser.parse_args()
    start = time.monotonic()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} host cores")
    parts = args.parts.split(",")
    split = open_split(args)
    print(f"events after {time.monotonic() - start:.0f} s", flush=True)
    work: dict[str, Callable[[], Iterator[str]]] = {
        "checks": lambda: run_checks(take(split, 3200 - 32, 512)),
        "speed": lambda: measure_speed(split, args.seconds),
        "precision": lambda: measure_precision(take(split, 3200, 512)),
        "sweep": lambda: run_sweep(args),
    }
    for name in parts:
        print(f"\n{name}, at {time.monotonic() - start:.0f} s", flush=True)
        try:
            for line in work[name]():
                print(line, flush=True)
        except Exception:
            traceback.print_exc()
    print(f"\ndone after {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()

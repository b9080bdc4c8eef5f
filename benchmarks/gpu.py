"""What one GPU makes of a training: checks first, then speeds side by side, all as one table.

Every speed is that of the product's own `Trainer`, beside a bare loop and a bare recorded step that
are written here as a person would write them, on the same events in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from gpu_bare import Bare, load_some, measure_streams, time_bare
from gpu_checks import run_checks
from gpu_trainings import (
    BATCH_SIZE,
    GPU,
    MIDDLE,
    NETWORKS,
    SMALL,
    build,
    list_losses,
    make_trainer,
    take,
)
from torch import Tensor, nn

from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.splits import Split, pair_events
from sweep.data.toy import open_toy_events
from sweep.machine.device import free_memory, full_precision, open_device
from sweep.machine.signals import Signals
from sweep.machine.turns import my_turn, others_turn
from sweep.training.event_scores import score_each
from sweep.training.trainer import Trainer
from sweep.worker.together import run_together


def time_trainer(trainer: Trainer, num_events: int, seconds: float) -> float:
    """Give the events a second of the epochs after the first one."""
    durations: list[float] = []
    for result in trainer.run():
        durations.append(result.duration_s)
        if sum(durations[1:]) > seconds:
            break
    return num_events * len(durations[1:]) / sum(durations[1:])


def measure_speed(split: Split, seconds: float) -> Iterator[str]:
    """Give a table: each network's events a second, trained and validated."""
    yield (
        "| network | parameters | trained | called step by step | bare loop | bare recorded step "
        "| trained / bare recorded | validated | in full float32 | validated / trained |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    x_NCL, y_NL = load_some(split)
    for name in NETWORKS:
        size = {"birnn, the report's": 10, "mlp": 200, SMALL: 200}.get(name, 100) * BATCH_SIZE
        part = take(split, size, 2)
        trained, called = (
            time_trainer(make_trainer(name, part, 999, is_replayed=replayed), size, seconds)
            for replayed in (True, False)
        )
        size = 1000 if "birnn" in name else 5000
        part = take(split, BATCH_SIZE, size)
        validated = time_trainer(make_trainer(name, part, 999), size, seconds)
        with full_precision():
            full = time_trainer(make_trainer(name, part, 999), size, seconds)
        bare = []
        for is_recorded in (False, True):
            try:
                step = Bare(build(name).to(GPU).train(), x_NCL, y_NL, is_recorded).prepare()
                bare.append(time_bare([step], len(x_NCL), seconds))
            except RuntimeError:
                traceback.print_exc()
                bare.append(float("nan"))
            free_memory(GPU)
        number = sum(p.numel() for p in build(name).parameters())
        yield (
            f"| {name} | {number:,} | {trained:,.0f} | {called:,.0f} | {bare[0]:,.0f} "
            f"| {bare[1]:,.0f} | {trained / bare[1]:.2f} | {validated:,.0f} | {full:,.0f} "
            f"| {validated / trained:.2f} |"
        )


def measure_rounding(split: Split, num_steps: int = 150) -> Iterator[str]:
    """Give a table: loss, found peaks and false ones of one network, by how it is computed."""
    yield "| network | computed in | loss | found | false | events/s |"
    yield "|---|---|---|---|---|---|"
    x_NCL, y_NL = load_some(split)
    for name in NETWORKS:
        bare = Bare(build(name).to(GPU).train(), x_NCL, y_NL, False)
        for _ in range(32 if "birnn" in name else num_steps):
            bare.chosen.copy_(torch.randint(0, len(x_NCL), (BATCH_SIZE,), device=GPU))
            bare.step()
        for kind in ("float32", "TF32", "bfloat16"):
            with (
                full_precision() if kind == "float32" else nullcontext(),
                torch.autocast("cuda", torch.bfloat16, enabled=kind == "bfloat16"),
                torch.inference_mode(),
            ):
                yield f"| {name} | {kind} | {_judge(bare.network.eval(), x_NCL, y_NL)} |"
        free_memory(GPU)


def _judge(network: nn.Module, x_NCL: Tensor, y_NL: Tensor) -> str:
    def predict() -> list[tuple[Tensor, Tensor]]:
        parts = zip(x_NCL.split(1024), y_NL.split(1024), strict=True)
        return [(network(x_BCL.float()).float(), y_BL.float()) for x_BCL, y_BL in parts]

    score = score_each(predict()).score
    torch.cuda.synchronize()
    start = time.monotonic()
    for _ in range(4):
        predict()
    torch.cuda.synchronize()
    rate = 4 * len(x_NCL) / (time.monotonic() - start)
    counts = score.counts
    return f"{score.validation_loss} | {counts.found} | {counts.false_positives} | {rate:,.0f}"


def measure_together(split: Split, seconds: float) -> Iterator[str]:
    """Give a table: events a second in all of several trainings that take turns in one process."""
    numbers = (1, 2, 4, 8, 12)
    yield "| network | " + " | ".join(f"{number} at once" for number in numbers) + " |"
    yield "|---|" + "---|" * len(numbers)
    for name in (SMALL, MIDDLE, "rcnn, 16 cells"):
        size = 100 * BATCH_SIZE
        part = take(split, size, 512)
        rates = [_time_together(name, part, number, size, seconds) for number in numbers]
        yield f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |"
        free_memory(GPU)


def _time_together(name: str, part: Split, number: int, size: int, seconds: float) -> float:
    """Give the events a second in all from when each has done its first epoch."""
    all_there, times = threading.Barrier(number), list[tuple[float, float, int]]()

    def train(seed: int) -> None:
        with my_turn():
            run = make_trainer(name, part, 999, seed=seed).run()
            next(run)
            with others_turn():
                all_there.wait()
            start = time.monotonic()
            num_epochs = 0
            while time.monotonic() - start < seconds:
                next(run)
                num_epochs += 1
            times.append((start, time.monotonic(), num_epochs))

    run_together([partial(train, seed) for seed in range(number)], GPU, Signals())
    starts, ends, numbers = zip(*times, strict=True)
    return size * sum(numbers) / (max(ends) - min(starts))


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
    # Which a worker has, too; who makes toy events takes all cores.
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    options = ["--storage", f"sqlite:///{args.folder}/sweep.db"]
    data = ["--data", args.train, "--val-data", args.validation] if args.train else []
    limits = ["--trials", str(args.trials), "--timeout", str(args.sweep_s)]
    start = time.monotonic()
    command = [*program, "run", "--model", "cnn", *limits, *data, *options]
    done = subprocess.run(
        [*command, "--artifacts", f"{args.folder}/artifacts", "--no-confirm"],
        cwd=args.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield (
        f"{' '.join(command[2:])}: exit code {done.returncode}, {time.monotonic() - start:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} s of the processor"
    )
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


def open_split(args: argparse.Namespace) -> Split:
    if args.train:
        return pair_events(open_events([Path(args.train)]), open_events([Path(args.validation)]))
    events: EventSet = open_toy_events(args.events + 512, 1)
    return Split(events.take(np.arange(args.events)), events.take(np.arange(512) + args.events))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="checks,speed,together,streams,rounding,precision,sweep")
    parser.add_argument("--train", help="events; toys are made where none are given")
    parser.add_argument("--validation")
    parser.add_argument("--events", type=int, default=3200, help="toys to train on")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--trials", type=int, default=50, help="of the sweep")
    parser.add_argument("--sweep-s", type=float, default=240.0, help="after which it stops")
    parser.add_argument("--folder", default=".", help="for what is written")
    args = parser.parse_args()
    start = time.monotonic()
    open_device("cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} host cores")
    parts = args.parts.split(",")
    split = open_split(args)
    print(f"events after {time.monotonic() - start:.0f} s", flush=True)
    work: dict[str, Callable[[], Iterator[str]]] = {
        "checks": lambda: run_checks(take(split, 3200 - 32, 512)),
        "speed": lambda: measure_speed(split, args.seconds),
        "together": lambda: measure_together(split, args.seconds),
        "streams": lambda: measure_streams(split, args.seconds),
        "rounding": lambda: measure_rounding(split),
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

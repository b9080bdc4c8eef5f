"""How costs grow with trials, workers and events: a table of each, with a power law fitted.

    PYTHONPATH=.:tests python benchmarks/growth.py [--trials 100,1000,10000] [--workers 1,4,16,64]
        [--events 1000,5000,20000] [--backend sqlite]

Costs over trials and workers are those of benchmarks/overhead.py, milliseconds of a worker's
processor (median); over workers, which share the machine's cores, also of the wall. Costs over
events are a training's epoch and its validation on so many, seconds of the processor. The last
column is k of cost = a n^k, fitted to the logarithms: 0 does not grow, 1 grows as n does. An empty
list leaves a table out.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from overhead import measure, open_database
from throughput import DEVICE, choose_params

from sweep.models import ARCHITECTURES
from sweep.plan.plan import plan_sweep
from sweep.plan.profile import CPU
from sweep.plan.recipes import build_recipe
from sweep.plan.request import Request
from sweep.training.trainer import Trainer

NUM_CLAIMS = 12

Row = Mapping[str, float]


def fit_power(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Fit k of cost = a n^k; NaN where a cost is missing or there is one size only."""
    if len(sizes) < 2 or not all(cost > 0 for cost in costs):
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def show(title: str, sizes: Sequence[int], measured: Callable[[int], Row]) -> None:
    """Measure at each size, and print a line for each kind of cost."""
    found = [measured(size) for size in sizes]
    names = sorted({name for row in found for name in row})
    print(f"\n| {title} | {' | '.join(f'{size:,}' for size in sizes)} | k |")
    print("|---" * (len(sizes) + 2) + "|")
    for name in names:
        costs = [row.get(name, math.nan) for row in found]
        shown = " | ".join("-" if math.isnan(cost) else f"{cost:.3g}" for cost in costs)
        print(f"| {name} | {shown} | {fit_power(sizes, costs):.2f} |", flush=True)


def cost_service(backend: str, num_begun: int, num_workers: int, num_claims: int) -> Row:
    """Measure what the service costs at a size, in ms by operation."""
    with open_database(backend, num_workers) as url:
        _firsts, times = measure(url, num_begun, num_workers, num_claims)
    row = {
        f"{what}, ms of the processor": 1000 * statistics.median(cpu for _wall, cpu in took)
        for what, took in times.items()
    }
    if num_workers > 1:
        row |= {
            f"{what}, ms": 1000 * statistics.median(wall for wall, _cpu in took)
            for what, took in times.items()
        }
    return row


def cost_training(num_events: int) -> Row:
    """Measure an epoch on so many events, and judging as many, in seconds of the processor."""
    request = Request(model="cnn", events=num_events, val_events=num_events)
    split, params = plan_sweep(request, CPU).split, choose_params("cnn")
    network = ARCHITECTURES["cnn"].build(params)
    recipe = build_recipe("fast", 1, 1)
    trainer = Trainer(network, split, recipe, params, seed=1, device=DEVICE)
    began_s = time.process_time()
    next(trainer.run())
    return {"an epoch with its validation, s": time.process_time() - began_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", default="100,1000,10000")
    parser.add_argument("--workers", default="1,4,16,64")
    parser.add_argument("--events", default="1000,5000,20000")
    parser.add_argument("--backend", default="sqlite")
    asked = parser.parse_args()
    trials, workers, events = (
        [int(part) for part in text.split(",") if part]
        for text in (asked.trials, asked.workers, asked.events)
    )
    torch.set_num_threads(1)
    if trials:
        title = f"{asked.backend}, by trials begun"
        show(title, trials, lambda size: cost_service(asked.backend, size, 1, NUM_CLAIMS))
    if workers:
        title = f"{asked.backend}, 1,000 trials begun, by workers"
        show(title, workers, lambda size: cost_service(asked.backend, 1000, size, NUM_CLAIMS))
    if events:
        show("cnn on a CPU, by events", events, cost_training)


if __name__ == "__main__":
    main()

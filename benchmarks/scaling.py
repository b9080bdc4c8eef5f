"""What many workers wait for: claims, suggestions and epochs in virtual time, by measured costs.

    python benchmarks/scaling.py [--workers 4,16,64,256,1000] [--epoch-s 10] [--costs FILE]

A worker trains, which costs nobody else anything, and asks: what the server does for it (claim,
rows of an epoch, end) queues for the server's cores, what it computes itself (the suggestion) for
its own node's. Each is a queue in the order of asking; training varies by a fifth. A claim holds
its sweep, so that those of one sweep follow each other. Costs are
seconds of a core; those below are of benchmarks/overhead.py with 1,000 trials begun on Postgres,
and FILE may hold others as JSON. With `--nodes` workers are spread over so many machines of
`--node-cores`, as `--launcher ray` spreads them. Other locks are not simulated.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

COSTS: Mapping[str, float] = {
    "claim": 0.030,
    "epoch": 0.010,
    "end": 0.030,
    "suggestion": 0.070,
}
"""Seconds of a core; all but the suggestion are counted as the server's, which is too much: half of
them is the worker's own part of the statement."""
EPOCHS_PER_CLAIM, CLAIMS_PER_TRIAL = 2, 2
VARIATION = 0.2


class Cores:
    """Some cores with one queue: what is asked for is done in the order of asking."""

    def __init__(self, number: int) -> None:
        self._free_s = [0.0] * number
        self.busy_s = 0.0

    def do(self, now_s: float, cost_s: float) -> float:
        """Give when work that is asked for now is done."""
        began_s = max(now_s, heapq.heappop(self._free_s))
        heapq.heappush(self._free_s, began_s + cost_s)
        self.busy_s += cost_s
        return began_s + cost_s


@dataclass
class Cluster:
    """A database server and the nodes of the workers, with what each kind of work waited."""

    costs: Mapping[str, float]
    server: Cores
    sweeps: list[Cores]
    nodes: list[Cores]
    took_s: dict[str, list[float]] = field(default_factory=dict)
    num_trials: int = 0

    def work(self, index: int, epoch_s: float, rng: random.Random) -> Generator[float, float, None]:
        """Be one worker: yields when it goes on next, and is told the time then."""
        node = self.nodes[index % len(self.nodes)]
        sweep = self.sweeps[index % len(self.sweeps)]
        now_s = yield rng.uniform(0, epoch_s)
        while True:
            for number in range(CLAIMS_PER_TRIAL):
                now_s = yield self._ask(sweep, "claim", now_s)
                if number == 0:
                    now_s = yield self._ask(node, "suggestion", now_s)
                for _epoch in range(EPOCHS_PER_CLAIM):
                    spread = rng.uniform(1 - VARIATION, 1 + VARIATION)
                    now_s = yield now_s + epoch_s * spread
                    now_s = yield self._ask(self.server, "epoch", now_s)
            now_s = yield self._ask(self.server, "end", now_s)
            self.num_trials += 1

    def _ask(self, cores: Cores, what: str, now_s: float) -> float:
        done_s = cores.do(now_s, self.costs[what])
        self.took_s.setdefault(what, []).append(done_s - now_s)
        return done_s


def simulate(cluster: Cluster, num_workers: int, epoch_s: float, end_s: float) -> None:
    """Let workers work until a time; who asks first is served first."""
    rng = random.Random(num_workers)
    workers = [cluster.work(index, epoch_s, rng) for index in range(num_workers)]
    queue = [(next(worker), index) for index, worker in enumerate(workers)]
    heapq.heapify(queue)
    while queue[0][0] < end_s:
        now_s, index = heapq.heappop(queue)
        heapq.heappush(queue, (workers[index].send(now_s), index))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="4,16,64,256,1000")
    parser.add_argument("--epoch-s", type=float, default=10.0, help="training of an epoch")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--server-cores", type=int, default=8)
    parser.add_argument("--sweeps", type=int, default=1, help="that the workers share")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--node-cores", type=int, default=16)
    parser.add_argument("--costs", type=Path, help="JSON of seconds by name")
    asked = parser.parse_args()
    costs = {**COSTS, **(json.loads(asked.costs.read_text()) if asked.costs else {})}
    print(f"epochs of {asked.epoch_s:g} s; costs: {costs}")
    print(f"{asked.server_cores} cores of the server, {asked.nodes} nodes of {asked.node_cores}")
    names = [f"{name}, median (95 %) s" for name in costs]
    print(f"| workers | trials/h | of ideal | server busy | {' | '.join(names)} |")
    print("|---" * (len(names) + 4) + "|")
    for number in map(int, asked.workers.split(",")):
        nodes = [Cores(asked.node_cores) for _ in range(asked.nodes)]
        sweeps = [Cores(1) for _ in range(asked.sweeps)]
        cluster = Cluster(costs, Cores(asked.server_cores), sweeps, nodes)
        simulate(cluster, number, asked.epoch_s, 3600 * asked.hours)
        ideal = number * 3600 / (asked.epoch_s * EPOCHS_PER_CLAIM * CLAIMS_PER_TRIAL)
        waits = [
            f"{statistics.median(took):.3f} ({statistics.quantiles(took, n=20)[-1]:.3f})"
            for took in (cluster.took_s[name] for name in costs)
        ]
        busy_s = cluster.server.busy_s + sum(sweep.busy_s for sweep in sweeps)
        busy = busy_s / (asked.server_cores * 3600 * asked.hours)
        rate = cluster.num_trials / asked.hours
        print(
            f"| {number} | {rate:.0f} | {rate / ideal:.3f} | {busy:.1%} | {' | '.join(waits)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

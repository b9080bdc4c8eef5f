"""How often a sweep's confirmed winner is no worse than the recommended point, on fresh trainings.

    python benchmarks/winners.py --out FOLDER [--sweeps 20]

Each sweep is `sweep run` with another seed and all else by default but the numbers of events,
epochs and trials, then `sweep confirm`. The winner and the recommended point are trained anew
with the same fresh seeds; a winner that is the recommended point has nothing to show. A sweep is a
line of FOLDER/winners.jsonl: what stands there is not run again, and the same command goes on with
a sweep that was ended. `--only-table` prints what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peers import Judge, list_sizes

from sweep.machine.process import COMMAND
from sweep.metrics.intervals import CONFIDENCE, compute_efficiency_interval

NUM_CONFIRMED, NUM_CONFIRMING = 2, 2
"""Of the best that a confirmation takes, and its seeds: few trials have none unasked."""


def run_sweep(asked: argparse.Namespace, seed: int) -> Mapping[str, Any]:
    """Have a sweep and its confirmation, or go on with them; gives what the latter says."""
    asked.seed = seed
    path = asked.out / f"{asked.model}-{seed}"
    at = ["--storage", f"sqlite:///{path}.db", "--artifacts", f"{path}.artifacts"]
    at += ["--workers", str(asked.threads)]
    sizes = [*list_sizes(asked), "--profile", "cpu", "--no-confirm"]
    sized = ["--top", str(NUM_CONFIRMED), "--seeds", str(NUM_CONFIRMING), "--json"]
    with path.with_suffix(".log").open("a") as log:
        for command in (["run", "--model", asked.model, *sizes], ["confirm", *sized]):
            done = subprocess.run(
                [*COMMAND, *command, *at], check=True, stdout=subprocess.PIPE, stderr=log, text=True
            )
    said: Mapping[str, Any] = json.loads(done.stdout)
    return said


def judge_winner(judge: Judge, candidates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Train the winner and the recommended point anew; the loss of either is a mean over seeds."""
    winner = next(one for one in candidates if one["is_winner"])
    recommended = next(one for one in candidates if one["is_recommended"])
    line = {
        "is_recommended": winner["is_recommended"],
        "params": winner["params"],
        "confirmed": [winner["mean"], recommended["mean"]],
        "claimed": min(one["claimed"] for one in candidates if one["claimed"] is not None),
    }
    if not winner["is_recommended"]:
        line["fresh"] = [judge.judge(one["params"]) for one in (winner, recommended)]
    return line


def is_no_worse(line: Mapping[str, Any]) -> bool:
    """Say whether the winner is the recommended point, or is as good on fresh trainings."""
    return bool(line["is_recommended"] or line["fresh"][0] <= line["fresh"][1])


def print_table(lines: Sequence[Mapping[str, Any]]) -> None:
    """Print a row a sweep, and how many winners are no worse."""
    print("| seed | winner | confirmed: it, recommended | fresh: it, recommended | no worse | s |")
    print("|---|---|---|---|---|---|")
    for line in lines:
        name = "recommended" if line["is_recommended"] else "another"
        confirmed, fresh = (
            ", ".join(f"{loss:.4f}" for loss in line.get(key, ())) for key in ("confirmed", "fresh")
        )
        cells = [line["seed"], name, confirmed, fresh, "yes" if is_no_worse(line) else "no"]
        print("|", " | ".join(map(str, [*cells, round(line["wall_s"])])), "|")
    if lines:
        count, total = sum(map(is_no_worse, lines)), len(lines)
        low, high = compute_efficiency_interval(count, total)
        own = sum(not line["is_recommended"] for line in lines)
        sure = f"{low:.0%} to {high:.0%} with {CONFIDENCE:.0%}"
        print(f"no worse: {count} of {total} ({sure}); {own} won by another")


def main() -> None:
    """Have the sweeps that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first sweep's seed")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--val-events", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="of the processor, in all")
    parser.add_argument("--seeds", type=int, default=3, help="fresh ones of each winner")
    parser.add_argument("--only-table", action="store_true")
    asked = parser.parse_args()
    asked.out = asked.out.absolute()
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "winners.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    had = {line["seed"] for line in lines}
    torch.set_num_threads(asked.threads)
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    for seed in range(asked.first, asked.first + asked.sweeps):
        if seed in had or asked.only_table:
            continue
        began_s = time.monotonic()
        said = run_sweep(asked, seed)
        line = {"seed": seed, **judge_winner(Judge(asked, asked.model), said["candidates"])}
        lines.append({**line, "wall_s": time.monotonic() - began_s})
        with path.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        print(f"seed {seed}: {'no worse' if is_no_worse(lines[-1]) else 'worse'}", flush=True)
    print_table(lines)


if __name__ == "__main__":
    main()

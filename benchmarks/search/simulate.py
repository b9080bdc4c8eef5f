"""Replays searches on the recorded curves, and prints how they compare.

    python benchmarks/search/simulate.py --seeds 40 --epochs 200 --out replays.jsonl

A line of the file is one replay. What is there is not replayed again, so that it may be broken off
and gone on with; after a change of what is replayed, take another file. `--only-table` prints what
is there so far.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from landscape import open_landscape
from methods import METHODS
from record import NAMES
from replay import Result, Sweep

Key = tuple[str, str, bool, int, int, int]
"""Architecture, method, whether the recommended point is tried first, epochs, workers, seed."""
NUM_DRAWS = 2000
NO_WORSE = 0.01
"""Percent by which a loss may be above another and count as no worse."""
MARK = 0.1
"""Share of the way from the best to the recommended point at which the mark is."""
COLUMNS = (
    ("% above best", 20),
    ("90 %", 7),
    ("regret", 8),
    ("by model", 9),
    ("complete", 9),
    ("begun", 7),
    ("confirmed", 10),
    ("to mark", 8),
    ("no worse", 16),
    ("by model", 9),
    ("confirmed", 10),
    ("dead", 6),
    ("false", 7),
    ("epochs", 7),
    ("trials", 7),
)


def read_replays(path: Path) -> dict[Key, Result]:
    """Read what was replayed; a line that was broken off is left out."""
    found: dict[Key, Result] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        key = row["key"]
        found[tuple(key)] = Result(**{one.name: row[one.name] for one in fields(Result)})
    return found


def find_interval(
    values: Sequence[float], measure: Callable[[Any], float] = np.median
) -> tuple[float, float]:
    """Find where a measure of the values lies with 95 %, by drawing them again (bootstrap)."""
    drawn = np.random.default_rng(0).choice(np.array(values), (NUM_DRAWS, len(values)))
    low, high = np.quantile([measure(row) for row in drawn], [0.025, 0.975])
    return float(low), float(high)


def find_share_interval(count: int, total: int) -> tuple[float, float]:
    """Find where a share lies with 95 % (Wilson, JASA 22:209, 1927)."""
    share, wide = count / total, 1.96**2 / total
    middle, half = share + wide / 2, 1.96 * np.sqrt(share * (1 - share) / total + wide / total / 4)
    return (middle - half) / (1 + wide), (middle + half) / (1 + wide)


def write_row(results: Sequence[Result], recommended: float) -> list[str]:
    """Write what the replays of one method came to, in the order of the columns.

    Args:
        recommended: By how much the recommended point is above the best known one, in percent.
    """
    above, by_model = ([getattr(one, n) for one in results] for n in ("above", "above_by_model"))
    confirmed = [result.confirmed for result in results]
    bar = recommended + NO_WORSE
    marks = [find_mark(result.trace, MARK * recommended) for result in results]
    num_no_worse = sum(value <= bar for value in above)
    low, high = find_share_interval(num_no_worse, len(above))
    pruned = sum(result.pruned for result in results)
    begin, end = find_interval(above)
    return [
        f"{np.median(above):.2f} ({begin:.2f} {end:.2f})",
        f"{np.quantile(above, 0.9):.2f}",
        f"{np.median(above) / recommended:.2f}",
        f"{np.median(by_model):.2f}",
        f"{np.median([result.best_complete for result in results]):.2f}",
        f"{np.median([result.best_begun for result in results]):.2f}",
        f"{np.median(confirmed):.2f}",
        f"{np.median(marks):.0f}",
        f"{num_no_worse / len(above):.0%} ({low:.0%} {high:.0%})",
        f"{np.mean([value <= bar for value in by_model]):.0%}",
        f"{np.mean([value <= bar for value in confirmed]):.0%}",
        f"{np.mean([result.dead for result in results]):.1%}",
        f"{sum(result.false for result in results) / max(1, pruned):.1%}",
        f"{np.mean([result.epochs for result in results]):.0f}",
        f"{np.mean([result.trials for result in results]):.0f}",
    ]


def find_mark(trace: Sequence[tuple[int, float]], mark: float) -> float:
    """Find after how many epochs what is selected was first within a mark; infinite for never."""
    return next((spent for spent, above in trace if above <= mark), math.inf)


def print_table(found: Mapping[Key, Result], options: argparse.Namespace) -> None:
    """Print a line for each architecture and method."""
    print(f"{'':26}" + "".join(f"{name:>{width}}" for name, width in COLUMNS))
    for architecture in options.architectures:
        land = open_landscape(architecture)
        for name in options.methods:
            results = [found[k] for k in list_keys(options, [architecture], [name]) if k in found]
            if not results:
                continue
            cells = zip(write_row(results, land.rate(land.recommended)), COLUMNS, strict=True)
            line = "".join(f"{cell:>{width}}" for cell, (_name, width) in cells)
            print(f"{architecture:6}{name:15}{len(results):5}{line}")


def list_keys(
    options: argparse.Namespace, architectures: Sequence[str], methods: Sequence[str]
) -> list[Key]:
    """List the replays that are asked for: all methods with one seed before the next one."""
    return [
        (architecture, method, options.points, options.epochs, options.workers, seed)
        for seed in range(options.first, options.first + options.seeds)
        for architecture in architectures
        for method in methods
    ]


def main() -> None:
    """Replay what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=200, help="alike for all methods")
    parser.add_argument("--no-points", dest="points", action="store_false")
    parser.add_argument("--out", type=Path, default=Path("replays.jsonl"))
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = read_replays(options.out)
    keys = list_keys(options, options.architectures, options.methods)
    missing = [] if options.only_table else [key for key in keys if key not in found]
    lands = {name: open_landscape(name) for name in dict.fromkeys(key[0] for key in missing)}
    for key in missing:
        architecture, method, has_points, num_epochs, num_workers, seed = key
        sweep = Sweep(METHODS[method], lands[architecture], seed, has_points=has_points)
        sweep.run(num_epochs, num_workers)
        found[key] = sweep.rate()
        with options.out.open("a") as file:
            file.write(json.dumps({"key": key, **asdict(found[key])}) + "\n")
    print_table(found, options)


if __name__ == "__main__":
    main()

"""Counts of 1,000 events beside a loop over events in numba, as PV-Finder's users write it.

Both take the same histograms in memory, one after the other in one run, and must give equal counts:
    python benchmarks/metrics.py [--truth FILE --prediction FILE]
A training finds the true peaks of its validation events once; "first time" is with them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from counting import count_events
from gpu_metrics import draw_predictions, draw_targets
from numpy.typing import NDArray

from sweep.training.matching import count_matches, find_true_regions

REPETITIONS = 25
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def take_time(action: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    action()
    return clock() - start


def compare(
    name: str,
    truth_NL: NDArray[np.float32],
    prediction_NL: NDArray[np.float32],
    clock: Callable[[], float],
) -> str:
    """Give a line of the table: median times and quartiles of the ratio, pair by pair."""
    y_NL, x_NL = torch.from_numpy(truth_NL), torch.from_numpy(prediction_NL)
    known = find_true_regions(y_NL)
    expected = count_events(truth_NL, prediction_NL)
    for regions in (known, None):
        assert count_matches(y_NL, x_NL, regions)[0].sum(0)[:4].tolist() == expected, name
    rows = []
    for _ in range(REPETITIONS):
        loop_s = take_time(lambda: count_events(truth_NL, prediction_NL), clock)
        again_s = take_time(lambda: count_matches(y_NL, x_NL, known), clock)
        first_s = take_time(lambda: count_matches(y_NL, x_NL), clock)
        rows.append((loop_s, again_s, first_s, loop_s / again_s, loop_s / first_s))
    loop_ms, again_ms, first_ms = (
        1e3 * statistics.median(row[i] for row in rows) for i in range(3)
    )
    again, first = (statistics.quantiles((row[i] for row in rows), n=4) for i in (3, 4))
    return (
        f"| {name} | {loop_ms:.1f} | {again_ms:.2f} | {again[1]:.1f} ({again[0]:.1f} to "
        f"{again[2]:.1f}) | {first_ms:.2f} | {first[1]:.1f} ({first[0]:.1f} to {first[2]:.1f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", help="npz archive with y; drawn where none is given")
    parser.add_argument("--prediction", help="npz archive with prediction for the same events")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: of all threads")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    if args.truth:
        with np.load(args.truth) as archive:
            truth_NL = archive["y"][:1000].astype(np.float32)
    else:
        truth_NL = draw_targets(rng, 1000)
    if args.prediction:
        with np.load(args.prediction) as archive:
            kinds = {"of the file": archive["prediction"][: len(truth_NL)].astype(np.float32)}
    else:
        drawn = draw_predictions(rng, truth_NL)
        kinds = {name: drawn[name].numpy() for name in ("good", "noise", "everywhere")}
    print(f"{len(truth_NL)} events, {torch.get_num_threads()} threads; equal counts")
    print("| predictions | loop, ms | counted, ms | ratio (quartiles) | first time, ms | ratio |")
    print("|---|---|---|---|---|---|")
    for name, prediction_NL in kinds.items():
        print(compare(name, truth_NL, prediction_NL, CLOCKS[args.clock]), flush=True)


if __name__ == "__main__":
    main()

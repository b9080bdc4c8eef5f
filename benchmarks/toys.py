"""Toy events made a second on one core, now and as a commit before made them, side by side.

    python benchmarks/toys.py [--before COMMIT] [--events 200]

Also says whether both make the same events, bit for bit.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from sweep.data import kernel, targets, toy
from sweep.data.toy_event import draw_event

BEFORE = "3fef102"


def load_before(commit: str, name: str, folder: Path) -> Any:
    """Load a module of `sweep/data` as a commit has it."""
    text = subprocess.run(
        ["git", "show", f"{commit}:sweep/data/{name}.py"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
    ).stdout  # fmt: skip
    path = folder / f"{name}_before.py"
    path.write_text(text.replace("sweep.geometry", "sweep.data.geometry"))  # it has moved since
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(make: Callable[[int], Any], num_events: int) -> float:
    began_s = time.process_time()
    for index in range(num_events):
        make(index)
    return num_events / (time.process_time() - began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--events", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        old_kernel = load_before(args.before, "kernel", Path(name))
        old_targets = load_before(args.before, "targets", Path(name))
        now = kernel.compute_kernel, targets.fill_target
        before = old_kernel.compute_kernel, old_targets.fill_target
        speeds: dict[str, list[float]] = {"before": [], "now": []}
        for _turn in range(3):
            for title, (compute, fill) in (("before", before), ("now", now)):
                with (
                    patch.object(kernel, "compute_kernel", compute),
                    patch.object(toy, "fill_target", fill),
                ):
                    toy.make_toy_event(1, 0)  # compiles
                    speeds[title].append(measure(lambda i: toy.make_toy_event(1, i), args.events))
        same = all(
            np.array_equal(a, b)
            for index in range(args.events)
            for a, b in zip(*(f(draw_event(1, index)[0]) for f, _ in (before, now)), strict=True)
        )
    print("| | events a second of one core: best of three | all |\n|---|---|---|")
    for title, found in speeds.items():
        print(f"| {title} | {max(found):.0f} | {', '.join(f'{one:.0f}' for one in found)} |")
    print(f"{max(speeds['now']) / max(speeds['before']):.2f} times; bit for bit the same: {same}")


if __name__ == "__main__":
    main()

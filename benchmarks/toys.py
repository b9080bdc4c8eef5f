"""Toy events made a second on one core, now and as a commit before made them, turn by turn.

    python benchmarks/toys.py [--before COMMIT] [--events 60] [--turns 7]

Each turn is a process of its own that has compiled before. Also says how the densities differ: in
which share of bins another maximum is told, and whether it is higher.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

BEFORE = "ababa65"
CHECKOUT = Path(__file__).parents[1]
MOVED_MM = 0.01

MEASURE = """
import sys, time
import numpy as np
from sweep.data.kernel import compute_kernel
from sweep.data.toy import make_toy_event
from sweep.data.toy_event import draw_event
num_events, path = int(sys.argv[1]), sys.argv[2]
began_s = time.process_time()
make_toy_event(1, 0)
compiled_s = time.process_time() - began_s
began_s = time.process_time()
for index in range(num_events):
    make_toy_event(1, index)
speed = num_events / (time.process_time() - began_s)
if path:
    np.save(path, np.array([compute_kernel(draw_event(1, i)[0]) for i in range(num_events)]))
print(compiled_s, speed)
"""


def unpack(commit: str, folder: Path) -> None:
    """Put the program as a commit has it into a folder."""
    packed = subprocess.run(
        ["git", "archive", commit, "sweep", "models", "storage"],
        capture_output=True,
        check=True,
        cwd=CHECKOUT,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def measure(source: Path, cache: Path, num_events: int, kept: str = "") -> tuple[float, float]:
    """Give the seconds until one event is made, and the events made a second then."""
    chosen = {"PYTHONPATH": str(source), "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, str(num_events), kept],
        capture_output=True, text=True, check=True, cwd=cache.parent, env=os.environ | chosen,
    ).stdout.split()  # fmt: skip
    return float(told[0]), float(told[1])


def compare(before: Path, now: Path) -> None:
    """Say how far the densities and their places agree."""
    (old_NPL, new_NPL) = (np.load(path) for path in (before, now))
    old, new = old_NPL[:, 0], new_NPL[:, 0]
    seen = (old > 0) & (new > 0)
    moved_mm = np.abs(old_NPL[:, 1:] - new_NPL[:, 1:]).max(axis=1)
    same = seen & (moved_mm < MOVED_MM)
    ratio = new[seen & ~same] / old[seen & ~same]
    lost = (old > 0) & (new == 0)
    highest = old[lost].max(initial=0) / 2500
    print(f"\nno density any more in {lost.sum()} of {(old > 0).sum()} bins, {highest:.1e} at most")
    for name, off in (
        ("place, mm", moved_mm[same]),
        ("density, share", np.abs(new[same] / old[same] - 1)),
    ):
        middle, most, nearly = np.quantile(off, [0.5, 0.99, 0.999])
        print(f"{name}: differs by {middle:.0e}, {most:.0e}, {nearly:.0e} (median, 99 %, 99.9 %)")
    print(
        f"another maximum in {len(ratio) / seen.sum():.2%}: higher in {np.sum(ratio > 1)}, lower "
        f"in {np.sum(ratio < 1)} bins, by more than 1 % in {np.sum(ratio < 0.99)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--turns", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(args.before, folder / "before")
        sources = {"before": folder / "before", "now": CHECKOUT}
        caches = {title: folder / f"compiled_{title}" for title in sources}
        kept = {title: folder / f"{title}.npy" for title in sources}
        first = {
            title: measure(source, caches[title], args.events, str(kept[title]))
            for title, source in sources.items()
        }
        speeds = np.array(
            [
                [
                    measure(source, caches[title], args.events)[1]
                    for title, source in sources.items()
                ]
                for _turn in range(args.turns)
            ]
        )
        print(
            "| | compiled, s | events a second of one core: median | quartiles |\n|---|---|---|---|"
        )
        for column, title in zip(speeds.T, sources, strict=True):
            low, middle, high = np.quantile(column, [0.25, 0.5, 0.75])
            print(f"| {title} | {first[title][0]:.1f} | {middle:.0f} | {low:.0f} to {high:.0f} |")
        low, middle, high = np.quantile(speeds[:, 1] / speeds[:, 0], [0.25, 0.5, 0.75])
        print(f"\n{middle:.2f} ({low:.2f} to {high:.2f}) times")
        compare(kept["before"], kept["now"])


if __name__ == "__main__":
    main()

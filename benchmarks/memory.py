"""What a further worker on the CPU holds of its own, while trials come and go.

    python benchmarks/memory.py --events 5000 --trials 20 --workers 2

Runs `sweep run` and reads from Linux every few seconds what each worker process holds: private
memory, and its part of what several share (PSS). Printed is the most of each, by trials finished.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def list_workers(parent: int) -> list[int]:
    """List the worker processes below a process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, queue = [], [parent]
    while queue:
        below = children.get(queue.pop(), [])
        queue += below
        found += below
    return [pid for pid in found if "sweep worker" in read(pid, "comm") + read(pid, "cmdline")]


def read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text().replace("\0", " ")
    except OSError:
        return ""


def measure(pid: int) -> tuple[float, float]:
    """Give PSS and private memory of a process in MB."""
    sizes: dict[str, int] = {}
    for line in read(pid, "smaps_rollup").splitlines()[1:]:
        name, size = line.split()[:2]
        sizes[name] = int(size)
    private = sizes.get("Private_Clean:", 0) + sizes.get("Private_Dirty:", 0)
    return sizes.get("Pss:", 0) * 1024 / 1e6, private * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", default="cnn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sweep", "run", "--model", args.model, "--gpus", "none"]
        sizes = ["--events", args.events, "--epochs", args.epochs, "--trials", args.trials]
        run = subprocess.Popen(
            [*command, *map(str, sizes), "--workers", str(args.workers), "--no-confirm"],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        print("| seconds | workers | PSS of each, MB | private of each, MB |\n|---|---|---|---|")
        start = time.monotonic()
        while run.poll() is None:
            time.sleep(5.0)
            found = [measure(pid) for pid in list_workers(run.pid)]
            if found:
                pss, private = zip(*found, strict=True)
                print(
                    f"| {time.monotonic() - start:.0f} | {len(found)} | "
                    f"{', '.join(f'{one:.0f}' for one in pss)} | "
                    f"{', '.join(f'{one:.0f}' for one in private)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

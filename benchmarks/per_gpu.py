"""How many workers should share a GPU: the same sweep with 1, 2, 4, 8 and what is chosen by itself.

Prints a table: workers, events trained a second in all, how busy the GPU was and what memory it
held at most. Each runs for so many seconds, the start of its workers included.

    python benchmarks/per_gpu.py --seconds 45 --train FILE.npz --validation FILE.npz
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SWEEP = [sys.executable, "-m", "sweep"]


def ask(*arguments: str) -> str:
    return subprocess.run([*SWEEP, *arguments], capture_output=True, text=True, check=True).stdout


class Watch:
    """Asks the driver every half second how busy the first GPU is and what memory it holds."""

    def __enter__(self) -> Watch:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used"]
        self._process = subprocess.Popen(
            [*command, "--format=csv,noheader,nounits", "-i", "0", "-lms", "500"],
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        lines = self._process.communicate()[0].splitlines()
        rows = [[float(part) for part in line.split(",")] for line in lines if "," in line]
        self.busy = sum(row[0] for row in rows) / max(1, len(rows))
        self.used_gb = max((row[1] for row in rows), default=0.0) * 2**20 / 1e9


def run(per_gpu: str, args: argparse.Namespace, folder: Path) -> str:
    """Run one sweep and describe what came of it."""
    place = ["--storage", f"sqlite:///{folder}/{per_gpu}.db"]
    data = ["--data", args.train, "--val-data", args.validation] if args.train else []
    options: Sequence[str] = ["--model", args.model, "--trials", "400", "--no-confirm", *data]
    start = time.monotonic()
    with Watch() as watch:
        done = subprocess.run(
            [*SWEEP, "run", *options, *place, "--per-gpu", per_gpu, "--timeout", str(args.seconds),
             "--artifacts", str(folder / per_gpu)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    spent_s = time.monotonic() - start
    if done.returncode:
        return f"| {per_gpu} | exit code {done.returncode}: {done.stderr.splitlines()[-1:]} |"
    status = json.loads(ask("status", *place, "--json"))
    status = status[0] if isinstance(status, list) else status
    epochs = json.loads(ask("epochs", status["name"], *place, "--json"))
    num_events = args.events * len(epochs)
    chosen = next(
        (line for line in (done.stdout + done.stderr).splitlines() if "--per-gpu says" in line), ""
    )
    return (
        f"| {per_gpu} | {len(epochs)} | {num_events / spent_s:,.0f} | {watch.busy:.0f} % | "
        f"{watch.used_gb:.1f} GB | {spent_s:.0f} s | {chosen} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--per-gpu", default="1,2,4,8,auto")
    parser.add_argument("--train", help="file of events; toy events without")
    parser.add_argument("--validation", help="another one")
    parser.add_argument("--events", type=int, default=15_000, help="training events of an epoch")
    args = parser.parse_args()
    print("| per GPU | epochs | trained, events/s | busy | most memory | wall | said |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for per_gpu in args.per_gpu.split(","):
            print(run(per_gpu, args, Path(folder)), flush=True)


if __name__ == "__main__":
    main()

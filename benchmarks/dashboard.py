"""Measures a refresh of a study's page: `sweep dashboard` beside plain optuna-dashboard.

    python benchmarks/dashboard.py [TRIALS] [REPORTS] [ROUNDS]

Both serve one database and are asked in turn, each time after their caches have run out. Told are
the seconds of the request that the open page repeats, and the ratio of each pair.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import optuna

from sweep.storage import studies
from sweep.storage.engine import create_engine, parse_url
from sweep.storage.migrations import create_tables

CACHE_S = 10.5
"""optuna-dashboard reads a study of more than 500 trials again after 10 s."""
PLAIN_PORT = 8097


def fill(url: str, num_trials: int, num_reports: int) -> None:
    """Make a database with one study of finished trials."""
    create_tables(create_engine(parse_url(url)))
    storage = studies.open_study_storage(parse_url(url))
    study = studies.create_study(storage, "cnn", direction="minimize", metric_name="loss")
    axis = optuna.distributions.FloatDistribution(0.0, 1.0)
    for number in range(num_trials):
        curve = {step: 1.0 / (step + number + 1) for step in range(num_reports)}
        study.add_trial(
            optuna.trial.create_trial(
                value=1.0 / (number + 1),
                params={f"p{index}": (number * index) % 97 / 97 for index in range(1, 6)},
                distributions={f"p{index}": axis for index in range(1, 6)},
                intermediate_values=curve,
                user_attrs={"validation_loss": 0.1, "efficiency": 0.9, "fp_rate": 0.05},
            )
        )


def measure_s(address: str, after: int) -> float:
    """Measure the request that an open page repeats."""
    began_s = time.perf_counter()
    with urllib.request.urlopen(f"{address}/api/studies/1?after={after}") as answer:
        answer.read()
    return time.perf_counter() - began_s


def main() -> None:
    """Fill, serve, measure, and print the figures."""
    num_trials, num_reports, rounds = (
        int(text) for text in (*sys.argv[1:], *("1000", "10", "7")[len(sys.argv) - 1 :])
    )
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'sweep.db'}"
        fill(url, num_trials, num_reports)
        commands = [
            [sys.executable, "-m", "sweep", "dashboard", "--port", "0", "--storage", url],
            [f"{Path(sys.executable).parent}/optuna-dashboard", url, "--port", str(PLAIN_PORT)],
        ]
        servers = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True) for c in commands]
        try:
            assert servers[0].stderr is not None
            (ours,) = re.findall(r"http://\S+:\d+", servers[0].stderr.readline())
            addresses = [ours, f"http://127.0.0.1:{PLAIN_PORT}"]
            time.sleep(CACHE_S)
            first = [measure_s(address, 0) for address in addresses]
            pairs = []
            for _ in range(rounds):
                time.sleep(CACHE_S)
                pairs.append([measure_s(address, num_trials) for address in addresses])
        finally:
            for server in servers:
                server.kill()
                server.communicate()
    report(num_trials, num_reports, first, pairs)


def report(num_trials: int, num_reports: int, first: list[float], pairs: list[list[float]]) -> None:
    """Say what was measured, ours first in each pair."""
    lines = [f"{num_trials} trials x {num_reports} reports, load {os.getloadavg()[0]:.1f}"]
    for name, begun_s, *values_s in zip(
        ("sweep dashboard", "optuna-dashboard"), first, *pairs, strict=True
    ):
        lines.append(
            f"{name}: first {begun_s:.2f} s, refresh median {statistics.median(values_s):.3f} s "
            f"({min(values_s):.3f} to {max(values_s):.3f})"
        )
    ratios = [plain_s / ours_s for ours_s, plain_s in pairs]
    lines.append(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""Records learning curves of many configurations once, so that searches can be replayed for ever.

    python benchmarks/search/record.py --train TRAIN.npz --validation VAL.npz --processes 2

writes a file for each architecture and recipe, `curves/cnn-fast.jsonl`: a line for each
configuration and seed with its hyperparameters and every epoch's metrics. Several processes train,
one writes. What is recorded is not trained again, so that a recording may be broken off and gone on
with; a configuration is known by its hyperparameters, and lines of other spaces stay of use.

Configurations are drawn by their number alone: of three, two anywhere in the space, one near a good
point. Those that come out best get further seeds. Rates are those of the fast recipe; a one-cycle
rises to twice as much. On a GPU a training computes as on a CPU, in float32.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweep.data.formats import open_events
from sweep.data.splits import Split
from sweep.machine.device import full_precision
from sweep.models import ARCHITECTURES
from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.value import Value
from sweep.plan.recipes import build_recipe
from sweep.search.seeds import derive_seed
from sweep.search.suggestion import find_nearest
from sweep.training.trainer import DivergedError, Trainer

FOLDER = Path(__file__).parent / "curves"
NUM_TRAIN, NUM_VALIDATION, NUM_EPOCHS = 400, 300, 8
NUM_CONFIGURATIONS, NUM_SEEDS, NUM_MORE = 150, 2, 2
BEST_SHARE = 1 / 4
"""Of the configurations: so many get further seeds."""
NEAR_SIGMA = 0.12
"""Of a configuration near a good point, in shares of each dimension's range on its scale."""
NAMES = ("cnn", "rcnn", "birnn")
SPACES: dict[str, dict[str, Dimension]] = {
    name: ARCHITECTURES[name].select_space(on_cpu=True) for name in NAMES
}
OTHER_POINTS: dict[str, tuple[dict[str, Value], ...]] = {
    "cnn": (
        {"lr": 5e-3, "hidden_size": 16, "num_layers": 3},
        {"lr": 1.4e-2, "beta2": 0.99, "hidden_size": 20, "num_layers": 3},
        {"lr": 8e-2, "beta1": 0.8, "beta2": 0.99, "hidden_size": 32, "num_layers": 2},
    ),
    "rcnn": (
        {"lr": 5e-3, "channels": 8},
        {"lr": 1e-2, "beta1": 0.8, "beta2": 0.99, "channels": 10},
        {"lr": 1.6e-2, "beta1": 0.8, "beta2": 0.99, "channels": 10},
    ),
    "birnn": (
        {"lr": 1e-2, "hidden_size": 32, "num_layers": 1, "bins_per_step": 10},
        {"lr": 8e-3, "beta1": 0.85, "hidden_size": 24, "bins_per_step": 10},
    ),
}
"""What else is known to do well; where a value is missing, that of the recommended point."""


def complete_point(architecture: str, point: Mapping[str, Value]) -> dict[str, Value]:
    """Complete a point by the architecture's defaults, within its space."""
    whole = {**ARCHITECTURES[architecture].defaults, **point}
    return {name: find_nearest(d, whole[name]) for name, d in SPACES[architecture].items()}


def list_good_points(architecture: str) -> list[dict[str, Value]]:
    """List what is known to do well; the recommended point comes first."""
    recommended = ARCHITECTURES[architecture].select_recommended(on_cpu=True)
    default = {"beta1": 0.9, "beta2": 0.999}
    others = [{**recommended, **default, **point} for point in OTHER_POINTS[architecture]]
    return [complete_point(architecture, point) for point in (recommended, *others)]


def draw_configuration(architecture: str, number: int) -> dict[str, Value]:
    """Draw a configuration: the good points first, then two anywhere for one near a good point."""
    space, good = SPACES[architecture], list_good_points(architecture)
    if number < len(good):
        return good[number]
    rng = np.random.default_rng(derive_seed(7, architecture, number))
    center = good[number // 3 % len(good)] if number % 3 == 2 else None
    point: dict[str, Value] = {}
    for name, dimension in space.items():
        if isinstance(dimension, Fixed):
            point[name] = dimension.value
            continue
        u = rng.random() if center is None else to_unit(center[name], dimension)
        if center is not None and (isinstance(dimension, Float) or rng.random() < 0.5):
            u = float(np.clip(u + NEAR_SIGMA * rng.standard_normal(), 0, 1 - 1e-9))
        point[name] = from_unit(u, dimension)
    return point


def to_unit(value: Value, dimension: Dimension) -> float:
    """Give the place of a value in its dimension, on its scale, from 0 to 1."""
    if isinstance(dimension, Choice):
        return (dimension.values.index(value) + 0.5) / len(dimension.values)
    if isinstance(dimension, Int):
        return (float(value) - dimension.low + dimension.step / 2) / (
            dimension.high - dimension.low + dimension.step
        )
    assert isinstance(dimension, Float)
    low, high, place = (_scale(v, dimension) for v in (dimension.low, dimension.high, float(value)))
    return (place - low) / (high - low)


def from_unit(u: float, dimension: Dimension) -> Value:
    """Give the value at a place of a dimension: the inverse of `to_unit`."""
    if isinstance(dimension, Choice):
        return dimension.values[min(int(u * len(dimension.values)), len(dimension.values) - 1)]
    if isinstance(dimension, Int):
        count = (dimension.high - dimension.low) // dimension.step + 1
        return dimension.low + dimension.step * min(int(u * count), count - 1)
    assert isinstance(dimension, Float)
    low, high = (_scale(v, dimension) for v in (dimension.low, dimension.high))
    place = low + u * (high - low)
    if dimension.scale == "one_minus_log":
        return round(1 - math.exp(-place), 12)
    return math.exp(place) if dimension.scale == "log" else place


def _scale(value: float, dimension: Float) -> float:
    if dimension.scale == "one_minus_log":
        return -math.log(1 - value)
    return math.log(value) if dimension.scale == "log" else value


@dataclass(frozen=True)
class Job:
    """One training of a recording."""

    architecture: str
    number: int
    seed: int

    @property
    def params(self) -> dict[str, Value]:
        """Of its configuration."""
        return draw_configuration(self.architecture, self.number)

    @property
    def key(self) -> str:
        """By which its line is known."""
        return write_key(self.params, self.seed)


@dataclass(frozen=True)
class Setting:
    """What all trainings of a recording have alike."""

    recipe: str
    train: Path
    validation: Path
    device: str


@cache
def open_split(setting: Setting) -> Split:
    """Open the events, once a process."""
    return Split(
        open_events([setting.train]).take(np.arange(NUM_TRAIN)),
        open_events([setting.validation]).take(np.arange(NUM_VALIDATION)),
    )


def write_key(params: Mapping[str, Value], seed: int) -> str:
    """Write what a line of a recording is known by."""
    return json.dumps([dict(sorted(params.items())), seed])


def train(job: Job, setting: Setting) -> dict[str, Any]:
    """Train one configuration; it has fewer epochs than the recipe where it diverges."""
    torch.set_num_threads(1)
    family, recipe = ARCHITECTURES[job.architecture], build_recipe(setting.recipe, NUM_EPOCHS, 1)
    values = {"batch_size": 16, **job.params}
    if recipe.schedule == "one_cycle":  # whose mean rate is half of its highest
        values["lr"] = 2 * float(values["lr"])
    torch.manual_seed(derive_seed(job.seed, "weights"))
    network = family.build_trial(values)
    trainer = Trainer(
        network,
        open_split(setting),
        recipe,
        values,
        seed=job.seed,
        device=torch.device(setting.device),
    )
    trainer.step.is_mixed = False
    epochs: list[dict[str, Any]] = []
    try:
        with full_precision():
            for result in trainer.run():
                counts = result.score.counts
                epochs.append(
                    {
                        "train_loss": _round(result.train_loss),
                        "validation_loss": _round(result.score.validation_loss or math.nan),
                        "found": counts.found,
                        "missed": counts.missed,
                        "false_positives": counts.false_positives,
                        "duration_s": _round(result.duration_s),
                    }
                )
    except DivergedError:
        pass
    return {
        "number": job.number,
        "seed": job.seed,
        "params": job.params,
        "device": setting.device,
        "epochs": epochs,
    }


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def read_curves(folder: Path, architecture: str, recipe: str) -> Iterator[dict[str, Any]]:
    """Read what is recorded; a line that was broken off is left out."""
    path = folder / f"{architecture}-{recipe}.jsonl"
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def read_end(row: Mapping[str, Any]) -> float:
    """Read the last loss of a training; infinite where it diverged."""
    is_whole = len(row["epochs"]) == NUM_EPOCHS
    return float(row["epochs"][-1]["validation_loss"]) if is_whole else math.inf


class Recording:
    """The lines that are there and the jobs that are missing.

    Args:
        folders: What is recorded is read from all of them; written is into the last.
    """

    def __init__(self, folders: Sequence[Path], setting: Setting) -> None:
        self.folder, self.setting = folders[-1], setting
        self.end_of = {
            (name, write_key(row["params"], row["seed"])): read_end(row)
            for name in NAMES
            for folder in folders
            for row in read_curves(folder, name, setting.recipe)
        }
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, architecture: str, row: dict[str, Any]) -> None:
        """Write a line, whole and at once."""
        self.end_of[architecture, write_key(row["params"], row["seed"])] = read_end(row)
        path = self.folder / f"{architecture}-{self.setting.recipe}.jsonl"
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def list_missing(self, jobs: Iterable[Job]) -> list[Job]:
        """List the jobs that have no line yet."""
        return [job for job in jobs if (job.architecture, job.key) not in self.end_of]

    def list_best(self, architecture: str, count: int) -> list[int]:
        """List the numbers of the best configurations, by the mean of the first seeds."""
        mean_of = {
            number: sum(
                self.end_of.get((architecture, Job(architecture, number, seed).key), math.inf)
                for seed in range(1, NUM_SEEDS + 1)
            )
            for number in range(count)
        }
        ranked = sorted(mean_of, key=lambda number: mean_of[number])
        return ranked[: round(BEST_SHARE * count)]


def work(recording: Recording, jobs: Sequence[Job], processes: int, until_s: float) -> None:
    """Train jobs in order, so many at a time, until all are done or the time is over."""
    coming, running, num_done = iter(jobs), {}, 0
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        while True:
            while len(running) < processes and time.monotonic() < until_s:
                job = next(coming, None)
                if job is None:
                    break
                running[pool.submit(train, job, recording.setting)] = job
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                recording.add(running.pop(done).architecture, done.result())
                num_done += 1
                if num_done % 25 == 0:
                    print(f"{num_done} of {len(jobs)} trainings", flush=True)


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--configurations", type=int, default=NUM_CONFIGURATIONS)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--more", type=int, default=NUM_MORE, help="further seeds of the best")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing after them")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write, if not there")
    options = parser.parse_args()
    until_s = time.monotonic() + 60 * options.minutes
    setting = Setting(options.recipe, options.train, options.validation, options.device)
    recording = Recording(list(dict.fromkeys((FOLDER, options.out))), setting)
    first = [
        Job(name, number, seed)
        for number in range(options.first, options.configurations)
        for seed in range(1, NUM_SEEDS + 1)
        for name in options.architectures
    ]
    work(recording, recording.list_missing(first), options.processes, until_s)
    best = {name: recording.list_best(name, options.configurations) for name in NAMES}
    more = [
        Job(name, number, NUM_SEEDS + seed)
        for seed in range(1, options.more + 1)
        for rank in range(round(BEST_SHARE * options.configurations))
        for name in options.architectures
        for number in best[name][rank : rank + 1]
    ]
    work(recording, recording.list_missing(more), options.processes, until_s)


if __name__ == "__main__":
    main()

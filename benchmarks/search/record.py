"""Records learning curves of many configurations once, so that searches can be replayed for ever.

    python benchmarks/search/record.py --architecture cnn --train TRAIN.npz --validation VAL.npz

writes `curves/cnn-fast.jsonl` beside this file: a line for each configuration and seed with every
epoch's metrics. What is there already is not trained again, so that a recording may be broken off
and gone on with; several processes share one by `--part 0/2` and `--part 1/2`.

Configurations are drawn by their number alone: of three, two anywhere in the space, one near a good
point. Rates are those of the fast recipe; a one-cycle rises to twice as much.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import ARCHITECTURES
from models.space import Choice, Dimension, Fixed, Float, Int
from models.value import Value
from sweep.config import Recipe
from sweep.data.formats import open_events
from sweep.data.splits import Split
from sweep.plan.recipes import build_recipe
from sweep.seeds import derive_seed
from sweep.training.trainer import DivergedError, Trainer

FOLDER = Path(__file__).parent / "curves"
NUM_TRAIN, NUM_VALIDATION, NUM_EPOCHS = 400, 300, 8
NUM_CONFIGURATIONS, SEEDS = 150, (1, 2)
NEAR_SIGMA = 0.12
"""Of a configuration near a good point, in shares of each dimension's range on its scale."""
SPACES: dict[str, dict[str, Dimension]] = {
    name: ARCHITECTURES[name].select_space(on_cpu=True) for name in ("cnn", "rcnn", "birnn")
}
GOOD_POINTS: dict[str, tuple[dict[str, Value], ...]] = {
    "cnn": (
        {"lr": 5e-3, "beta1": 0.9, "beta2": 0.999, "hidden_size": 16, "num_layers": 3},
        {"lr": 1.4e-2, "beta1": 0.9, "beta2": 0.99, "hidden_size": 20, "num_layers": 3},
    ),
    "rcnn": (
        {
            "lr": 5e-3,
            "beta1": 0.9,
            "beta2": 0.999,
            "hidden_size": 16,
            "num_layers": 1,
            "channels": 8,
        },
    ),
    "birnn": (
        {
            "lr": 1e-2,
            "beta1": 0.9,
            "beta2": 0.999,
            "hidden_size": 32,
            "num_layers": 1,
            "bins_per_step": 10,
        },
    ),
}


def draw_configuration(architecture: str, number: int) -> dict[str, Value]:
    """Draw a configuration: the good points first, then two anywhere for one near a good point."""
    space, good = SPACES[architecture], GOOD_POINTS[architecture]
    fixed = {name: d.value for name, d in space.items() if isinstance(d, Fixed)}
    if number < len(good):
        return {**good[number], **fixed}
    rng = np.random.default_rng(derive_seed(7, architecture, number))
    center = good[number // 3 % len(good)] if number % 3 == 2 else None
    point = dict(fixed)
    for name, dimension in space.items():
        if not isinstance(dimension, Fixed):
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


def train(
    architecture: str, point: Mapping[str, Value], seed: int, recipe: Recipe, split: Split
) -> list[dict[str, Any]]:
    """Train one configuration and give its epochs; fewer than the recipe's where it diverges."""
    family = ARCHITECTURES[architecture]
    values = {"batch_size": 16, **point}
    if recipe.schedule == "one_cycle":  # whose mean rate is half of its highest
        values["lr"] = 2 * float(values["lr"])
    torch.manual_seed(derive_seed(seed, "weights"))
    network = family.build({k: v for k, v in values.items() if k in family.network_hyperparameters})
    trainer = Trainer(network, split, recipe, values, seed=seed, device=torch.device("cpu"))
    epochs: list[dict[str, Any]] = []
    try:
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
    return epochs


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def read_curves(path: Path) -> Iterator[dict[str, Any]]:
    """Read what is recorded; a line that was broken off is left out."""
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", choices=SPACES, required=True)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--configurations", type=int, default=NUM_CONFIGURATIONS)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--part", default="0/1")
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = Split(
        open_events([options.train]).take(np.arange(NUM_TRAIN)),
        open_events([options.validation]).take(np.arange(NUM_VALIDATION)),
    )
    recipe = build_recipe(options.recipe, NUM_EPOCHS, NUM_EPOCHS)
    path = FOLDER / f"{options.architecture}-{options.recipe}.jsonl"
    FOLDER.mkdir(exist_ok=True)
    part, parts = (int(word) for word in options.part.split("/"))
    for seed in SEEDS[: options.seeds]:
        for number in range(part, options.configurations, parts):
            if any(r["number"] == number and r["seed"] == seed for r in read_curves(path)):
                continue
            point = draw_configuration(options.architecture, number)
            epochs = train(options.architecture, point, seed, recipe, split)
            line = {"number": number, "seed": seed, "params": point, "epochs": epochs}
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())


if __name__ == "__main__":
    main()

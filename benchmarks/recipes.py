"""Changes one thing at a time of how a network is trained, on one budget, and prints a table.

    python benchmarks/recipes.py --train TRAIN.npz --val VAL.npz --log recipes.jsonl

Every row sees the same number of events as often and is judged on the same events; the efficiency
is at a fixed rate of false positives, the peak finder's settings chosen for it, so that rows
compare. A training is a line of the log: what stands there is not trained again, and a run that was
stopped goes on. `--rows` names some of them; `--table` prints what the log has.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sweep.data.events import EventSet
from sweep.data.formats import open_events
from sweep.data.splits import Split, pair_events, take_some
from sweep.data.toy import open_toy_events
from sweep.models import ARCHITECTURES
from sweep.models.value import Value
from sweep.plan.recipes import build_recipe
from sweep.training.batches import Batches
from sweep.training.forward import predict_batches
from sweep.training.trainer import EpochResult, Trainer

MAX_FP = 0.09
TOY_SEED = 20
DEVICE = torch.device("cpu")
TAUGHT_SHARE = 0.5
"""Of a distilled network's targets, what its teacher says; the rest is the truth."""


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        settings: What differs from the architecture's recommended point.
        recipe: What differs from the recipe `name`.
        teach: Gives the passes, each a set of events and its number of epochs.
    """

    settings: Mapping[str, Value] = field(default_factory=dict)
    name: str = "fast"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    teach: Callable[[Asked], Sequence[tuple[Split, int]]] = lambda asked: [
        (asked.real, asked.epochs)
    ]


@dataclass(frozen=True)
class Asked:
    """The events and the budget of all rows: `real` as often as `epochs` says."""

    architecture: str
    real: Split
    toys: EventSet
    epochs: int
    seed: int

    def train_with(self, events: EventSet) -> Split:
        """Give the split with other events to learn from."""
        return replace(self.real, train=events)


class _Softened(EventSet):
    """Events whose targets are partly what a teacher predicts for them."""

    def __init__(self, events: EventSet, taught_NL: NDArray[np.float32]) -> None:
        super().__init__(events._stores, events._rows)
        self._taught_NL = taught_NL

    def load(self, indices: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x_BCL, y_BL = super().load(indices)
        taught_BL = self._taught_NL[np.asarray(indices)]
        return x_BCL, (1.0 - TAUGHT_SHARE) * y_BL + TAUGHT_SHARE * taught_BL


def _mix(asked: Asked) -> list[tuple[Split, int]]:
    return [(asked.train_with(asked.real.train.join(asked.toys)), asked.epochs // 2)]


def _toys_alone(asked: Asked) -> list[tuple[Split, int]]:
    return [(asked.train_with(asked.toys), asked.epochs)]


def _toys_first(asked: Asked) -> list[tuple[Split, int]]:
    half = asked.epochs // 2
    return [(asked.train_with(asked.toys), half), (asked.real, asked.epochs - half)]


def _distil(asked: Asked) -> list[tuple[Split, int]]:
    """Give the events as the network of the same steps on other events sees them."""
    teacher, _result = _train(replace(asked, seed=asked.seed + 100), Row(teach=_mix))
    batches = Batches(asked.real.train, 64, DEVICE)
    with torch.no_grad():
        taught = [prediction for prediction, _y in predict_batches(teacher, batches)]
    softened = _Softened(asked.real.train, torch.cat(taught).numpy())
    return [(asked.train_with(softened), asked.epochs)]


ROWS: Mapping[str, Row] = {
    "as it is": Row(),
    "no average of the weights": Row(recipe={"average": None}),
    "one-cycle, no average": Row(name="one-cycle"),
    "half of the events reflected": Row({"reflected_share": 0.5}),
    "asymmetry 0.15": Row({"asymmetry": 0.15}),
    "asymmetry 0.5": Row({"asymmetry": 0.5}),
    "no weight decay": Row({"weight_decay": 0.0}),
    "weight decay 0.1": Row({"weight_decay": 0.1}),
    "batches of 8": Row({"batch_size": 8}),
    "batches of 32": Row({"batch_size": 32}),
    "x and y as they are": Row({"positions": "signed"}),
    "asymmetry 0.15, half reflected": Row({"asymmetry": 0.15, "reflected_share": 0.5}),
    "the same, batches of 8, weight decay 0.1": Row(
        {"asymmetry": 0.15, "reflected_share": 0.5, "batch_size": 8, "weight_decay": 0.1}
    ),
    "no clipping": Row(recipe={"clip_norm": None}),
    "as many own toys beside": Row(teach=_mix),
    "own toys alone": Row(teach=_toys_alone),
    "own toys, then the real ones": Row(teach=_toys_first),
    "distilled": Row(teach=_distil),
}


def main() -> None:
    """Train every row that the log lacks, then print the table."""
    asked = _parse(sys.argv[1:])
    done = _read(asked.log)
    if not asked.table:
        torch.set_num_threads(asked.threads)
        real = pair_events(
            take_some(open_events([asked.train]), "events", asked.events, seed=0),
            open_events([asked.val]),
            num_validation=asked.val_events,
        )
        toys = open_toy_events(asked.events, TOY_SEED)
        for seed in range(1, asked.seeds + 1):
            budget = Asked(asked.architecture, real, toys, asked.epochs, seed)
            for name in asked.rows or ROWS:
                if (name, seed) not in done:
                    done[name, seed] = _measure(budget, name)
                    with asked.log.open("a") as log:
                        log.write(json.dumps([name, seed, done[name, seed]]) + "\n")
    _print(done)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--val", type=Path)
    parser.add_argument("--log", type=Path, default=Path("recipes.jsonl"))
    parser.add_argument("--architecture", default="coarsefine")
    parser.add_argument("--events", type=int, default=1500, help="of TRAIN")
    parser.add_argument("--val-events", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2, help="an even number")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", nargs="*", choices=ROWS)
    parser.add_argument("--table", action="store_true", help="print only")
    return parser.parse_args(arguments)


def _read(log: Path) -> dict[tuple[str, int], dict[str, float]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return {(name, seed): result for name, seed, result in map(json.loads, lines)}


def _measure(asked: Asked, name: str) -> dict[str, float]:
    began_s = time.process_time()
    _network, result = _train(asked, ROWS[name])
    counts = result.score.counts
    measured = {
        "loss": result.score.validation_loss or float("nan"),
        "efficiency": counts.found / counts.true_peaks,
        "fp": counts.false_positives / counts.events,
        "processor_s": time.process_time() - began_s,
    }
    print(f"{name}, seed {asked.seed}: {measured}", flush=True)
    return measured


def _train(asked: Asked, row: Row) -> tuple[torch.nn.Module, EpochResult]:
    """Train a network by a row; gives it as it was judged last, with that."""
    architecture = ARCHITECTURES[asked.architecture]
    settings = {"batch_size": 16, **architecture.defaults, **architecture.recommended}
    settings |= row.settings
    passes = row.teach(asked)
    torch.manual_seed(asked.seed)
    network = architecture.build(
        {name: value for name, value in settings.items() if name in architecture.defaults}
    )
    for split, epochs in passes:
        recipe = build_recipe(row.name, epochs, epochs).model_copy(update=row.recipe)
        trainer = Trainer(
            network, split, recipe, settings, seed=asked.seed, device=DEVICE, max_fp=MAX_FP
        )
        *_before, result = trainer.run()
        network.load_state_dict(trainer.capture_judged())
    return network, result


def _print(done: Mapping[tuple[str, int], Mapping[str, float]]) -> None:
    print(f"| | loss | efficiency at {MAX_FP} FP an event | seeds | processor s |")
    print("|---|---|---|---|---|")
    for name in ROWS:
        own = [result for (row, _seed), result in done.items() if row == name]
        if own:
            loss, efficiency, spent = (
                [one[key] for one in own] for key in ("loss", "efficiency", "processor_s")
            )
            print(
                f"| {name} | {_say(loss, 4)} | {_say(efficiency, 3)} | {len(own)} "
                f"| {statistics.mean(spent):.0f} |"
            )


def _say(values: Sequence[float], digits: int) -> str:
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


if __name__ == "__main__":
    main()

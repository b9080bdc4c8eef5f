"""Time to quality beside what a person would use instead, on one machine.

    python benchmarks/peers.py --out FOLDER [--model cnn,coarsefine,rcnn] [--races 2] [--quick]

Each of four searches the same space on the same events with as many trials, epochs and threads:
`sweep run` by its defaults, without a confirmation; `script`, benchmarks/peer_script.py; `random`,
the same drawn at random, without pruning; `ray`, benchmarks/peer_ray.py, where `ray[tune]` is
there. None is told of the others. The clock of `sweep` begins before its command is started, those
of the others once they have loaded their libraries.

What each called its best at a time is then trained anew with fresh seeds by the same trainer. The
best known is the best mean of these, of all searches in all races, each of which has a seed of its
own; a search is there when what it calls its best is within 2 % of it. All is kept in FOLDER, and
the same command goes on where it was ended; a search that was ended begins anew, since its clock
ran. `--search-only` leaves the training anew, which nobody times, for later.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peer_script import parse

from sweep.data.splits import Split
from sweep.machine.process import COMMAND
from sweep.models import find_architecture
from sweep.plan.plan import plan_sweep
from sweep.plan.profile import CPU
from sweep.plan.recipes import build_recipe
from sweep.plan.request import Request
from sweep.storage.engine import close_after, open_engine, parse_url
from sweep.storage.epochs import read_trials
from sweep.storage.sweeps import COMPLETE, find_sweep
from sweep.training.trainer import DivergedError, Trainer

HERE = Path(__file__).parent
NEAR = 1.02
FIRST_SEED = 1001
QUICK = {"events": 300, "val_events": 150, "epochs": 6, "trials": 4, "seeds": 1}

Line = dict[str, Any]
"""A trial that came to its end: seconds since the start, loss, values."""


def run_ours(asked: argparse.Namespace, model: str, path: Path) -> None:
    """Run `sweep run`, and read from its database when each trial came to its end."""
    database = path.with_suffix(".db")
    for part in database.parent.glob(f"{database.name}*"):
        part.unlink()
    began_s = time.time()
    command = [*COMMAND, "run", "--model", model, "--storage", f"sqlite:///{database}"]
    command += ["--artifacts", str(path.with_suffix(".artifacts")), "--no-confirm"]
    command += ["--workers", str(asked.threads), "--profile", "cpu", *list_sizes(asked)]
    run(command, path)
    with close_after(open_engine(parse_url(f"sqlite:///{database}"))) as engine:
        trials = read_trials(engine, find_sweep(engine, model).id)
    lines = [
        {"wall_s": one.finished_s - began_s, "loss": one.best.validation_loss, "params": one.params}
        for one in trials
        if one.state == COMPLETE and one.best is not None and one.finished_s is not None
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def run_peer(asked: argparse.Namespace, model: str, path: Path, program: str, *more: str) -> None:
    """Run a script, whose clock begins when it has loaded its libraries."""
    began_s = time.time()
    options = ["--model", model, "--threads", str(asked.threads), *list_sizes(asked), *more]
    run([sys.executable, str(HERE / program), *options, "--out", str(path)], path)
    spent_s = time.time() - began_s
    print(f"{model}, {path.stem}: {spent_s:.0f} s in all", flush=True)


def list_sizes(asked: argparse.Namespace) -> list[str]:
    names = ("events", "val_events", "epochs", "trials", "seed")
    return [
        part
        for name in names
        for part in (f"--{name.replace('_', '-')}", str(getattr(asked, name)))
    ]


def run(command: Sequence[str], path: Path) -> None:
    with path.with_suffix(".log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)


def search(asked: argparse.Namespace, model: str, peer: str, seed: int) -> list[Line]:
    """Have one search, unless it is there already; gives its lines in the order of time."""
    asked = argparse.Namespace(**{**vars(asked), "seed": seed})
    path = asked.out / f"{model}-{peer}-{seed}.jsonl"
    done = path.with_suffix(".done")
    if not done.exists():
        if peer == "sweep":
            run_ours(asked, model, path)
        elif peer == "ray":
            run_peer(asked, model, path, "peer_ray.py")
        else:
            sampler = "random" if peer == "random" else "default"
            run_peer(asked, model, path, "peer_script.py", "--sampler", sampler)
        done.touch()
    return sorted(map(json.loads, path.read_text().splitlines()), key=lambda line: line["wall_s"])


def list_leaders(lines: Sequence[Line]) -> Iterator[Line]:
    """List what a search called its best, each from when it did."""
    best = math.inf
    for line in lines:
        if line["loss"] < best:
            best = line["loss"]
            yield line


class Judge:
    """Trains configurations anew with fresh seeds, each once, and keeps what came of it."""

    def __init__(self, asked: argparse.Namespace, model: str) -> None:
        self._asked, self._model = asked, model
        self._path = asked.out / f"{model}-judged.jsonl"
        request = Request(model=model, events=asked.events, val_events=asked.val_events)
        self._split: Split = plan_sweep(request, CPU).split
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known: dict[tuple[str, int], float] = {
            (one["key"], one["seed"]): one["loss"] for one in map(json.loads, lines)
        }

    def judge(self, params: Mapping[str, Any]) -> float:
        """Give the mean loss of a configuration's last epochs; infinite where one diverged."""
        seeds = range(FIRST_SEED, FIRST_SEED + self._asked.seeds)
        return statistics.mean(self._train_once(params, seed) for seed in seeds)

    def _train_once(self, params: Mapping[str, Any], seed: int) -> float:
        key = json.dumps(params, sort_keys=True)
        if (key, seed) not in self._known:
            loss = self._train(params, seed)
            self._known[key, seed] = loss
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "seed": seed, "loss": loss}) + "\n")
        return self._known[key, seed]

    def _train(self, params: Mapping[str, Any], seed: int) -> float:
        torch.manual_seed(seed)
        network = find_architecture(self._model).build(params)
        recipe = build_recipe("fast", self._asked.epochs, self._asked.epochs)
        trainer = Trainer(
            network, self._split, recipe, params, seed=seed, device=torch.device("cpu")
        )
        try:
            *_, last = trainer.run()
        except DivergedError:
            return math.inf
        return math.inf if last.score.validation_loss is None else last.score.validation_loss


def compare(asked: argparse.Namespace, model: str, peers: Sequence[str]) -> None:
    """Have all searches of one architecture, and print when each was there."""
    races = range(asked.seed, asked.seed + asked.races)
    leaders = {
        (peer, seed): list(list_leaders(search(asked, model, peer, seed)))
        for seed in races
        for peer in peers
    }
    if asked.search_only:
        return
    judge = Judge(asked, model)
    judged = {
        one: [(line["wall_s"], judge.judge(line["params"])) for line in lines]
        for one, lines in leaders.items()
    }
    best = min((loss for found in judged.values() for _wall_s, loss in found), default=math.inf)
    there = {
        one: next((wall_s for wall_s, loss in found if loss <= NEAR * best), math.inf)
        for one, found in judged.items()
    }
    for peer in peers:
        ratios = [there["sweep", seed] / there[peer, seed] for seed in races]
        lasts = [judged[peer, seed][-1][1] if judged[peer, seed] else math.nan for seed in races]
        cells = (
            ", ".join(f"{there[peer, seed]:.0f}" for seed in races),
            ", ".join(f"{ratio:.2f}" for ratio in ratios),
            ", ".join(f"{last:.4f} ({last / best:.3f})" for last in lasts),
        )
        print(f"| {model} | {peer} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = parse(__doc__.splitlines()[0])
    parser.set_defaults(model="cnn,coarsefine,rcnn")
    parser.add_argument("--peers", default="sweep,script,random,ray", help="with sweep")
    parser.add_argument("--races", type=int, default=1, help="each with a seed of its own")
    parser.add_argument("--search-only", action="store_true")
    parser.add_argument("--seeds", type=int, default=3, help="fresh ones of each configuration")
    parser.add_argument("--quick", action="store_true", help="some minutes, cnn alone: says little")
    asked = parser.parse_args()
    if asked.quick:
        vars(asked).update(QUICK, model="cnn")
    asked.out = asked.out.absolute()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(asked.threads)
    peers = [one for one in asked.peers.split(",") if one != "ray" or find_spec("pyarrow")]
    print("| network | search | there after, s | sweep / it | its best anew (/ best known) |")
    print("|---|---|---|---|---|", flush=True)
    for model in asked.model.split(","):
        compare(asked, model, peers)


if __name__ == "__main__":
    main()

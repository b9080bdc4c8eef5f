"""Trains several networks side by side on one device, each for so many seconds, and prints epochs.

    python benchmarks/networks.py --train TRAIN.npz --val VAL.npz --events 3000 --toys 12000 \
        --seconds 30 unet cnn:lr=0.01,hidden_size=32

A network is an architecture with what differs from its defaults. Each is a process of its own; all
share the device, so that seconds compare within a run only. The recipe `fast` has no horizon: every
epoch's numbers are those of a training that ends there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from sweep.data.formats import open_events
from sweep.data.splits import Split, pair_events, take_some
from sweep.data.toy import open_toy_events
from sweep.models import ARCHITECTURES, count_parameters
from sweep.models.value import Value, read_value
from sweep.plan.recipes import build_recipe
from sweep.training.trainer import EpochResult, Trainer

TOY_SEED = 20


def main() -> None:
    """Make the events, train all side by side, or, as one of their processes, one."""
    asked = _parse(sys.argv[1:])
    started_s = time.monotonic()
    split = _open_split(asked)
    if len(asked.networks) == 1:
        _train(asked.networks[0], split, asked)
        return
    print(f"{len(split.train)} training events ready after {time.monotonic() - started_s:.1f} s")
    children = [
        subprocess.Popen([sys.executable, __file__, *_list_options(asked), network])
        for network in asked.networks
    ]
    sys.exit(max(child.wait() for child in children))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--events", type=int, default=3000, help="of TRAIN")
    parser.add_argument("--val-events", type=int, default=1000)
    parser.add_argument("--toys", type=int, default=0, help="own toy events beside them")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each network")
    parser.add_argument("--epochs", type=int, default=1000, help="at most, for each network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=4, help="of the CPU for each network")
    parser.add_argument("networks", nargs="+", metavar="NAME[:KEY=VALUE,...]")
    return parser.parse_args(arguments)


def _list_options(asked: argparse.Namespace) -> Iterator[str]:
    for name, value in vars(asked).items():
        if name != "networks" and value is not None:
            yield from (f"--{name.replace('_', '-')}", str(value))


def _open_split(asked: argparse.Namespace) -> Split:
    train = take_some(open_events([asked.train]), "events", asked.events, seed=0)
    if asked.toys:
        train = train.join(open_toy_events(asked.toys, TOY_SEED))
    return pair_events(train, open_events([asked.val]), num_validation=asked.val_events)


def _train(text: str, split: Split, asked: argparse.Namespace) -> None:
    """Train one network and print a line an epoch, until its time is over."""
    torch.set_num_threads(asked.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name, settings = _read_network(text, device.type)
    torch.manual_seed(asked.seed)
    network = ARCHITECTURES[name].build(
        {key: value for key, value in settings.items() if key in ARCHITECTURES[name].defaults}
    )
    trainer = Trainer(
        network,
        split,
        build_recipe("fast", asked.epochs, asked.epochs),
        settings,
        seed=asked.seed,
        device=device,
    )
    print(f"{text}: {count_parameters(network)} parameters on {device}", flush=True)
    spent_s, began_s = 0.0, time.process_time()
    for result in trainer.run():
        spent_s += result.duration_s
        times = f"{spent_s:.1f} s, of processors {time.process_time() - began_s:.1f} s"
        print(f"{text}: epoch {result.epoch}, {times}, {_describe(result)}", flush=True)
        if spent_s + result.duration_s > asked.seconds:
            return


def _read_network(text: str, device: str) -> tuple[str, dict[str, Value]]:
    """Read an architecture and its hyperparameters: recommended, but for what is given."""
    name, _colon, written = text.partition(":")
    architecture = ARCHITECTURES[name]
    given = dict(entry.split("=") for entry in written.split(",") if entry)
    batch_size = 64 if device == "cuda" else 16
    return name, {
        "batch_size": batch_size,
        **architecture.defaults,
        **architecture.recommended,
        **{key: read_value(value) for key, value in given.items()},
    }


def _describe(result: EpochResult) -> str:
    counts = result.score.counts
    return (
        f"train {result.train_loss:.4f}, loss {result.score.validation_loss:.4f}, "
        f"efficiency {counts.found / counts.true_peaks:.4f}, "
        f"FP {counts.false_positives / counts.events:.4f}"
    )


if __name__ == "__main__":
    main()

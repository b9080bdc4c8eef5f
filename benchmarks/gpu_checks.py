"""Checks of recorded steps on a GPU: that they agree, go on, end, and leave nothing behind."""

from __future__ import annotations

import copy
import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gpu_trainings import (
    BATCH_SIZE,
    GPU,
    NETWORKS,
    SMALL,
    VALUES,
    build,
    compare,
    list_losses,
    make_trainer,
    take,
)
from torch import Tensor, nn

from sweep.data.splits import Split
from sweep.machine.device import free_memory
from sweep.machine.signals import Signals
from sweep.machine.turns import my_turn
from sweep.models import ARCHITECTURES
from sweep.training import batches
from sweep.training.trainer import InterruptedTrainingError
from sweep.worker.together import run_together

NAMES = {"reflected": SMALL}
CHECKS: list[Callable[[Split], str]] = []


def check(function: Callable[[Split], str]) -> Callable[[Split], str]:
    """Have a function called among the checks; it says what it saw, or raises."""
    CHECKS.append(function)
    return function


class Dropping(nn.Module):
    """Has random numbers of the device in it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build(SMALL)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x_BCL: Tensor) -> Tensor:
        return self.inner(self.dropout(x_BCL))


class Odd(Dropping):
    """A person's own network; what it does in a batch that cannot be recorded is `act`."""

    def __init__(self, act: Callable[[Odd, Tensor], None]) -> None:
        super().__init__()
        self.odd = act
        self.count = 0

    def forward(self, x_BCL: Tensor) -> Tensor:
        if self.training:
            self.odd(self, x_BCL)
        return super().forward(x_BCL)


def read_value(_self: Odd, x_BCL: Tensor) -> None:
    assert float(x_BCL.sum()) < 1e9


def count(self: Odd, _x_BCL: Tensor) -> None:
    self.count += 1


def wait_for_all(_self: Odd, _x_BCL: Tensor) -> None:
    mark = torch.cuda.Event()
    mark.record()
    mark.synchronize()


def refuse(_self: Odd, _x_BCL: Tensor) -> None:
    if torch.cuda.is_current_stream_capturing():
        raise ValueError("not while it is recorded")


def draw_otherwise(_self: Odd, x_BCL: Tensor) -> None:
    generator = torch.Generator(device=x_BCL.device)
    torch.rand(3, device=x_BCL.device, generator=generator)


@check
def check_replays_agree(split: Split) -> str:
    """Recorded, called and called again: losses after three epochs."""
    lines = []
    for name in (SMALL, "rcnn, 16 cells", "mlp", "dropout", "reflected"):
        network: Callable[[], Any] = {"dropout": Dropping, "reflected": lambda: SMALL}.get(
            name, lambda name=name: name
        )
        values = {**VALUES, "reflected_share": 0.5} if name == "reflected" else VALUES
        curves = []
        for is_replayed in (True, True, False, False):
            torch.manual_seed(5)
            curves.append(
                list_losses(
                    make_trainer(network(), split, 3, is_replayed=is_replayed, values=values)
                )
            )
        lines.append(
            f"{name}: recorded against called {compare(curves[0], curves[2]):.1e}, recorded twice "
            f"{compare(curves[0], curves[1]):.1e}, called twice {compare(curves[2], curves[3]):.1e}"
        )
        assert compare(curves[0], curves[2]) < 1e-6, curves
    return "largest relative difference of a loss in 3 epochs; " + "; ".join(lines)


@check
def check_it_records(split: Split) -> str:
    """The built-in networks are recorded, and nothing is said against it."""
    said = []
    others = set(ARCHITECTURES) - {family for family, _sizes in NETWORKS.values()}
    for name in [*NETWORKS, *sorted(others)]:
        network = name if name in NETWORKS else ARCHITECTURES[name].load_network()()
        start = time.monotonic()
        try:
            trainer = make_trainer(network, take(split, 6 * BATCH_SIZE, 64), 2)
            list_losses(trainer)
            number = str(trainer.player.num_recorded)
        except Exception as exc:
            number = repr(exc)[:200]
        said.append(f"{name}: {number} in {time.monotonic() - start:.1f} s")
        free_memory(GPU)
    assert all(": 1 in" in line for line in said), said
    return "recordings; " + "; ".join(said)


@check
def check_resumption(split: Split) -> str:
    """Interrupted in mid-epoch, through a file and the CPU, it goes on to the same losses."""
    lines = []
    for name in (SMALL, "rcnn, 16 cells", "dropout"):
        network: Callable[[], Any] = Dropping if name == "dropout" else lambda name=name: name
        torch.manual_seed(5)
        whole = list_losses(make_trainer(network(), split, 3))
        asked: list[bool] = []
        torch.manual_seed(5)
        broken = make_trainer(
            network(), split, 3, is_interrupted=lambda a=asked: a.append(True) or len(a) == 160
        )
        curve: list[float] = []
        try:
            for result in broken.run():
                curve += [result.train_loss, result.score.validation_loss or 0.0]
        except InterruptedTrainingError:
            pass
        path = Path(os.environ["SWEEP_CACHE"]) / "state.pt"
        torch.save(broken.capture(), path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        torch.manual_seed(77)
        resumed = make_trainer(network(), split, 3)
        resumed.restore(state)
        curve += list_losses(resumed)
        difference = compare(whole, curve)
        lines.append(f"{name}: {'equal to the bit' if whole == curve else f'{difference:.1e}'}")
        on_cpu = make_trainer(network(), split, 3, device=torch.device("cpu"))
        on_cpu.restore(copy.deepcopy(state))
        assert difference < 1e-6, (whole, curve)
    return "interrupted after some 160 questions, from a file; " + "; ".join(lines)


@check
def check_several_at_once(split: Split) -> str:
    """Trainings that take turns in one process end on the bits of each alone."""
    kinds = (SMALL, "rcnn, 16 cells", "dropout", "reflected")

    def train(kind: str, seed: int) -> list[float]:
        with my_turn():
            torch.manual_seed(seed)
            network: Any = Dropping() if kind == "dropout" else build(NAMES.get(kind, kind))
            values = {**VALUES, "reflected_share": 0.5} if kind == "reflected" else VALUES
            return list_losses(make_trainer(network, split, 3, seed=seed, values=values))

    curves: dict[tuple[str, int], list[float]] = {}
    wanted = [(kind, seed) for kind in kinds for seed in (5, 6)]
    works = [lambda one=one: curves.update({one: train(*one)}) for one in wanted]
    run_together(works, GPU, Signals())
    said = []
    for kind, seed in wanted:
        alone = train(kind, seed)
        difference = compare(alone, curves[kind, seed])
        said.append(f"{kind}, {seed}: {difference or 'equal to the bit'}")
    assert all("equal" in line for line in said), said
    return f"{len(wanted)} trainings; " + "; ".join(said)


@check
def check_what_cannot_be_recorded(split: Split) -> str:
    """Networks of a person's own are called instead, and the GPU is sound afterwards."""
    said = []
    for act in (read_value, count, wait_for_all, refuse, draw_otherwise):
        few = take(split, 8 * BATCH_SIZE, 64)
        torch.manual_seed(5)
        trainer = make_trainer(Odd(act), few, 2)
        torch.manual_seed(5)
        called = list_losses(make_trainer(Odd(act), few, 2, is_replayed=False))
        torch.manual_seed(5)
        difference = compare(list_losses(trainer), called)
        said.append(f"{act.__name__}: {trainer.player.num_recorded} ({difference:.0e})")
        after = make_trainer(Dropping(), few, 2)
        list_losses(after)
        assert after.player.num_recorded == 1, f"after {act.__name__}"
    return "recordings, and difference from called; " + "; ".join(said)


@check
def check_events_from_the_host(split: Split) -> str:
    """Events that do not fit the GPU are copied into what a recording reads."""
    share, batches.RESIDENT_SHARE = batches.RESIDENT_SHARE, 0.0
    try:
        curve = list_losses(make_trainer(SMALL, split, 3))
    finally:
        batches.RESIDENT_SHARE = share
    difference = compare(curve, list_losses(make_trainer(SMALL, split, 3)))
    assert difference < 0.05
    return f"losses differ by {difference:.1e} from those of resident events"


@check
def check_interruption(split: Split) -> str:
    """How long a training goes on that was asked to end, and is then captured."""
    said = []
    for name in (SMALL, "birnn, the report's"):
        asked_at = time.monotonic() + (1.0 if name == SMALL else 3.0)
        trainer = make_trainer(
            name, split, 1000, is_interrupted=lambda t=asked_at: time.monotonic() > t
        )
        try:
            list_losses(trainer)
        except InterruptedTrainingError:
            trainer.capture()
        taken_s = time.monotonic() - asked_at
        said.append(f"{name}: {taken_s:.2f} s")
        assert taken_s < 0.5, said
    return "; ".join(said)


@check
def check_memory(split: Split) -> str:
    """Trainings one after the other leave nothing on the GPU."""
    few, left = take(split, 8 * BATCH_SIZE, 64), []
    for _ in range(8):
        list_losses(make_trainer(SMALL, few, 2))
        free_memory(GPU)
        left.append(torch.cuda.memory_reserved() >> 20)
    assert left[-1] <= left[2], left
    return f"MiB reserved after each of 8 trainings: {left}"


def run_checks(split: Split) -> Iterator[str]:
    """Do all checks, whatever becomes of each."""
    for function in CHECKS:
        start = time.monotonic()
        try:
            word, said = "ok", function(split)
        except Exception:
            word, said = "FAILED", traceback.format_exc(limit=-4)
        name = function.__name__.removeprefix("check_").replace("_", " ")
        yield f"{word}: {name} ({time.monotonic() - start:.1f} s): {said}"

"""Validation on one GPU: counts equal to the CPU's, nobody waiting, and its speed beside others.

Needs a GPU, the program's environment, no network, and some 40 seconds:
    python benchmarks/gpu_metrics.py
Events are drawn here: what is measured depends on a network's sizes and not on what it has learnt.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import gpu_trainings
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sweep.data.events import EventSet
from sweep.machine.device import free_memory, full_precision
from sweep.metrics.decode import REFERENCE, Decode
from sweep.training.batches import Batches
from sweep.training.event_scores import EventScores, score_each
from sweep.training.forward import FIRST_BATCH_SIZE, predict_batches
from sweep.training.loss import compute_ratio_loss_B
from sweep.training.matching import count_matches, match_peaks
from sweep.training.peaks import tabulate_regions
from sweep.training.walk import find_walk

GPU = torch.device("cuda", 0)
NUM_EVENTS = {"rcnn, the report's": 2000, "birnn, the report's": 1000}
"""That a network validates: 5,000 where nothing is said."""
SETTINGS = (REFERENCE, Decode(0.01, 0.0, 1), Decode(0.05, 0.3, 2), Decode(0.003, 0.1, 7))


def draw_targets(rng: np.random.Generator, num_events: int) -> NDArray[np.float32]:
    """Draw peaks as PV-Finder's targets have them, some of them masked runs."""
    y_NL = np.zeros((num_events, 4000), np.float32)
    offset = np.arange(-5, 6)
    for row in y_NL:
        for _ in range(rng.poisson(5.4)):
            center, sigma = rng.uniform(0, 4000), rng.uniform(0.5, 2.5)
            bins = int(center) + offset
            height = np.exp(-0.5 * ((bins + 0.5 - center) / sigma) ** 2) / sigma
            inside = (bins >= 0) & (bins < 4000)
            row[bins[inside]] += height[inside].astype(np.float32)
        for first in rng.integers(0, 4000, 3):
            row[first : first + rng.integers(1, 12)] = np.nan
    return y_NL


def draw_predictions(rng: np.random.Generator, y_NL: NDArray[np.float32]) -> dict[str, Tensor]:
    """Draw what networks predict: good ones, ones that have learnt little, and none of use."""
    clean = np.nan_to_num(y_NL)
    shifted = np.stack([np.roll(row, rng.integers(-6, 7)) for row in clean])
    kinds = {
        "good": shifted * 0.9 + rng.exponential(0.001, clean.shape),
        "noise": rng.exponential(0.02, clean.shape),
        "thresholds": rng.choice([0.0, 0.0099, 0.01, 0.0101, 0.05, 0.0667, -1.0], clean.shape),
        "long regions": np.abs(np.cumsum(rng.normal(0, 0.02, clean.shape), axis=1)),
        "everywhere": rng.uniform(0.2, 1.0, clean.shape),
        "nothing": np.full(clean.shape, -0.1),
        "no numbers": np.where(rng.random(clean.shape) < 0.1, np.nan, shifted),
    }
    return {name: torch.from_numpy(kind.astype(np.float32)) for name, kind in kinds.items()}


class DrawnEvents(EventSet):
    """Events in memory."""

    dtypes = ("float16", "float16")  # type: ignore[assignment]

    def __init__(self, x_NCL: NDArray[np.float16], y_NL: NDArray[np.float32]) -> None:
        self.x_NCL, self.y_NL = x_NCL, y_NL

    def __len__(self) -> int:
        return len(self.y_NL)

    def load(self, indices: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give events as an `EventSet` does."""
        chosen = np.asarray(indices)
        return self.x_NCL[chosen].astype(np.float32), self.y_NL[chosen].astype(np.float32)


def build(name: str) -> nn.Module:
    torch.manual_seed(1)
    return gpu_trainings.build(name).to(GPU).eval()


def check_counts(events: DrawnEvents, rng: np.random.Generator) -> Iterator[str]:
    """Compare counts, regions and best integrals with the CPU's, kind by kind."""
    y_BL = torch.from_numpy(events.y_NL[:200])
    predictions = draw_predictions(rng, events.y_NL[:200])
    for name in ("cnn, the report's", "mlp", "rcnn, 16 cells"):
        with torch.inference_mode(), full_precision():
            x_BCL = torch.from_numpy(events.x_NCL[:200]).float().to(GPU)
            predictions[f"{name}, untrained"] = build(name)(x_BCL).float().cpu()
    for kind, prediction_BL in predictions.items():
        for decode in SETTINGS:
            own = match_peaks(y_BL, prediction_BL, decode)
            other = match_peaks(y_BL.to(GPU), prediction_BL.to(GPU), decode)
            assert torch.equal(own.count(), other.count().cpu()), (kind, decode)
            assert own.faults_2.tolist() == other.faults_2.tolist() == [0, 0]
            num = own.prediction.position_BR.shape[1]
            for part, table in vars(own.prediction).items():
                if part != "faults_2":
                    column = getattr(other.prediction, part)[:, :num].cpu()
                    assert torch.equal(table, column), (kind, decode, part)
            (best,), (others,) = own.find_best_integrals(), other.find_best_integrals()
            assert torch.equal(best, others.cpu()[:, : best.shape[1]]), (kind, decode)
        counts = match_peaks(y_BL, prediction_BL).count().sum(0).tolist()
        yield f"{kind}: found {counts[0]}, missed {counts[2]}, false {counts[3]}: equal"


def check_faults(events: DrawnEvents, _rng: np.random.Generator) -> Iterator[str]:
    """Infinite bins and sums are counted, and do no harm."""
    y_BL = torch.from_numpy(events.y_NL[:64]).to(GPU)
    for value in (float("inf"), -float("inf"), 3e38):
        bad_BL = y_BL.nan_to_num()
        bad_BL[5, 100:104] = value
        match = match_peaks(y_BL, bad_BL)
        match.count().sum().item()
        yield f"{value}: {match.faults_2.tolist()}"


def check_waits(events: DrawnEvents, rng: np.random.Generator) -> Iterator[str]:
    """Nothing waits for the GPU, and all of it can be recorded."""
    y_BL = torch.from_numpy(events.y_NL[:200]).to(GPU)
    prediction_BL = draw_predictions(rng, events.y_NL[:200])["noise"].to(GPU)

    def act() -> tuple[Tensor, Tensor]:
        return match_peaks(y_BL, prediction_BL).count(), compute_ratio_loss_B(prediction_BL, y_BL)

    expected = [part.cpu() for part in act()]
    torch.cuda.set_sync_debug_mode("error")
    try:
        act()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    yield "no wait was seen"
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = act()
    for part in recorded:
        part.zero_()
    graph.replay()
    assert torch.equal(recorded[0].cpu(), expected[0])
    yield "recorded and replayed: equal counts"


def measure(action: Callable[[], Any], least_s: float = 0.4) -> tuple[float, float]:
    """Give the median seconds of an action and half their spread, after one to warm up."""
    action()
    torch.cuda.synchronize()
    taken: list[float] = []
    while sum(taken) < least_s or len(taken) < 3:
        start = time.monotonic()
        action()
        torch.cuda.synchronize()
        taken.append(time.monotonic() - start)
    return statistics.median(taken), (max(taken) - min(taken)) / 2


def measure_parts(events: DrawnEvents, rng: np.random.Generator) -> Iterator[str]:
    """Time the parts of the metrics without a network."""
    for kind in ("good", "noise", "everywhere"):
        y_BL = torch.from_numpy(events.y_NL[:1024])
        prediction_BL = draw_predictions(rng, events.y_NL[:1024])[kind]
        far, far_y = prediction_BL.to(GPU), y_BL.to(GPU)
        parts: dict[str, Callable[[], Any]] = {
            "regions": lambda p=far: tabulate_regions(p),
            "counts": lambda y=far_y, p=far: match_peaks(y, p).count(),
            "loss": lambda y=far_y, p=far: compute_ratio_loss_B(p, y),
            "counts on the CPU": lambda y=y_BL, p=prediction_BL: match_peaks(y, p).count(),
        }
        times = {name: measure(part, 0.15)[0] for name, part in parts.items()}
        words = ", ".join(f"{name} {1e3 * taken:.2f} ms" for name, taken in times.items())
        yield f"{kind}, 1,024 events: {words}"


def score_by_64(network: nn.Module, batches: Batches) -> None:
    """Validate in batches of 64, whose counts are read one by one."""
    with torch.inference_mode(), full_precision():
        for x_BCL, y_BL in batches.in_order(0, batches.num_events, 64):
            prediction_BL = network(x_BCL).float()
            assert torch.isfinite(prediction_BL).all()
            count_matches(y_BL, prediction_BL)[0].cpu()
            compute_ratio_loss_B(prediction_BL, y_BL).cpu()


def measure_networks(events: DrawnEvents, _rng: np.random.Generator) -> Iterator[str]:
    """Time whole validations."""
    yield (
        "| network | largest batch | validated, events/s | +- | in batches of 64, each read "
        "| forward alone | peak MiB |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name in gpu_trainings.NETWORKS:
        num_events = NUM_EVENTS.get(name, 5000)
        few = DrawnEvents(events.x_NCL[:num_events], events.y_NL[:num_events])
        network, batches = build(name), Batches(few, FIRST_BATCH_SIZE, GPU)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        sizes: list[int] = []

        def validate(n: nn.Module = network, b: Batches = batches) -> EventScores:
            return score_each(predict_batches(n, b))

        def predict(n: nn.Module = network, b: Batches = batches, s: list[int] = sizes) -> None:
            s[:] = [len(y_BL) for _, y_BL in predict_batches(n, b)]

        by_64 = functools.partial(score_by_64, network, batches)
        taken, spread = measure(validate)
        peak = (torch.cuda.max_memory_allocated() - before) >> 20
        forward_s, by_64_s = measure(predict, 0.2)[0], measure(by_64)[0]
        yield (
            f"| {name} | {max(sizes)} | {num_events / taken:,.0f} "
            f"| {num_events * spread / taken**2:,.0f} | {num_events / by_64_s:,.0f} "
            f"| {num_events / forward_s:,.0f} | {peak:,} |"
        )
        del network, batches
        free_memory(GPU)


def measure_interruption(events: DrawnEvents, _rng: np.random.Generator) -> Iterator[str]:
    """Time how long a validation goes on that is asked to end."""
    for name in ("cnn, 16 channels", "rcnn, the report's", "birnn, the report's"):
        network = build(name)
        batches = Batches(events, FIRST_BATCH_SIZE, GPU)
        score_each(itertools.islice(predict_batches(network, batches), 2))
        torch.cuda.synchronize()
        asked_at = time.monotonic() + 0.01
        for _ in predict_batches(network, batches):
            if time.monotonic() > asked_at:
                break
        torch.cuda.synchronize()
        yield f"{name}: {time.monotonic() - asked_at:.3f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="counts,faults,waits,parts,networks,interruption")
    args = parser.parse_args()
    start = time.monotonic()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} host cores")
    rng = np.random.default_rng(1)
    y_NL = draw_targets(rng, 5000)
    x_NCL = np.repeat(np.nan_to_num(y_NL)[:, None].astype(np.float16), 4, axis=1)
    events = DrawnEvents(x_NCL, y_NL)
    walk = "compiled for this GPU" if find_walk(GPU) else "NOT compiled: the CPU's is used"
    print(f"events drawn, walk {walk}, after {time.monotonic() - start:.1f} s", flush=True)
    work = {
        "counts": check_counts,
        "faults": check_faults,
        "waits": check_waits,
        "parts": measure_parts,
        "networks": measure_networks,
        "interruption": measure_interruption,
    }
    for name in args.parts.split(","):
        print(f"\n{name}, at {time.monotonic() - start:.1f} s", flush=True)
        try:
            for line in work[name](events, rng):
                print(line, flush=True)
        except Exception:
            traceback.print_exc()
    print(f"\ndone after {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()

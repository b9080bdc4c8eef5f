"""The training loop: repeatable, resumable, guarded."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sweep.config import Recipe
from sweep.data.formats import open_events
from sweep.data.geometry import NUM_BINS, NUM_FEATURES
from sweep.data.splits import Split, pair_events
from sweep.metrics.null_loss import sum_null_loss
from sweep.metrics.table import EFFICIENCY
from sweep.models import ARCHITECTURES
from sweep.plan.recipes import build_recipe
from sweep.storage.artifacts import TrialFolder
from sweep.storage.sweeps import Sweep
from sweep.training.augmentation import Reflections
from sweep.training.augmentation import reflect as reflect_events
from sweep.training.batches import Batches
from sweep.training.event_scores import score_each
from sweep.training.forward import predict_batches
from sweep.training.state import capture_state, restore_state
from sweep.training.step import OPTIMIZERS
from sweep.training.trainer import (
    DivergedError,
    EpochResult,
    InterruptedTrainingError,
    Trainer,
)
from sweep.trial.checkpoint import Checkpoint, load_checkpoint, make_epoch, save_checkpoint

CPU = torch.device("cpu")
HYPERPARAMETERS = {"lr": 5e-3, "beta1": 0.9, "beta2": 0.99, "batch_size": 8}
SMALL = {"hidden_size": 4, "num_layers": 2, "head": "softplus", "activation": "relu"}


def write_events(path: Path, num_events: int, seed: int) -> Path:
    """Write bumps over noise as features, narrow peaks at the same places as target."""
    random = np.random.default_rng(seed)
    bins = np.arange(NUM_BINS)
    x = np.zeros((num_events, NUM_FEATURES, NUM_BINS), np.float32)
    y = np.zeros((num_events, NUM_BINS), np.float32)
    for event in range(num_events):
        for centre in random.integers(100, NUM_BINS - 100, 4):
            x[event, 0] += 0.4 * np.exp(-0.5 * ((bins - centre) / 10) ** 2)
            y[event] += 0.6 * np.exp(-0.5 * ((bins - centre) / 1.5) ** 2)
    x[:, 1] = x[:, 0] ** 2
    x[:, 2:] = random.normal(0, 0.05, (num_events, 2, NUM_BINS))
    y[y < 1e-6] = 0
    np.savez(path, X=x.astype(np.float16), y=y.astype(np.float16))
    return path


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine lose more than they gain by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """33 training events, which batches of 8 do not divide, and 12 to validate on."""
    folder = tmp_path_factory.mktemp("events")
    return pair_events(
        open_events([write_events(folder / "train.npz", 33, seed=1)]),
        open_events([write_events(folder / "validation.npz", 12, seed=2)]),
    )


def make_trainer(
    split: Split,
    epochs: int = 3,
    recipe: Recipe | None = None,
    device: torch.device = CPU,
    reflect: float = 0.0,
) -> Trainer:
    torch.manual_seed(5)
    return Trainer(
        ARCHITECTURES["cnn"].build(SMALL),
        split,
        recipe or build_recipe("fast", epochs, epochs),
        {**HYPERPARAMETERS, "reflected_share": reflect},
        seed=7,
        device=device,
    )


@pytest.fixture(scope="module")
def whole(split: Split) -> list[tuple[object, ...]]:
    """The numbers of three epochs that nothing interrupts."""
    return [get_numbers(result) for result in make_trainer(split).run()]


def get_numbers(result: EpochResult) -> tuple[object, ...]:
    """Everything of a result but the time it took."""
    return (result.epoch, result.events_seen, result.train_loss, result.score, result.lr)


def test_same_seed_gives_same_numbers(split: Split, whole: list[tuple[object, ...]]) -> None:
    """Training twice with the same seeds gives exactly the same curve."""
    assert [get_numbers(result) for result in make_trainer(split).run()] == whole
    assert [numbers[0] for numbers in whole] == [1, 2, 3]


def test_restored_training_ends_like_an_uninterrupted_one(
    split: Split, whole: list[tuple[object, ...]]
) -> None:
    """A training captured after an epoch and restored elsewhere goes on exactly as it was."""
    interrupted = make_trainer(split)
    first = get_numbers(next(interrupted.run()))
    state = copy.deepcopy(interrupted.capture())
    torch.manual_seed(999)
    resumed = Trainer(
        ARCHITECTURES["cnn"].build(SMALL),
        split,
        build_recipe("fast", 3, 3),
        HYPERPARAMETERS,
        seed=7,
        device=CPU,
    )
    resumed.restore(state)
    rest = [get_numbers(result) for result in resumed.run()]
    assert [first, *rest] == whole


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
        ),
    ],
)
def test_training_goes_on_from_its_file(split: Split, tmp_path: Path, device: str) -> None:
    """Also on a GPU: the file is read to the CPU, where generators' states must be."""
    where = torch.device(device)
    whole = [result.train_loss for result in make_trainer(split, device=where).run()]
    interrupted = make_trainer(split, device=where)
    first = next(interrupted.run())
    folder = TrialFolder(tmp_path, Sweep(1, "net", {}, {}, 1, 0.0, False, None), 0)
    save_checkpoint(folder, Checkpoint(interrupted.capture(), [make_epoch(first)], {}))
    found = load_checkpoint(folder)
    assert found is not None
    assert {tensor.device for tensor in find_tensors(found.trainer)} == {CPU}
    resumed = make_trainer(split, device=where)
    resumed.restore(found.trainer)
    rest = [result.train_loss for result in resumed.run()]
    assert rest == pytest.approx(whole[1:], rel=0 if device == "cpu" else 0.05)


def find_tensors(state: object) -> list[Tensor]:
    """Find all tensors within nested mappings and sequences."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, Mapping) else state
    return [
        tensor
        for part in (parts if isinstance(parts, Collection) and not isinstance(parts, str) else ())
        for tensor in find_tensors(part)
    ]


def test_training_learns(split: Split) -> None:
    """A small network ends below the null loss on events with clear peaks."""
    _x, y = split.validation.load(range(len(split.validation)))
    null_loss = sum_null_loss(y) / len(y)
    torch.manual_seed(5)
    trainer = Trainer(
        ARCHITECTURES["cnn"].build({**SMALL, "hidden_size": 8}),
        split,
        build_recipe("fast", 8, 8),
        {**HYPERPARAMETERS, "lr": 2e-2, "batch_size": 3},
        seed=7,
        device=CPU,
    )
    *_, result = trainer.run()
    last = result.score
    assert last.validation_loss is not None
    assert last.validation_loss < 0.7 * null_loss
    assert EFFICIENCY.measure(last) > 0.5


def test_one_cycle_rate_rises_and_falls(split: Split) -> None:
    """The learning rate of a one-cycle training ends far below its peak."""
    trainer = make_trainer(split, recipe=build_recipe("one-cycle", 6, 6))
    rates = [result.lr for result in trainer.run()]
    assert max(rates) <= HYPERPARAMETERS["lr"]
    assert rates[-1] < 1e-2 * max(rates)


def test_constant_rate_stays(split: Split) -> None:
    """The fast recipe's rate has risen within half a pass; the report's is there at once."""
    for name in ("fast", "report"):
        trainer = make_trainer(split, recipe=build_recipe(name, 2, 2))
        is_risen = trainer.step.optimizer.param_groups[0]["lr"] == HYPERPARAMETERS["lr"]
        assert is_risen == (name == "report")
        assert [result.lr for result in trainer.run()] == [HYPERPARAMETERS["lr"]] * 2


@pytest.mark.parametrize(
    ("name", "usual"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimiser_is_pytorchs_without_its_compiler(
    name: str, usual: type[torch.optim.Adam], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits; to load the compiler takes longer than all else that a worker needs."""
    ends = []
    for kind in (usual, OPTIMIZERS[name]):
        weight = nn.Parameter(torch.linspace(-1, 1, 9))
        optimizer = kind([weight], lr=torch.tensor(0.3), weight_decay=0.1, fused=True)
        for _step in range(3):
            optimizer.load_state_dict(optimizer.state_dict())
            optimizer.zero_grad()
            weight.square().sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        ends.append(weight.tolist())
        monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # not to be had from here on
    assert ends[0] == ends[1]


def test_short_training_is_the_beginning_of_a_long_one(
    split: Split, whole: list[tuple[object, ...]]
) -> None:
    """The fast recipe has no horizon: its epochs say the same whatever is to follow."""
    assert [get_numbers(result) for result in make_trainer(split, epochs=2).run()] == whole[:2]


def test_averaged_weights_are_judged_and_kept(split: Split) -> None:
    """An epoch's loss is that of the averaged network, which is not the one in training."""
    trainer = make_trainer(split, epochs=2)
    *_, last = trainer.run()
    judged = ARCHITECTURES["cnn"].build(SMALL)
    losses = []
    for weights in (trainer.capture_judged(), capture_state(trainer.network)):
        restore_state(judged, weights)
        scores = score_each(predict_batches(judged, trainer.validation))
        losses.append(scores.score.validation_loss)
    assert losses[0] == last.score.validation_loss
    assert losses[1] != losses[0]


def test_state_of_an_earlier_version_goes_on(split: Split, whole: list[tuple[object, ...]]) -> None:
    """It also holds the schedule and the optimiser's settings, which follow from the trial."""
    interrupted = make_trainer(split)
    first = get_numbers(next(interrupted.run()))
    state = copy.deepcopy(interrupted.capture())
    group = {"lr": 5e-3, "betas": (0.9, 0.99), "capturable": False, "params": [0, 1]}
    state["optimizer"]["param_groups"] = [{**group, "initial_lr": 5e-3}]
    state["scheduler"] = {"last_epoch": 5, "_last_lr": [5e-3], "lr_lambdas": [None]}
    resumed = make_trainer(split)
    resumed.restore(state)
    assert [first, *(get_numbers(result) for result in resumed.run())] == whole


class _Nan(nn.Module):
    """Predicts a number that becomes NaN when its weight grows."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.value = value

    def forward(self, x_BCL: Tensor) -> Tensor:
        return x_BCL[:, 0] * self.weight * self.value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_output_is_divergence(split: Split, value: float) -> None:
    """A network whose output is NaN or infinite raises instead of giving a number."""
    trainer = Trainer(
        _Nan(value),
        split,
        build_recipe("fast", 1, 1),
        HYPERPARAMETERS,
        seed=1,
        device=CPU,
    )
    with pytest.raises(DivergedError, match="epoch 1"):
        list(trainer.run())


@pytest.mark.parametrize(("num_asked", "reflect"), [(1, 0.0), (3, 1.0), (5, 0.0), (6, 0.0)])
def test_training_interrupted_within_an_epoch_goes_on_with_the_next_batch(
    split: Split, whole: list[tuple[object, ...]], num_asked: int, reflect: float
) -> None:
    """Before the first batch, in the middle, before the last, in validation: no batch twice, and
    with reflections those it would have had."""
    if reflect:
        whole = [get_numbers(result) for result in make_trainer(split, reflect=reflect).run()]
    interrupted = make_trainer(split, reflect=reflect)
    asked: list[bool] = []

    def is_interrupted() -> bool:
        asked.append(True)
        return len(asked) == num_asked

    interrupted.is_interrupted = is_interrupted
    with pytest.raises(InterruptedTrainingError):
        next(interrupted.run())
    assert interrupted.epoch == 0
    assert interrupted.get_spent_s() > 0
    state = copy.deepcopy(interrupted.capture())
    torch.manual_seed(999)
    resumed = make_trainer(split, reflect=reflect)
    resumed.restore(state)
    steps: list[int] = []
    resumed.step.optimizer.register_step_post_hook(lambda *_parts: steps.append(1))
    assert [get_numbers(result) for result in resumed.run()] == whole
    assert len(steps) == 3 * len(resumed.train) - min(num_asked - 1, len(resumed.train))


def test_a_training_learns_from_reflected_events(split: Split) -> None:
    """With `reflected_share` the network is given the batch that `training.augmentation` makes,
    anew in each pass; without, the events."""
    seen: dict[float, list[Tensor]] = {}
    for share in (0.0, 1.0):
        trainer = make_trainer(split, epochs=2, reflect=share)
        seen[share] = given = []
        trainer.network.register_forward_pre_hook(
            lambda network, inputs, given=given: (
                given.append(inputs[0]) if network.training else None
            )
        )
        list(trainer.run())
    plain, reflected = seen[0.0], seen[1.0]
    reflections = Reflections(1.0, 7, CPU)
    for number, (x_BCL, again_BCL) in enumerate(zip(plain, reflected, strict=True)):
        chosen_B = reflections.choose_B(torch.tensor(number), len(x_BCL))
        expected_BCL, _ = reflect_events(x_BCL, torch.zeros(len(x_BCL), NUM_BINS), chosen_B)
        assert torch.equal(again_BCL, expected_BCL)
    assert any(not torch.equal(*pair) for pair in zip(plain, reflected, strict=True))


@pytest.mark.parametrize(
    ("num_events", "batch_size", "sizes"),
    [
        (33, 16, [11, 11, 11]),
        (17, 16, [9, 8]),
        (32, 16, [16, 16]),
        (5, 16, [5]),
        (3, 2, [3]),
        (7, 2, [3, 2, 2]),
        (7, 3, [3, 2, 2]),
        (1, 16, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_events_are_laid_out_evenly(
    split: Split, num_events: int, batch_size: int, sizes: list[int]
) -> None:
    """Two sizes at most, and no batch of one event that could have company."""
    batches = Batches(split.train.take(np.arange(num_events)), batch_size, CPU)
    assert [len(y_BL) for _x_BCL, y_BL in batches.shuffle(3, 1)] == sizes
    assert [len(y_BL) for _x_BCL, y_BL in batches.in_order()] == sizes
    assert [len(y_BL) for _x_BCL, y_BL in batches.shuffle(3, 1, 1)] == sizes[1:]
    assert len(batches) == len(sizes)


def test_batches_hold_every_event_once(split: Split) -> None:
    """A shuffled pass serves each event exactly once, in another order each epoch."""
    batches = Batches(split.train, 8, CPU)
    assert len(batches) == 5
    served = torch.cat([x_BCL[:, 0].sum(dim=1) for x_BCL, _ in batches.shuffle(3, 1)])
    again = torch.cat([x_BCL[:, 0].sum(dim=1) for x_BCL, _ in batches.shuffle(3, 1)])
    other = torch.cat([x_BCL[:, 0].sum(dim=1) for x_BCL, _ in batches.shuffle(3, 2)])
    ordered = torch.cat([x_BCL[:, 0].sum(dim=1) for x_BCL, _ in batches.in_order()])
    assert torch.equal(served, again)
    assert not torch.equal(served, other)
    assert torch.equal(served.sort().values, ordered.sort().values)
    assert torch.equal(other.sort().values, ordered.sort().values)


def test_epoch_may_have_a_part_of_the_events_and_others_each_time(split: Split) -> None:
    """As that of an architecture which takes longer than others of its sweep."""
    few = Batches(split.train, 4, CPU, num_seen=6)
    first, second = ([y.nansum().item() for _x, y in few.shuffle(1, epoch)] for epoch in (1, 2))
    assert [len(batch[0]) for batch in few.shuffle(1, 1)] == [3, 3]
    assert sum(first) != sum(second)
    assert len(few) == len(first) == 2

"""Steps that are recorded and replayed, with a recorder that stands in for a GPU."""

from __future__ import annotations

import copy
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sweep.config import Recipe
from sweep.data.formats import open_events
from sweep.data.splits import Split, pair_events
from sweep.models import ARCHITECTURES
from sweep.plan.recipes import build_recipe
from sweep.training import replay
from sweep.training.augmentation import Reflections
from sweep.training.host_state import HostState
from sweep.training.replay import Player
from sweep.training.schedule import list_rates
from sweep.training.step import TrainingStep
from sweep.training.trainer import EpochResult, InterruptedTrainingError, Trainer

CPU = torch.device("cpu")
HYPERPARAMETERS = {"lr": 5e-3, "beta1": 0.9, "beta2": 0.99, "batch_size": 2}
SMALL: dict[str, dict[str, Any]] = {
    "birnn": {"hidden_size": 2, "num_layers": 1, "bins_per_step": 100},
    "cnn": {"hidden_size": 4, "num_layers": 2},
    "mlp": {"hidden_size": 4, "num_layers": 1},
    "rcnn": {"hidden_size": 2, "num_layers": 1, "channels": 2},
    "unet": {"hidden_size": 4},
    "unetpp": {"hidden_size": 4},
    "densenet": {"hidden_size": 4, "num_layers": 3},
    "allcnn": {"hidden_size": 4, "num_layers": 2, "position_size": 4},
    "coarsefine": {"hidden_size": 4, "fine_size": 4},
}


class Tape:
    """Does again what was recorded."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.num_played = 0
        self._action = action

    def replay(self) -> None:
        self.num_played += 1
        self._action()


class TapeRecorder:
    """Stands in for a GPU: what it records is done by calling it, whenever it is replayed.

    Args:
        fault: Raised by every recording.
    """

    device = CPU

    def __init__(self, fault: Exception | None = None) -> None:
        self.tapes: list[Tape] = []
        self.fault = fault

    def open_lane(self) -> AbstractContextManager[None]:
        return nullcontext()

    def observe(self, action: Callable[[], None]) -> str | None:
        action()
        return None

    def record(self, action: Callable[[], None]) -> Tape:
        if self.fault is not None:
            raise self.fault
        self.tapes.append(Tape(action))
        return self.tapes[-1]

    def catch_up(self) -> None:
        """It is never behind."""

    def keep_pace(self) -> None:
        pass


@pytest.fixture(autouse=True)
def say_anew() -> None:
    """Each test hears what is said but once in a process."""
    replay._say_once.cache_clear()


@pytest.fixture(scope="module")
def split(events_file: Path) -> Split:
    """13 events to train on, which pairs do not divide, and 3 to validate on."""
    events = open_events([events_file])
    return pair_events(events.take(range(13)), events.take(range(13, 16)))


class PlainNet(nn.Module):
    """Learns a little; what it does in Python before each batch is for others to say."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((3,), 0.5))
        self.register_buffer("mean", torch.zeros(()))
        self.num_calls = 0
        self.seen: list[float] = []
        self.last: Tensor | None = None
        self.random = random.Random(1)

    def forward(self, x_BCL: Tensor) -> Tensor:
        factor = self.act(x_BCL) if self.training else 1.0
        return x_BCL[:, 0] * self.scale.mean() * factor

    def act(self, x_BCL: Tensor) -> float | Tensor:
        self.mean.lerp_(x_BCL.mean(), 0.1)
        return 1.0


def make_trainer(
    split: Split, network: nn.Module | None = None, recorder: TapeRecorder | None = None
) -> Trainer:
    torch.manual_seed(5)
    recipe = build_recipe("fast", 3, 3)
    trainer = Trainer(network or PlainNet(), split, recipe, HYPERPARAMETERS, seed=7, device=CPU)
    trainer.player = Player(trainer.act, trainer.network, recorder)
    return trainer


def get_numbers(results: Iterator[EpochResult]) -> list[tuple[object, ...]]:
    """Everything of a training's results but the time it took."""
    return [(r.epoch, r.events_seen, r.train_loss, r.score, r.lr) for r in results]


def test_replayed_training_is_the_called_one(split: Split) -> None:
    """Three steps with each of the two sizes are called, all others replayed, none done twice."""
    recorder = TapeRecorder()
    called = make_trainer(split)
    replayed = make_trainer(split, recorder=recorder)
    assert get_numbers(replayed.run()) == get_numbers(called.run())
    assert [tape.num_played for tape in recorder.tapes] == [3 * 5 - 3]  # a triple once an epoch
    for name, weight in called.capture_judged().items():
        assert torch.equal(weight, replayed.capture_judged()[name]), name


def test_each_size_of_batch_has_its_recording(split: Split) -> None:
    """Of five batches of two sizes, both are replayed once there were enough of them."""
    trainer = make_trainer(split, recorder=(recorder := TapeRecorder()))
    x, y = torch.rand(3, 4, 4000), torch.rand(3, 4000)
    for _ in range(6):
        for size in (3, 2):
            trainer.player(x[:size], y[:size])
    assert [tape.num_played for tape in recorder.tapes] == [3, 3]
    assert trainer.player.num_recorded == 2


class TableNet(PlainNet):
    """Makes a table anew whenever a batch has another size."""

    def act(self, x_BCL: Tensor) -> Tensor:
        if self.last is None or len(self.last) != len(x_BCL):
            self.last = torch.ones(len(x_BCL), 1)
        return self.last


def test_tensors_of_a_recording_outlive_what_the_network_does(split: Split) -> None:
    """A recording knows a table by its address; the network throws it away for another size."""
    network = TableNet()
    trainer = make_trainer(split, network, TapeRecorder())
    for _ in range(4):
        trainer.player(torch.rand(3, 4, 4000), torch.rand(3, 4000))
    assert trainer.player.num_recorded == 1
    assert network.last is not None
    table = weakref.ref(network.last)
    network(torch.rand(2, 4, 4000))
    assert network.last is not table()
    assert table() is not None
    trainer.player.forget()
    assert table() is None


def test_restored_training_records_anew(split: Split) -> None:
    """What was recorded speaks of memory that a restored training no longer has."""
    whole = get_numbers(make_trainer(split, recorder=TapeRecorder()).run())
    trainer = make_trainer(split, recorder=(recorder := TapeRecorder()))
    first = get_numbers(iter([next(trainer.run())]))
    state = copy.deepcopy(trainer.capture())
    next(trainer.run())
    trainer.restore(state)
    assert [*first, *get_numbers(trainer.run())] == whole
    assert len(recorder.tapes) == 2


@pytest.mark.parametrize("num_asked", [2, 5, 9])
def test_training_interrupted_among_replays_goes_on(split: Split, num_asked: int) -> None:
    """Captured within an epoch and restored, also to a training that calls its steps."""
    whole = get_numbers(make_trainer(split, recorder=TapeRecorder()).run())
    for recorder in (TapeRecorder(), None):
        interrupted = make_trainer(split, recorder=TapeRecorder())
        asked: list[bool] = []
        interrupted.is_interrupted = lambda asked=asked: (
            asked.append(True) or len(asked) == num_asked
        )  # type: ignore[misc]
        with pytest.raises(InterruptedTrainingError):
            list(interrupted.run())
        state = copy.deepcopy(interrupted.capture())
        resumed = make_trainer(split, recorder=recorder)
        resumed.restore(state)
        rest = get_numbers(resumed.run())
        assert rest == whole[-len(rest) :]


def count(self: PlainNet, _x_BCL: Tensor) -> float:
    self.num_calls += 1
    return 1.0


def note(self: PlainNet, _x_BCL: Tensor) -> float:
    self.seen.append(0.0)
    return 1.0


def remember(self: PlainNet, x_BCL: Tensor) -> float:
    self.last = x_BCL
    return 1.0


def replace_buffer(self: PlainNet, x_BCL: Tensor) -> float:
    self.mean = 0.9 * self.mean + 0.1 * x_BCL.mean()
    return 1.0


def draw_own(self: PlainNet, _x_BCL: Tensor) -> float:
    return self.random.random()


def draw_python(_self: PlainNet, _x_BCL: Tensor) -> float:
    return random.random()


def draw_torch(_self: PlainNet, _x_BCL: Tensor) -> Tensor:
    return torch.rand(())


def draw_numpy(_self: PlainNet, _x_BCL: Tensor) -> float:
    return float(np.random.rand())


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (count, "changes num_calls"),
        (note, "changes seen"),
        (remember, "changes last"),
        (replace_buffer, "changes _buffers"),
        (draw_own, "changes random"),
        (draw_python, "random numbers of random"),
        (draw_torch, "random numbers of torch"),
        (draw_numpy, "random numbers of numpy"),
    ],
)
def test_network_that_acts_in_python_is_not_replayed(
    split: Split,
    caplog: pytest.LogCaptureFixture,
    act: Callable[[PlainNet, Tensor], float | Tensor],
    reason: str,
) -> None:
    """What a recording would not repeat is seen in a step; it is said once, and trained as ever."""
    network = type("ActingNet", (PlainNet,), {"act": act})
    curves = []
    for recorder in (None, TapeRecorder(), TapeRecorder()):
        random.seed(1)
        np.random.seed(1)
        curves.append(get_numbers(make_trainer(split, network(), recorder).run()))
        assert recorder is None or recorder.tapes == []
    assert curves[1:] == curves[:1] * 2
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("ActingNet: its training steps are started one by one")
    assert reason in line


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (RuntimeError("CUDA error: operation not permitted\nwhen capturing"), "not permitted when"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "the device's memory is full"),
    ],
)
def test_network_that_cannot_be_recorded_is_called(
    split: Split, caplog: pytest.LogCaptureFixture, fault: Exception, reason: str
) -> None:
    """A recording that fails is tried once, said in one line, and costs no step."""
    trainer = make_trainer(split, recorder=TapeRecorder(fault))
    assert get_numbers(trainer.run()) == get_numbers(make_trainer(split).run())
    (line,) = [record.getMessage() for record in caplog.records]
    assert reason in line
    assert "\n" not in line


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a host wait for a GPU: that it reads a value, or a size that follows."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        assert func.overloadpacket.__name__ not in self.WAITING, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("name", "recipe"),
    [*((name, "fast") for name in ARCHITECTURES), ("cnn", "one-cycle"), ("cnn", "report")],
)
def test_step_of_each_architecture_can_be_recorded(name: str, recipe: str) -> None:
    """It reads no value from the device, and changes nothing that a recording does not hold."""
    network = ARCHITECTURES[name].load_network()(**SMALL.get(name, {}), head="softplus")
    network.train()
    reflections = Reflections(1.0, 1, CPU)
    step = TrainingStep(network, build_recipe(recipe, 2, 2), HYPERPARAMETERS, 4, CPU, reflections)
    num_bins = 4000 if name == "mlp" else 400
    x_BCL, y_BL = torch.rand(2, 4, num_bins), torch.rand(2, num_bins)
    step(x_BCL, y_BL)
    before = HostState(network)
    with NoWaiting(), torch.random.fork_rng(devices=[]):  # a GPU's dropout has its own numbers
        step(x_BCL, y_BL)
    assert before.find_change(HostState(network)) is None


def make_recipe(schedule: str, **settings: object) -> Recipe:
    return Recipe.model_validate(
        {"name": "x", "optimizer": "adam", "grace_events": 0, "schedule": schedule, **settings}
    )


@pytest.mark.parametrize("num_batches", [1, 2, 7])
@pytest.mark.parametrize("epochs", [1, 3])
def test_one_cycle_rates_are_those_of_pytorch(num_batches: int, epochs: int) -> None:
    """Step for step, to the last bit."""
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=num_batches * epochs, pct_start=0.3, cycle_momentum=False
    )
    recipe = make_recipe("one_cycle", epochs=epochs, warmup_fraction=0.3)
    rates = list_rates(recipe, 0.3, num_batches)
    assert len(rates) == num_batches * epochs + 1
    for number, rate in enumerate(rates):
        assert rate == optimizer.param_groups[0]["lr"], number
        if number < num_batches * epochs:
            optimizer.step()
            schedule.step()


@pytest.mark.parametrize(
    ("warmup_epochs", "rates"),
    [(0.0, [0.4]), (0.5, [0.4 * (1 / 3), 0.4 * (2 / 3), 0.4]), (0.2, [0.4])],
)
def test_constant_rates_rise_and_stay(warmup_epochs: float, rates: list[float]) -> None:
    """The last rate of the table is that of all further steps."""
    recipe = make_recipe("constant", epochs=9, warmup_epochs=warmup_epochs)
    assert list_rates(recipe, 0.4, 5) == rates

"""A network's state comes back in another network, whatever it consists of, or is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from sweep.training.state import StateError, capture_state, check_form, restore_state


class Odd(nn.Module):
    """A network whose state is what it was made of."""

    def __init__(self, add: Callable[[nn.Module], None]) -> None:
        super().__init__()
        self.layer = nn.Conv1d(4, 2, 3)
        add(self.layer)


class Noted(nn.Module):
    """Keeps something beside tensors."""

    def __init__(self, note: object) -> None:
        super().__init__()
        self.note = note

    def get_extra_state(self) -> object:
        return self.note

    def set_extra_state(self, state: object) -> None:
        self.note = state


def transpose(layer: nn.Module) -> None:
    layer.turned = nn.Parameter(torch.arange(12.0).reshape(4, 3).t())


def tie(layer: nn.Module) -> None:
    layer.twin = nn.Conv1d(4, 2, 3)
    layer.twin.weight = layer.weight


def be_odd(layer: nn.Module) -> None:
    layer.empty = nn.Parameter(torch.zeros(0, 3))
    layer.single = nn.Parameter(torch.tensor(2.0))
    layer.double_ = nn.Parameter(torch.tensor([0.1], dtype=torch.float64))
    layer.count = nn.Parameter(torch.tensor([3]), requires_grad=False)


def add_buffers(layer: nn.Module) -> None:
    for dtype in (torch.bool, torch.complex64, torch.complex128, torch.float8_e4m3fn):
        layer.register_buffer(f"buffer_{dtype}".replace(".", "_"), torch.ones(2).to(dtype))
    layer.register_buffer("turned", torch.tensor([1 + 2j]).conj())
    layer.register_buffer("sparse", torch.eye(3).to_sparse())
    layer.register_buffer("wide", torch.ones(1).expand(5))


def add_notes(layer: nn.Module) -> None:
    layer.note = Noted({"seen": 3, "names": ["a", "b"], "table": torch.eye(2)})


@pytest.mark.parametrize("add", [transpose, tie, be_odd, add_buffers, add_notes])
def test_state_comes_back(add: Callable[[nn.Module], None]) -> None:
    """Through a file of weights, with values, types and what is no tensor."""
    trained, fresh = Odd(add), Odd(add)
    content = safetensors.torch.save(capture_state(trained))
    restore_state(fresh, safetensors.torch.load(content))
    for (name, value), other in zip(
        trained.state_dict().items(), fresh.state_dict().values(), strict=True
    ):
        if isinstance(value, Tensor):
            assert value.dtype == other.dtype, name
            assert torch.equal(value.to_dense(), other.to_dense()), name
        else:
            assert str(value) == str(other)


def test_captured_state_has_memory_of_its_own() -> None:
    """What training does next does not change it."""
    network = Odd(tie)
    state = capture_state(network)
    before = state["layer.weight"].clone()
    with torch.no_grad():
        network.layer.weight.zero_()
    assert torch.equal(state["layer.weight"], before)


def test_buffers_that_grow_come_back() -> None:
    """Also one that is not there before the first batch; the new network's own are replaced."""

    def add(layer: nn.Module) -> None:
        layer.register_buffer("history", torch.zeros(0))
        layer.register_buffer("scale", None)

    trained, fresh = Odd(add), Odd(add)
    trained.layer.history = torch.arange(3.0)
    trained.layer.scale = torch.ones(2)
    restore_state(fresh, capture_state(trained))
    assert torch.equal(fresh.layer.history, torch.arange(3.0))
    assert torch.equal(fresh.layer.scale, torch.ones(2))


@pytest.mark.parametrize(
    "other",
    [
        nn.Sequential(nn.Conv1d(4, 2, 3)),
        nn.ModuleDict({"layer": nn.Conv1d(4, 3, 3)}),
        nn.ModuleDict({"layer": nn.Conv1d(4, 2, 3, bias=False)}),
        nn.ModuleDict({"layer": Noted({"seen": 1})}),
    ],
    ids=["names", "shapes", "fewer", "notes"],
)
def test_state_of_another_network_is_refused(other: nn.Module) -> None:
    """It is never half a network's own."""
    with pytest.raises(StateError, match="does not fit the network"):
        restore_state(Odd(lambda _layer: None), capture_state(other))


def test_state_that_runs_code_when_read_is_refused() -> None:
    """Objects of a person's own classes could do anything when they are brought back."""
    state = capture_state(Noted(Noted))
    with pytest.raises(StateError, match="does not fit"):
        restore_state(Noted(None), state)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, [1]),
        ([1, 2], [1]),
        ([1.0], ["1.0"]),
        ([1.0], [float("nan")]),
        ([1], [True]),
        (None, 0),
        (torch.zeros(2), torch.zeros(3)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2), 0.0),
    ],
)
def test_other_form_is_refused(expected: object, found: object) -> None:
    """Each difference of kind, names, lengths and shapes, and numbers that are none."""
    check_form("here", expected, expected)
    with pytest.raises(StateError, match="here"):
        check_form("here", expected, found)

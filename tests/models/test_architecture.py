"""Architectures fit their own spaces, and hyperparameters find their way."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
import torch

from sweep.models import (
    ARCHITECTURES,
    TRAINING_HYPERPARAMETERS,
    Architecture,
    count_parameters,
    find_architecture,
)
from sweep.models.cnn import CNN
from sweep.models.space import Choice, Dimension, Fixed, Float, Int
from sweep.models.value import Value

NAMES = list(ARCHITECTURES)
CHEAP: dict[str, Value] = {"hidden_size": 2, "num_layers": 1}


def list_edges(dimension: Dimension) -> tuple[Value, ...]:
    """List the values of a dimension that are worth trying."""
    if isinstance(dimension, Fixed):
        return (dimension.value,)
    return dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_the_spaces_builds(name: str) -> None:
    """Each value at the edges of both spaces, one at a time, is a network or a training value."""
    architecture = ARCHITECTURES[name]
    cheap = {key: value for key, value in CHEAP.items() if key in architecture.defaults}
    for on_cpu in (False, True):
        space = architecture.select_space(on_cpu)
        assert list(space) == list(architecture.space)
        for key, dimension in space.items():
            for value in list_edges(dimension):
                architecture.build({**architecture.defaults, **cheap, key: value})


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_said_as_they_are(name: str) -> None:
    """`sweep models` tells them without building the networks, which takes PyTorch's start."""
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        assert architecture.num_parameters == count_parameters(
            architecture.build(architecture.defaults)
        )


@pytest.mark.parametrize("name", NAMES)
def test_starting_points_lie_in_the_full_space(name: str) -> None:
    """Every hand-tuned setting is inside the full space; head and activation are the working ones,
    the report's own belong to its recipe."""
    architecture = ARCHITECTURES[name]
    for point in architecture.starting_points:
        assert point.keys().isdisjoint(architecture.report)
        for key, value in point.items():
            assert architecture.space[key].contains(value), key


@pytest.mark.parametrize("on_cpu", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_recommended_point_lies_in_its_space(name: str, on_cpu: bool) -> None:
    """It is tried as it was measured, not moved to the nearest that is searched."""
    space = ARCHITECTURES[name].select_space(on_cpu)
    recommended = ARCHITECTURES[name].select_recommended(on_cpu)
    assert {k: v for k, v in recommended.items() if not space[k].contains(v)} == {}


def test_starting_points_are_those_of_the_report() -> None:
    """The report's settings are all there: four BiRNN, three CNN, four RCNN."""
    found = {
        name: [
            (point["lr"], point["hidden_size"], point["num_layers"])
            for point in ARCHITECTURES[name].starting_points
        ]
        for name in NAMES
        if ARCHITECTURES[name].starting_points
    }
    assert found == {
        "birnn": [(1e-3, 64, 2), (5e-3, 64, 2), (1e-3, 96, 2), (5e-4, 96, 2)],
        "cnn": [(1e-3, 64, 4), (5e-4, 64, 4), (1e-3, 64, 4)],
        "rcnn": [(1e-3, 64, 2), (5e-4, 64, 2), (5e-4, 96, 2), (5e-4, 64, 3)],
    }
    betas = [(point["beta1"], point["beta2"]) for point in ARCHITECTURES["cnn"].starting_points]
    assert betas == [(0.9, 0.999), (0.95, 0.9995), (0.9, 0.9)]


@pytest.mark.parametrize("name", NAMES)
def test_hyperparameters_go_to_network_or_training(name: str) -> None:
    """Every hyperparameter of the space goes to exactly one of the two."""
    architecture = ARCHITECTURES[name]
    to_network = set(architecture.network_hyperparameters) & set(architecture.space)
    to_training = set(TRAINING_HYPERPARAMETERS) & set(architecture.space)
    assert to_network | to_training == set(architecture.space)
    assert not to_network & to_training
    assert {"lr", "beta1", "beta2"} <= to_training


@pytest.mark.parametrize("name", NAMES)
def test_architectures_travel_to_other_processes(name: str) -> None:
    """An architecture can be pickled, as workers need."""
    assert pickle.loads(pickle.dumps(ARCHITECTURES[name])) == ARCHITECTURES[name]


def test_unknown_hyperparameter_is_refused() -> None:
    """A name that nothing takes is refused with the names that are known."""
    architecture = ARCHITECTURES["cnn"]
    with pytest.raises(ValueError, match=r"cnn: unknown hyperparameter, got depth, expected.*lr"):
        architecture.build({**architecture.defaults, "depth": 3})


def test_missing_hyperparameter_is_refused() -> None:
    """A structural hyperparameter of the space has to be given: there is no silent default."""
    settings = dict(ARCHITECTURES["cnn"].defaults)
    del settings["num_layers"]
    with pytest.raises(ValueError, match=r"cnn: a hyperparameter is missing.*'num_layers'"):
        ARCHITECTURES["cnn"].build(settings)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hidden_size", 0, "cnn.hidden_size: out of range, got 0, expected"),
        ("hidden_size", 2.5, "cnn.hidden_size: out of range, got 2.5, expected"),
        ("num_layers", 9, "cnn.num_layers: out of range, got 9, expected"),
        ("head", "sigmoid", "head: unknown, got 'sigmoid', expected"),
        ("activation", "gelu", "activation: unknown, got 'gelu', expected"),
    ],
)
def test_bad_value_is_refused(key: str, value: Value, message: str) -> None:
    """A value the network cannot have is refused, and named."""
    architecture = ARCHITECTURES["cnn"]
    with pytest.raises(ValueError, match=message):
        architecture.build({**architecture.defaults, key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {"depth": Int(1, 2)}}, "mine.space: unknown hyperparameter, got depth"),
        ({"cpu_space": {"lr": Float(0.1, 1)}}, "mine.cpu_space: unknown hyperparameter, got lr"),
        ({"starting_points": ({"lr": 1.0},)}, "mine.starting_points: unknown .*, got lr"),
        ({"defaults": {}}, "mine.defaults.hidden_size: not in the space, got None"),
        ({"defaults": {"hidden_size": 9}}, "mine.defaults.hidden_size: not in the space, got 9"),
    ],
)
def test_parts_must_agree(change: dict[str, object], message: str) -> None:
    """An architecture whose parts contradict each other cannot be made."""
    sound = Architecture("mine", CNN, "why", {"hidden_size": 4}, {"hidden_size": Int(2, 8)})
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(sound, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_unknown_name_is_refused() -> None:
    """An unknown name is refused with the known ones."""
    assert find_architecture("cnn") is ARCHITECTURES["cnn"]
    with pytest.raises(ValueError, match="model: unknown, got 'cmm', expected one of allcnn"):
        find_architecture("cmm")

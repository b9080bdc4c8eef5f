"""Search spaces: their text, their JSON, and what they refuse."""

from __future__ import annotations

import json
import math
from enum import Enum

import numpy as np
import pytest
import torch

from sweep.models.space import Choice, Dimension, Fixed, Float, Int, from_json, to_json
from sweep.models.space_text import build_dimension, parse_dimension, read_earlier
from sweep.models.value import Value

BETA = Float(0.8, 0.999, "one_minus_log")


@pytest.mark.parametrize(
    ("text", "current", "expected"),
    [
        ("1e-4:1e-2:log", None, Float(1e-4, 1e-2, "log")),
        ("0.8:0.99", BETA, Float(0.8, 0.99, "one_minus_log")),
        ("0.8:0.99:linear", BETA, Float(0.8, 0.99)),
        ("0.8:0.99", None, Float(0.8, 0.99)),
        ("0:1", Float(0.5, 2.0), Float(0.0, 1.0)),
        ("1:4", None, Int(1, 4)),
        ("1:4", Choice((8, 16)), Int(1, 4)),
        ("8:64", Int(1, 4, log=True), Int(8, 64, log=True)),
        ("8:64:log", None, Int(8, 64, log=True)),
        ("8:64:linear", Int(1, 4, log=True), Int(8, 64)),
        ("16:64:step=16", None, Int(16, 64, step=16)),
        ("1e2:1e3", Int(1, 4), Int(100, 1000)),
        ("32,64,96", None, Choice((32, 64, 96))),
        ("relu,none", Fixed("relu"), Choice(("relu", "none"))),
        ("0.9, 0.95", BETA, Choice((0.9, 0.95))),
        ("64", Choice((32, 64)), Fixed(64)),
        ("1", Float(1e-4, 1e-2, "log"), Fixed(1.0)),
        (" softplus ", None, Fixed("softplus")),
        ("-1.5:2", None, Float(-1.5, 2.0)),
        ("true,false", None, Choice((True, False))),
        ("True", Choice((True, False)), Fixed(True)),
        ("null,relu", None, Choice((None, "relu"))),
        ("none,batch", Fixed(None), Choice((None, "batch"))),
        ("none", Choice((None, "batch")), Fixed(None)),
        ("none", Float(0.0, 0.5), Fixed(None)),
        ("true,relu", Choice(("true", "relu")), Choice(("true", "relu"))),
        ('"none",batch', Fixed(None), Choice(("none", "batch"))),
        ('"8","1:2"', None, Choice(("8", "1:2"))),
        ("[8,16],[16, 32]", None, Choice(([8, 16], [16, 32]))),
        ('["a,b", null, [true]]', None, Fixed(["a,b", None, [True]])),
    ],
)
def test_text_is_read(text: str, current: Dimension | None, expected: Dimension) -> None:
    """Each documented form gives its dimension, in the kind of the one it replaces."""
    actual = parse_dimension(text, current)
    assert actual == expected
    assert repr(actual) == repr(expected)


DIMENSIONS = [
    Float(1e-4, 1e-2, "log"),
    Float(1, 4),
    Float(-2.5, 1e-20),
    BETA,
    Int(1, 4),
    Int(8, 64, log=True),
    Int(16, 64, step=16),
    Choice((32, 64, 96)),
    Choice((0.5, 1.0)),
    Choice(("identity", "softplus")),
    Fixed(64),
    Fixed(1e-3),
    Fixed("relu"),
    Choice((True, False)),
    Choice((None, 0.5)),
    Choice((None, "none")),
    Choice(([8, 16], [], ["a", [None, 1.0]])),
    Fixed(None),
    Fixed(False),
    Fixed("true"),
    Fixed("16"),
    Fixed('a,b: [c] "d"\n'),
    Fixed(""),
]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
def test_text_round_trip(dimension: Dimension) -> None:
    """What a dimension writes is read back as the same, types included."""
    assert repr(parse_dimension(str(dimension))) == repr(dimension)


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
def test_json_round_trip(dimension: Dimension) -> None:
    """A dimension survives JSON, types included."""
    assert repr(from_json(json.loads(json.dumps(to_json(dimension))))) == repr(dimension)


@pytest.mark.parametrize(
    ("text", "current", "message"),
    [
        ("", None, "not readable, got ''"),
        ("1:", None, "not readable, got '1:'"),
        ("1:2:3:4", None, "not readable"),
        ("1,,2", None, "an empty value, got '1,,2'"),
        ("a:b", None, "a range needs numbers, got 'a:b'"),
        ("1e-4:1e-2:logg", None, "unknown scale, got '1e-4:1e-2:logg'"),
        ("1:4:step=x", None, "unknown option, got '1:4:step=x'"),
        ("1e-2:1e-4:log", None, "low must be below high, got low=0.01 high=0.0001; swap"),
        ("4:1", None, "low must be below high, got low=4 high=1; swap"),
        ("0:1:log", Float(0.5, 1), "a log scale needs positive bounds, got low=0.0"),
        ("0:8:log", None, "a log scale needs low >= 1 and step 1, got low=0"),
        ("0.9:1:one_minus_log", None, "one_minus_log needs bounds below 1, got high=1.0"),
        ("nan:1", None, "Float.low: not a number, got nan"),
        ("1:inf", None, "Float.high: not a number, got inf"),
        ("nan", None, "Fixed: not a value, got nan"),
        ("1:4:step=2", None, "Int.step: must be positive and divide high - low, got step=2"),
        ("1,1", None, "Choice: the same value twice, got 1,1"),
        ("1,relu", None, "Choice: numbers and text are mixed"),
        ("relu", Float(0.5, 1), "numbers are needed here, got 'relu'"),
        ("3", Choice(("relu", "none")), "text is needed here, got '3'"),
        ("2.5", Int(1, 4), "whole numbers are needed here, got '2.5'"),
        ("1", Choice((True, False)), "truth values are needed here, got '1'"),
        ("true", Int(1, 4), "numbers are needed here, got 'true'"),
        ("true,1", None, "Choice: truth values and numbers are mixed, got true,1"),
        ("1,1.0", None, "Choice: the same value twice, got 1,1.0"),
        ("[1],[1.0]", None, "Choice: the same value twice"),
        ("[8,16", None, "expected every quote and bracket closed"),
        ("[8,nan]", None, "expected JSON such as"),
        ("[NaN]", None, "not a value, got nan"),
        ("1:" + "9" * 400, None, "Float.high: not a number, got inf"),
    ],
)
def test_bad_text_is_refused(text: str, current: Dimension | None, message: str) -> None:
    """Each unusable text is refused in one line that shows it."""
    with pytest.raises(ValueError) as caught:
        parse_dimension(text, current)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([True, False], Choice((True, False))),
        ([None, "batch"], Choice((None, "batch"))),
        (["8", "none"], Choice(("8", "none"))),
        ((8, 16), Choice((8, 16))),
        ([[8, 16], [16, 32]], Choice(([8, 16], [16, 32]))),
        ([[8, 16]], Fixed([8, 16])),
        ([64], Fixed(64)),
        (None, Fixed(None)),
        (False, Fixed(False)),
        (0.5, Fixed(0.5)),
        ("8:64:log", Int(8, 64, log=True)),
        (range(8, 65, 8), Int(8, 64, step=8)),
        (range(3, 0, -1), Int(1, 3)),
        (range(5, 6), Fixed(5)),
        (np.array([8, 16]), Choice((8, 16))),
        ([np.int64(8), np.float64(0.5)], Choice((8, 0.5))),
        (np.bool_(True), Fixed(True)),
    ],
)
def test_python_values_keep_their_types(written: object, expected: Dimension) -> None:
    """What a file of a person's own says is what is searched; NumPy's scalars become Python's."""
    actual = build_dimension(written)
    assert repr(actual) == repr(expected)


class _Kind(Enum):
    """Something else than a plain value."""

    A = "a"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([True, 1], "truth values and numbers are mixed"),
        ([1, 1.0], "the same value twice"),
        ([1, "same"], "numbers and text are mixed"),
        ([None, None], "the same value twice"),
        ([], "no values, got []"),
        (range(0), "no values"),
        ([math.nan, 1.0], "not a value, got nan"),
        (math.inf, "not a value, got inf"),
        ({"low": 1, "high": 2}, "not a value, got {'low': 1, 'high': 2}"),
        ([{"a": 1}, {"a": 2}], "not a value, got {'a': 1}"),
        ([(3, 5), (5, 7)], "write a tuple as a list"),
        ({1, 2}, "not a value"),
        (1 + 2j, "not a value"),
        (_Kind.A, "not a value"),
        (torch.float32, "not a value"),
        (torch.tensor(3), "not a value"),
        (b"8", "not a value"),
        ("\ud800", "not a value"),
        (10**400, "not a value"),
    ],
)
def test_python_values_that_would_change_are_refused(written: object, message: str) -> None:
    """In one line: what JSON or the study would not give back as it was."""
    with pytest.raises(ValueError) as caught:
        build_dimension(written)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_within_lists_have_an_end() -> None:
    """One that holds itself is refused, too."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="too deep"):
        build_dimension(endless)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1:4", Int(1, 4)),
        ("relu,none", Choice(("relu", "none"))),
        ("true", Fixed("true")),
        ("[True,False]", Choice(("[True", "False]"))),
        ("0.9", Fixed(0.9)),
    ],
)
def test_space_of_an_earlier_version_is_read_as_it_was(text: str, expected: Dimension) -> None:
    """Its trials were trained with these values, so the others are, too."""
    assert repr(read_earlier(text)) == repr(expected)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"kind": "bool"}, "dimension: unknown kind, got 'bool'"),
        ({}, "dimension: unknown kind, got None"),
        ({"kind": "int", "low": 1}, "dimension: fields do not fit int, got ['low']"),
        ({"kind": "int", "low": 1, "high": "4"}, "Int.high: not whole, got '4'"),
        ({"kind": "choice", "values": [1]}, "Choice: too few values, got (1,)"),
        ({"kind": "choice", "values": "ab"}, "Choice: no list of values, got 'ab'"),
        ({"kind": "fixed", "value": {}}, "Fixed: not a value, got {}"),
    ],
)
def test_bad_json_is_refused(stored: dict[str, object], message: str) -> None:
    """A stored dimension that was changed by hand is checked again."""
    with pytest.raises(ValueError) as caught:
        from_json(stored)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Float(0.5, 1.0), (0.5, 1, 0.7), (0.4, 1.1, math.nan, math.inf, "0.7", True)),
        (Int(2, 8, step=3), (2, 5, 8.0), (3, 1, 11, 2.5, math.nan, "5", True)),
        (Choice((1, 16)), (1, 16.0), (2, True, "16")),
        (Choice(("relu", "none")), ("relu",), ("gelu", 1)),
        (Fixed(1), (1, 1.0), (2, True, "1")),
        (Choice((None, True)), (None, True), (False, 1, "true", "none")),
        (Choice(([1, 2], [2])), ([1, 2], [2.0]), ([1], [True, 2], 2)),
    ],
)
def test_contains(
    dimension: Dimension, inside: tuple[Value, ...], outside: tuple[Value, ...]
) -> None:
    """Bounds belong to a range; NaN, booleans and the wrong kind never do."""
    assert [dimension.contains(value) for value in inside] == [True] * len(inside)
    assert [dimension.contains(value) for value in outside] == [False] * len(outside)

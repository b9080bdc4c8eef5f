"""Search spaces: their text, their JSON, and what they refuse."""

from __future__ import annotations

import json
import math

import pytest

from models.space import (
    Choice,
    Dimension,
    Fixed,
    Float,
    Int,
    Value,
    from_json,
    parse_dimension,
    to_json,
)

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
    ],
)
def test_bad_text_is_refused(text: str, current: Dimension | None, message: str) -> None:
    """Each unusable text is refused in one line that shows it."""
    with pytest.raises(ValueError) as caught:
        parse_dimension(text, current)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"kind": "bool"}, "dimension: unknown kind, got 'bool'"),
        ({}, "dimension: unknown kind, got None"),
        ({"kind": "int", "low": 1}, "dimension: fields do not fit int, got ['low']"),
        ({"kind": "int", "low": 1, "high": "4"}, "Int.high: not whole, got '4'"),
        ({"kind": "choice", "values": [1]}, "Choice: too few values, got (1,)"),
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
    ],
)
def test_contains(
    dimension: Dimension, inside: tuple[Value, ...], outside: tuple[Value, ...]
) -> None:
    """Bounds belong to a range; NaN, booleans and the wrong kind never do."""
    assert [dimension.contains(value) for value in inside] == [True] * len(inside)
    assert [dimension.contains(value) for value in outside] == [False] * len(outside)

"""A person's own points: refused where no trial could have them, tried next otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from workers import work

from sweep.errors import ConfigError
from sweep.models.space import Choice, Fixed, Float, Int
from sweep.plan.points import read_point, read_points
from sweep.results.status import read_status
from sweep.storage.claims import claim_trial, finish_claim, release_claim
from sweep.storage.epochs import read_trials
from sweep.storage.errors import StorageError
from sweep.storage.points import add_points
from sweep.storage.sweeps import count_trials, create_sweep
from sweep.storage.workers import enter_worker
from sweep.trial.session import Session

SPACE = {
    "lr": Float(1e-4, 1e-2, "log"),
    "size": Int(8, 64, step=8),
    "norm": Choice(("batch", None)),
    "depth": Fixed(2),
}


def test_point_is_read_in_the_types_of_its_space(tmp_path: Path) -> None:
    """From words or from a table, where an empty cell is left to the sampler."""
    words = ["lr=1e-3", "size=16.0", "norm=none", "depth=2"]
    point = read_point(words, SPACE)
    assert point == {"lr": 0.001, "size": 16, "norm": None, "depth": 2}
    assert type(point["size"]) is int
    path = tmp_path / "points.csv"
    path.write_text("lr, size\n1e-3,\n,64\n", encoding="utf-8-sig")  # as an office program does
    assert read_points(path, SPACE) == [{"lr": 0.001}, {"size": 64}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lr=0.5", "point.lr: not in the space, got 0.5, expected a value of 0.0001:0.01:log"),
        ("lr=1e-4:1e-3", "point.lr: not in the space, got 1e-4:1e-3, expected a value of"),
        ("lr=fast", "point.lr: dimension: numbers are needed here, got 'fast'"),
        ("size=12", "point.size: not in the space, got 12"),
        ("depth=3", "point.depth: not in the space, got 3, expected a value of 2"),
        ("weight_decay=0", "no such hyperparameter, got 'weight_decay', expected one of lr, size"),
        ("lr", "point: not readable, got 'lr', expected name=value"),
        ("lr=1e-3 lr=1e-3", "point.lr: named twice"),
    ],
)
def test_point_that_no_trial_could_have_is_refused(words: str, said: str) -> None:
    """With what would be right, before anything is stored."""
    with pytest.raises(ConfigError) as caught:
        read_point(words.split(), SPACE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr,size\n1e-3\n", "row 1: other cells than names, got 2 names"),
        ("lr,lr\n1e-3,1e-3\n", "row 1: other cells than names"),
        ("lr\n1e-3\n9\n", "row 2: lr: not in the space, got 9"),
        ("lr\n", "no point, got 0 rows"),
        ("", "no point, got 0 rows"),
    ],
)
def test_table_that_holds_no_points_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With the row where it is wrong."""
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_points(path, SPACE)
    assert said in str(caught.value)


def test_points_take_the_next_trials_of_the_budget(engine: sa.Engine) -> None:
    """After the starting points, in their order; one that was given back keeps its point."""
    found = create_sweep(engine, "net", {"model": "cnn"}, {}, 5)
    enter_worker(engine, "w", "cpu")
    first = claim_trial(engine, found.id, "w", 60.0)
    assert first is not None and first.slot == 0 and not first.point
    assert add_points(engine, found, [{"lr": 1.0}], 2) == [2]
    assert add_points(engine, found, [{"lr": 2.0}], 2) == [3]
    command = "`sweep run --model cnn --sweep net --detach --trials 7`"
    with pytest.raises(StorageError, match=rf"got 1 that nobody has begun, expected 3.*{command}"):
        add_points(engine, found, [{"lr": 3.0}] * 3, 2)
    release_claim(engine, first)
    seen = []
    for turn in range(6):
        claim = claim_trial(engine, found.id, "w", 60.0)
        assert claim is not None
        seen.append((claim.slot, claim.point.get("lr")))
        if turn == 2:
            release_claim(engine, claim)
            continue
        finish_claim(
            engine, claim, state="failed", outcome="error", reason="", feasible=False,
            best_epoch=None,
        )  # fmt: skip
    assert seen == [(0, None), (1, None), (2, 1.0), (2, 1.0), (3, 2.0), (4, None)]
    assert count_trials(engine, found.id).failed == 5


def test_added_point_is_trained_within_the_budget(
    make_session: Callable[..., Session],
    sqlite_url: str,
    call: Callable[..., Any],
) -> None:
    """As the command puts it; the table says who chose it."""
    session = make_session(sqlite_url, trials=3, epochs=1)
    first = len(session.config.starting_points)
    answer = call("add", "net", "hidden_size=7", "--storage", sqlite_url, "--json")
    assert json.loads(answer.out) == {
        "sweep": "net", "points": [{"hidden_size": 7}], "slots": [first],
    }  # fmt: skip
    assert call("add", "net", "hidden_size=9", "--storage", sqlite_url).code == 1
    work(session)
    rows = read_trials(session.engine, session.sweep.id)
    assert [row.is_added for row in rows] == [row.slot == first for row in rows]
    assert rows[first].params["hidden_size"] == 7
    assert read_status(session.engine, session.sweep).counts.finished == 3
    shown = json.loads(call("trials", "net", "--json", "--storage", sqlite_url).out)
    assert shown[first]["origin"] == "added"

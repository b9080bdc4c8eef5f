"""How long a sweep goes on: from the epochs that are left, pauses and promotions included."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made import make_config

from sweep.config import MODEL, ArchitectureConfig
from sweep.results.time_left import estimate_time_left_s
from sweep.storage.epochs import TrialRow
from sweep.storage.tables import Epoch

NUM_TRAIN = 100
EPOCH = Epoch(1, NUM_TRAIN, 5.0, 5.0, 10, 8, 2, 8, 1, 1e-3, 1.0)
ROW = TrialRow(1, 0, 0, "running", None, None, 1, "a", 0.0, None, {}, None, None, None)


def make_rows(*trained: tuple[str, int]) -> list[TrialRow]:
    """Make trials in these states after so many epochs."""
    return [
        replace(
            ROW,
            slot=slot,
            state=state,
            finished_s=None if state in ("running", "paused", "waiting") else 1.0,
            last=replace(EPOCH, epoch=epochs, events_seen=NUM_TRAIN * epochs) if epochs else None,
        )
        for slot, (state, epochs) in enumerate(trained)
    ]


def count_epochs_left(pruner: str, budget: int, *trained: tuple[str, int]) -> float | None:
    """Count what is left, in epochs, by a pace of a second an epoch."""
    work_s = float(sum(epochs for _state, epochs in trained))
    return estimate_time_left_s(make_rows(*trained), budget, make_config(pruner, 200), work_s)


@pytest.mark.parametrize(
    ("pruner", "budget", "trained", "left"),
    [
        ("none", 2, [("complete", 8), ("running", 6)], 2),
        ("none", 3, [("running", 1)], 7 + 8 + 8),
        ("median", 4, [("complete", 8), ("pruned", 4), ("running", 2)], 4 + 6),
        ("median", 3, [("complete", 8), ("pruned", 4), ("running", 6)], 2),
        ("rungs", 8, [("running", 1)], 7 * 2 + 1 + 4 * 2 + 2 * 4),
        ("rungs", 4, [("paused", 2), ("paused", 2), ("paused", 2), ("running", 3)], 1 + 2 + 4),
        ("rungs", 2, [("pruned", 2), ("running", 6)], 2),
        ("rungs", 2, [("failed", 0), ("running", 1)], 1 + 2 + 4),
    ],
)
def test_what_is_left_counts_trials_that_run_and_pause(
    pruner: str, budget: int, trained: list[tuple[str, int]], left: float
) -> None:
    """Pruned trials say how far others come; at a rung a share of those that come goes on."""
    assert count_epochs_left(pruner, budget, *trained) == pytest.approx(left)


def test_time_is_shared_among_what_runs() -> None:
    """Two workers need half of the time; where none runs or nothing was trained none is told."""
    rows = make_rows(("running", 4), ("running", 4))
    assert estimate_time_left_s(rows, 2, make_config("none", 200), 16.0) == pytest.approx(8.0)
    assert count_epochs_left("none", 2, ("running", 0)) is None
    assert count_epochs_left("none", 2, ("complete", 8)) is None


def test_epochs_of_fewer_events_take_as_long_as_whole_ones() -> None:
    """Of architectures that are compared by seconds, whichever were trained so far."""
    parts = [ArchitectureConfig(model=name, space={}, epoch_events=NUM_TRAIN) for name in "ab"]
    slow = parts[1].model_copy(update={"epoch_events": NUM_TRAIN // 4})
    config = make_config("none", 200).model_copy(update={"architectures": (parts[0], slow)})
    quick, row = make_rows(("complete", 8), ("running", 4))
    last = replace(EPOCH, epoch=4, events_seen=NUM_TRAIN)
    rows = [replace(quick, params={MODEL: "a"}), replace(row, params={MODEL: "b"}, last=last)]
    assert estimate_time_left_s(rows, 2, config, 12.0) == pytest.approx(4.0)


RECORDED = Path(__file__).with_name("recorded_sweep.json")
"""`sweep run --model cnn` as it went on two cores, by its database, in seconds since it began:
trials (slot, state, beginning, end), attempts (slot, beginning, end), epochs (slot, epoch, end)."""


def look_at(recorded: dict[str, Any], now_s: float) -> tuple[list[TrialRow], float]:
    """Give the trials of the recorded sweep as they were then, and the work on them."""
    rows, work_s = [], 0.0
    for slot, state, _begun_s, finished_s in recorded["trials"]:
        own = [a for a in recorded["attempts"] if a[0] == slot and a[1] <= now_s]
        ends = {e[1]: e[2] for e in recorded["epochs"] if e[0] == slot and e[2] <= now_s}
        if not own:
            continue
        for _slot, from_s, until_s in own:
            seen_s = [end_s for end_s in ends.values() if from_s <= end_s]
            work_s += (until_s if until_s <= now_s else max(seen_s, default=from_s)) - from_s
        is_running = max(until_s for _slot, _from_s, until_s in own) > now_s
        is_over = finished_s <= now_s
        epochs = max(ends, default=0)
        row = replace(
            ROW,
            slot=slot,
            state="running" if is_running else state if is_over else "paused",
            finished_s=finished_s if is_over else None,
            last=replace(EPOCH, epoch=epochs, events_seen=NUM_TRAIN * epochs) if epochs else None,
        )
        rows.append(row)
    return rows, work_s


def test_recorded_sweep_was_told_its_time_within_a_third() -> None:
    """From when five trials have come to their first rung until the last ones end."""
    recorded = json.loads(RECORDED.read_text())
    budget, end_s = len(recorded["trials"]), max(trial[3] for trial in recorded["trials"])
    num_looked = 0
    for percent in range(100):
        now_s = end_s * percent / 100
        rows, work_s = look_at(recorded, now_s)
        if sum(row.state != "running" for row in rows) >= 5:
            left_s = estimate_time_left_s(rows, budget, make_config("rungs", 200), work_s)
            assert left_s == pytest.approx(end_s - now_s, rel=1 / 3), percent
            num_looked += 1
    assert num_looked > 80

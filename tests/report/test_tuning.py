"""What the report concludes from trials: what was saved, what mattered, why one won."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from made import make_epoch, make_row

from sweep.report.blocks import Table, Text
from sweep.report.importance import describe_importances
from sweep.report.savings import describe_endings, estimate_savings
from sweep.report.winner import explain_winner
from sweep.results.importance import MIN_TRIALS, compute_importances
from sweep.results.status import Status, read_status
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import TrialCounts
from sweep.trial.session import Session

NULL_LOSS = 0.1


@pytest.fixture
def status(make_session: Callable[..., Session], sqlite_url: str) -> Status:
    """A search over lr, its betas and hidden_size without any trial yet."""
    session = make_session(sqlite_url, fixed=("batch_size=12",))
    found = read_status(session.engine, session.sweep)
    data = found.config.data.model_copy(update={"null_loss": NULL_LOSS})
    return fill(replace(found, config=found.config.model_copy(update={"data": data})), [])


def fill(status: Status, rows: Sequence[TrialRow]) -> Status:
    """Give a search these trials."""
    return replace(status, begun=rows, counts=TrialCounts(0, 0, len(rows), 0, 0))


def join(status: Status) -> str:
    """Give the sentences on why a trial won."""
    return " ".join(block.text for block in explain_winner(status) if isinstance(block, Text))


def test_savings_are_the_epochs_of_pruned_trials_at_their_own_pace(status: Status) -> None:
    """Of 3 epochs one was trained in 2 s: 4 s saved; a failed trial saves nothing."""
    rows = [
        make_row(0, make_epoch()),
        make_row(1, make_epoch(), state="pruned", outcome="pruned", feasible=False),
        make_row(2, None, state="failed", outcome="error", feasible=False, reason="a\nKeyError: b"),
    ]
    curves = {0: [make_epoch(n) for n in (1, 2, 3)], 1: [make_epoch()]}
    found = fill(status, rows)
    savings = estimate_savings(found, curves)
    assert (savings.num_spent, savings.spent_s) == (4, 8.0)
    assert (savings.num_saved, savings.saved_s, savings.num_cut) == (2, 4.0, 1)
    said = " ".join(b.text for b in describe_endings(found, curves) if isinstance(b, Text))
    assert "2 epochs untrained, by an estimate" in said and "33 %" in said
    assert "Trial 2 failed: KeyError: b" in said


def test_savings_of_a_trial_without_an_epoch_take_the_usual_pace(status: Status) -> None:
    """One that diverged in its first epoch would have trained three of 2 s."""
    rows = [make_row(0, None, state="pruned", outcome="diverged", feasible=False)]
    savings = estimate_savings(fill(status, rows), {7: [make_epoch()]})
    assert (savings.num_saved, savings.saved_s) == (3, 6.0)


def test_nothing_pruned_is_said(status: Status) -> None:
    """No trial ended early, so no estimate is made up."""
    found = fill(status, [make_row(0, make_epoch())])
    said = [b.text for b in describe_endings(found, {}) if isinstance(b, Text)]
    assert said[0].startswith("No trial was ended early")


def draw_rows(num_trials: int) -> list[TrialRow]:
    """Draw trials in the space whose loss depends on lr alone, the smaller the better."""
    draw = random.Random(3)
    rows = []
    for slot in range(num_trials):
        lr = 10 ** draw.uniform(-4, -2)
        params = {"batch_size": 12, "hidden_size": draw.randint(1, 8), "lr": lr}
        params |= {"beta1": draw.uniform(0.85, 0.95), "beta2": draw.uniform(0.95, 0.99)}
        epoch = make_epoch(loss=0.02 + 5 * lr, found=50 - round(2000 * lr))
        rows.append(make_row(slot, epoch, params=params))
    return rows


def test_importance_finds_the_hyperparameter_that_decides(status: Status) -> None:
    """The others matter less, for the loss and for the efficiency; together they are 1."""
    importances = compute_importances(fill(status, draw_rows(60)))
    assert list(importances) == ["validation loss", "efficiency"]
    for found in importances.values():
        assert next(iter(found)) == "lr"
        assert set(found) == {"lr", "beta1", "beta2", "hidden_size"}
        assert sum(found.values()) == pytest.approx(1.0)
        assert found["lr"] > 2 * max(v for name, v in found.items() if name != "lr")


def test_dead_trials_count_as_the_worst(status: Status) -> None:
    """However low their loss: here all dead ones have one value of a hyperparameter."""
    rows = draw_rows(40)
    dead = [
        replace(
            make_row(100 + n, make_epoch(loss=0.001, found=0)),
            outcome="dead",
            feasible=False,
            params=row.params | {"hidden_size": 8, "lr": 0.009},
        )
        for n, row in enumerate(rows[:20])
    ]
    with_dead = compute_importances(fill(status, [*rows, *dead]))["validation loss"]
    assert next(iter(with_dead)) == "lr"


def test_too_few_trials_give_no_importance(status: Status) -> None:
    """That is said with the number needed, and of trials outside of the space none counts."""
    rows = draw_rows(MIN_TRIALS)
    outside = [replace(row, params=row.params | {"lr": 10.0}) for row in rows[:2]]
    found = fill(status, [*rows[2:], *outside])
    assert compute_importances(found) == {}
    (said,) = describe_importances(found, "key")
    assert isinstance(said, Text)
    assert f"{MIN_TRIALS - 2} finished trials" in said.text and f"{MIN_TRIALS}" in said.text
    assert compute_importances(fill(status, rows)) != {}


def test_overlapping_intervals_are_called_no_difference(status: Status) -> None:
    """41 and 40 of 50 found, 6 and 6 false: these events do not tell the two apart."""
    said = join(fill(status, [
        make_row(0, make_epoch(loss=0.05, found=41)),
        make_row(1, make_epoch(loss=0.06, found=40)),
    ]))  # fmt: skip
    assert "Trial 0 won" in said and "50 % below the null loss" in said
    assert said.count("these events do not tell the two apart") == 2


def test_a_clear_difference_is_called_one_whichever_way(status: Status) -> None:
    """The winner by loss finds more, and has more false positives."""
    said = join(fill(status, [
        make_row(0, make_epoch(loss=0.05, found=48, false=60)),
        make_row(1, make_epoch(loss=0.06, found=30, false=6)),
    ]))  # fmt: skip
    assert "do not overlap and the winner is better" in said
    assert "do not overlap and the winner is worse" in said


def test_a_winner_above_the_null_loss_is_no_network_to_use(status: Status) -> None:
    """It won, and is worse than predicting zero."""
    said = join(fill(status, [make_row(0, make_epoch(loss=8.0))]))
    assert "above the null loss" in said and "no network to use" in said


def test_no_winner_is_said(status: Status) -> None:
    """A search of dead trials only."""
    dead = make_row(0, make_epoch(found=0), outcome="dead", feasible=False)
    assert "No best trial: 1 of 1 finished trial dead" in join(fill(status, [dead]))


def test_hand_tuned_settings_are_compared(status: Status) -> None:
    """The best of them beside the winner; the table marks the winner, and ends with nothing."""
    config = status.config.model_copy(update={"num_hand_tuned": 2})
    rows = [
        make_row(0, make_epoch(loss=3.0)),
        make_row(1, make_epoch(loss=0.09, found=30)),
        make_row(2, make_epoch(loss=0.05, found=45)),
    ]
    found = replace(fill(status, rows), config=config)
    assert "The best of 2 hand-tuned settings, trial 1, has validation loss 0.09," in join(found)
    table = explain_winner(found)[1]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["2", "1", "0", "predicting zero"]
    assert table.marked == 0
    assert table.rows[-1][2] == "0.1"

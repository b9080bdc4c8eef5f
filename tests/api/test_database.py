"""What a notebook gets of a database, and the same tables as files of other programs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from workers import end_trial

import sweep
from sweep.errors import SweepError
from sweep.storage.tables import Epoch
from sweep.storage.workers import enter_worker
from sweep.trial.session import Session

PARAMS = {"hidden_size": 4, "lr": 0.1 + 0.2, "batch_size": 12, "beta1": 0.9, "beta2": 0.999}
GOOD = Epoch(1, 24, 0.2, 1 / 30, 12, 30, 20, 30, 9, 1e-3, 0.5, 30, 12, 900, 1200, 90_000)


@pytest.fixture
def database(make_session: Callable[..., Session], sqlite_url: str) -> str:
    """A sweep `net` with a complete trial, one that failed, and one that has not begun."""
    session = make_session(sqlite_url, trials=3)
    enter_worker(session.engine, "w", "cpu")
    end_trial(session, PARAMS, [GOOD], "complete")
    end_trial(session, PARAMS, [], "failed", 'Traceback:\nKeyError: "a, b"')
    return sqlite_url


def test_tables_have_a_type_for_each_column(database: str) -> None:
    """Whole numbers stay whole where some are missing; times are times of day."""
    with sweep.open(database) as opened:
        trials, epochs, sweeps = opened.trials("net"), opened.epochs("net"), opened.sweeps()
    assert trials["trial"].tolist() == [0, 1]
    assert trials["params_lr"].tolist() == [PARAMS["lr"]] * 2
    types = {name: str(kind) for name, kind in trials.dtypes.items()}
    assert types["params_hidden_size"] == types["best_epoch"] == types["found"] == "Int64"
    assert types["params_lr"] == types["efficiency_low"] == types["training_s"] == "float64"
    assert types["started"] == types["finished"] == "datetime64[us, UTC]"
    assert types["feasible"] == "boolean"
    assert trials["efficiency"][0] == 0.6
    assert trials["efficiency_low"][0] < 0.6 < trials["efficiency_high"][0]
    assert epochs[["trial", "epoch", "train_loss"]].values.tolist() == [[0, 1, 0.2]]
    assert sweeps[["sweep", "budget", "waiting", "best_trial"]].values.tolist() == [
        ["net", 3, 1, 0]
    ]


def test_best_is_what_the_command_prints(database: str, call: Callable[..., Any]) -> None:
    """The same names and values; and the same refusal where there is none."""
    with sweep.open(database) as opened:
        best = opened.best("net")
        with pytest.raises(SweepError, match="no such trial, got 7"):
            opened.draw_trial("net", 7)
        for figure in (opened.draw_history("net"), opened.draw_trial("net", 0)):
            assert figure.data
    assert best == json.loads(call("best", "--json", "--storage", database).out)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("what", ["trials", "epochs"])
def test_tables_are_read_back_to_equal_values(
    database: str, call: Callable[..., Any], tmp_path: Any, form: str, what: str
) -> None:
    """By pandas, from the file that the command writes."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"table.{form}"
    answer = call(what, "net", "--out", out, "--storage", database)
    assert answer.code == 0, answer.err
    with sweep.open(database) as opened:
        expected = getattr(opened, what)("net")
    if form == "csv":
        found = pd.read_csv(out)
    elif form == "json":
        found = pd.DataFrame(json.loads(out.read_text()), columns=expected.columns)
    else:
        found = pd.read_parquet(out)
    assert list(found.columns) == list(expected.columns)
    assert_frame_equal(found.astype(expected.dtypes), expected, check_exact=True)


def test_tables_are_printed(database: str, call: Callable[..., Any]) -> None:
    """Every column for programs on standard output, the telling ones for people."""
    place = ("--storage", database)
    rows = pd.read_csv(io.StringIO(call("trials", "--csv", *place).out))
    assert len(rows) == len(json.loads(call("trials", "--json", *place).out)) == 2
    shown = call("trials", "--sweep", "net", *place)
    assert shown.code == 0
    assert 'KeyError: "a, b"' in shown.out
    assert "hidden_size=4" in shown.out
    assert call("epochs", "net", *place).code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--csv --json", "csv: not alone, got --csv and --json, expected one of them"),
        ("--out t.xls", "out: unknown form of a table, got t.xls, expected a name that ends in"),
        ("--parquet", "parquet: pyarrow is not installed"),
    ],
)
def test_form_that_cannot_be_written_is_refused(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    """In one line, before the database is looked at."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = call("trials", *options.split())
    assert answer.code == 1
    assert said in answer.err

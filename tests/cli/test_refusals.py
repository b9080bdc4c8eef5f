"""What is wrong with a command's options is said at once: before torch, which takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request

LIGHT = [
    "run --model nope",
    "run --model cnn --set lr=bad",
    "run --model cnn --fix lr=-1",
    "run --model cnn --trials 0",
    "run --model cnn --sampler grid",
    "run --model cnn --notify cat --detach",
    "run --model cnn --objective x",
    "run --model cnn --recipe x",
    "run --model cnn --profile x",
    "run --model cnn --sweep a/b",
    "run --model cnn --data none.npz",
    "run --model cnn --val-data none.npz",
    "run --model cnn --events 0",
    "run --model cnn --val-events 0",
    "run --model cnn --artifacts empty.db",
    "run --model none.py:Net",
    "curve",
    "curve --model nope --events 10",
    "curve --model cnn --events 10 --plot x.gif",
    "curve --model cnn --events 10 --data none.npz",
    "data plot none.npz --event 0",
    "data plot empty.db --event 0 --out x.gif",
    "evaluate none",
    "predict none --data none.npz --out v.csv",
    "predict none --data none.npz --out v.txt",
    "compare a b --storage sqlite:///none.db",
    "compare ./a ./b",
    "list --storage sqlite:///none.db",
    "status --storage sqlite:///none.db",
    "best --storage sqlite:///none.db",
    "trials --storage sqlite:///none.db",
    "add cnn",
    "add cnn lr=1 --csv none.csv",
    "add cnn lr=1 --storage sqlite:///none.db",
    "epochs cnn --csv --storage sqlite:///none.db",
    "trials --out t.xls",
    "report --storage sqlite:///none.db",
    "dashboard --storage sqlite:///none.db",
    "models --model nope",
    "run --model cnn --config none.toml",
    "run --config key.toml",
    "run --config value.toml",
    "run --config torn.toml",
    "run --model cnn --storage sqlite:///none/sweep.db",
    "storage copy sqlite:///none.db sqlite:///new.db",
    "storage copy sqlite:///empty.db sqlite:///none/new.db",
    "storage backup --storage sqlite:///none.db new.db",
    "storage migrate --storage sqlite:///none.db",
    "dashboard --host 0.0.0.0 --storage sqlite:///empty.db",
    "score none.npz none.npz",
]
"""What a word or a missing file shows; SQLAlchemy alone takes half a second."""
OTHERS = [
    "run",
    "run --model cnn --set size=3",
    "run --model cnn --set lr",
    "run --model cnn --fix lr=0.1,0.2",
    "run --model cnn --epochs 0",
    "run --model cnn --timeout 0",
    "run --model cnn --workers 0",
    "run --model cnn --gpus one",
    "run --model cnn --seed -1",
    "run --model cnn --pruner x",
    "run --model cnn --variant x",
    "run --model cnn --launcher x",
    "run --model cnn --storage x",
    "curve --model cnn --events a",
    "curve --model cnn --events 10 --repeats 0",
    "curve --events 10 --from nope --storage sqlite:///empty.db",
    "worker --storage sqlite:///none.db",
    "worker --sweep nope --storage sqlite:///empty.db",
    "worker --device tpu --storage sqlite:///empty.db",
    "worker --threads 0 --storage sqlite:///empty.db",
    "compare a b --storage sqlite:///empty.db",
    "report --sweep nope --storage sqlite:///empty.db",
    "best --storage sqlite:///empty.db",
    "status --sweep nope --storage sqlite:///empty.db",
    "data make --events 0",
    "data describe none.npz",
    "data convert none.npz out.txt",
]
"""For what is wrong here a database may be looked at."""
FILES = {
    "key.toml": 'model = "cnn"\nframes = 1',
    "value.toml": 'model = "cnn"\nsampler = "best"',
    "torn.toml": "model = [",
}
REFUSE_ALL = """
import json, sys
from sweep.cli import main

commands, heavy = json.load(sys.stdin)
for line in commands:
    sys.argv = ["sweep", *line.split()]
    code = 0
    try:
        main()
    except SystemExit as exc:
        code = exc.code
    print(json.dumps([line, code, sorted({*heavy}.intersection(sys.modules))]))
"""


def refuse_all(
    commands: Sequence[str], heavy: Sequence[str], folder: Path
) -> tuple[list[Any], list[str]]:
    """Have one process refuse all commands.

    Returns:
        For each of them its line, its exit code and what of `heavy` is loaded; the error lines.
    """
    process = subprocess.run(
        [sys.executable, "-c", REFUSE_ALL],
        cwd=folder,
        input=json.dumps([commands, heavy]),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in process.stdout.splitlines()], process.stderr.splitlines()


def test_refused_options_load_nothing_heavy(empty_database: Path, tmp_path: Path) -> None:
    """One process that is refused them all, each with one line and exit code 1."""
    (tmp_path / "empty.db").write_bytes(empty_database.read_bytes())
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    commands = [*LIGHT, *OTHERS]
    answers, errors = refuse_all(commands, ["sqlalchemy", "torch"], tmp_path)
    assert [answer[:2] for answer in answers] == [[line, 1] for line in commands]
    assert [line for line, _code, loaded in answers[: len(LIGHT)] if loaded] == []
    assert [line for line, _code, loaded in answers if "torch" in loaded] == []
    assert len(errors) == len(commands)
    assert all(error.startswith("error: ") for error in errors)


HEAVY = ["torch", "optuna", "numpy", "scipy", "numba", "h5py", "alembic"]
BESIDE_A_DATABASE = [
    "run --model none.py:Net",
    "run --model cnn --storage x",
    "run --model cnn --sweep kept --epochs 9",
    "run --model cnn --sweep kept --events 9",
    "run --model cnn --sweep kept --sampler random",
    "run --model cnn --sweep kept --set lr=0.5",
    "curve --model cnn --events 10 --sweep kept",
    "curve --events 10 --from nope",
    "compare a b",
    "compare kept kept:1",
    "status --sweep nope",
    "best",
]


def test_what_a_database_shows_is_told_before_numbers_are_loaded(
    empty_database: Path, events_file: Path, tmp_path: Path
) -> None:
    """NumPy, what reads events and Optuna would take longer than all of the answer."""
    (tmp_path / "sweep.db").write_bytes(empty_database.read_bytes())
    request = Request(model="cnn", data=(str(events_file),), epochs=1, val_events=8)
    engine, *_rest = prepare_sweep(request, f"sqlite:///{tmp_path}/sweep.db", "kept", 2, CPU)
    engine.dispose()
    answers, _errors = refuse_all(BESIDE_A_DATABASE, HEAVY, tmp_path)
    assert answers == [[line, 1, []] for line in BESIDE_A_DATABASE]


def test_version_is_told() -> None:
    """That of the package, and exit code 0, without torch."""
    code = "import sys; sys.argv = ['sweep', '--version']\nfrom sweep.cli import main\nmain()"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.split()[0] == "sweep"
    assert process.stdout.split()[1][0].isdigit()

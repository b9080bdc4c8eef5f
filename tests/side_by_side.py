"""Files of tests side by side, in processes forked from the one that has collected them.

Loading PyTorch and collecting take a dozen seconds of a processor. Here that is done once, and a
process more costs nothing: there are more than cores, since many tests wait for a lease, a server
or a browser. Each process takes the next file as soon as it is through with one.

What numba compiles takes as long again on a fresh machine, and each process whose cache is empty
would do it for itself: one does it for all while the tests are collected.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import pytest

import forks
from servers import SHARED, share_postgres
from sweep.data.toy import make_toy_event

PR_SET_PDEATHSIG = 1
"""Of prctl(2): a signal that comes when the parent has ended."""

LONGEST = (
    "launch/test_ray.py",
    "acceptance/test_soak.py",
    "acceptance/test_main_job.py",
    "acceptance/test_dashboard.py",
    "acceptance/test_interruptions.py",
    "trial/test_trial.py",
    "deploy/test_services.py",
    "api/test_notebook.py",
    "acceptance/test_outages.py",
    "results/test_confirmation.py",
    "worker/test_pauses.py",
    "results/test_export.py",
    "storage/test_claims.py",
    "trial/test_limits.py",
    "results/test_compare.py",
    "acceptance/test_service.py",
    "worker/test_agenda.py",
    "dashboard/test_publisher.py",
    "acceptance/test_terminal.py",
    "storage/test_transfer.py",
    "deploy/test_batch.py",
    "models/test_contract.py",
    "plan/test_curve.py",
    "report/test_report.py",
    "results/test_bootstrap.py",
    "storage/test_pauses.py",
    "storage/test_studies.py",
    "data/test_hdf5_file.py",
    "deploy/test_package.py",
    "test_structure.py",
)
"""Files that take longest, the longest first; those at the top mostly wait."""
File = Sequence[pytest.Item]
COMPILE = (
    "from sweep.data.toy import make_toy_event\n"
    "from sweep.metrics.walk import load_compiled\n"
    "load_compiled()\n"
    "make_toy_event(0, 0)"
)
COMPILER = pytest.StashKey["subprocess.Popen[bytes]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the number of processes."""
    text = "run the files of tests in so many processes"
    parser.addoption("--processes", type=int, default=1, metavar="N", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Have another process fill numba's cache, beside the collection."""
    if config.option.processes > 1 and not config.option.collectonly:
        config.stash[COMPILER] = subprocess.Popen([sys.executable, "-c", COMPILE])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it where the tests never came to need it."""
    if compiler := config.stash.get(COMPILER, None):
        compiler.kill()
        compiler.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no process is left alone with one in the end."""
    places = {f"tests/{file}": place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run all tests in several processes, where that is asked for, and report them in this one."""
    option = session.config.option
    if session.testsfailed or option.collectonly:
        return None
    if option.processes < 2:
        forks.begin()
        return None
    forks.load()
    if session.config.stash[COMPILER].wait() == 0:  # else tests say what does not compile
        make_toy_event(0, 0)  # loads the rest
    gc.collect()
    gc.freeze()  # the pages of what is loaded stay shared
    files = [list(items) for _path, items in itertools.groupby(session.items, lambda i: i.path)]
    queue, end = os.pipe()
    for number in range(len(files)):
        os.write(end, number.to_bytes(2))
    os.close(end)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: all is put away
    with share_postgres() as session.config.stash[SHARED]:
        crew = dict(_fork(session, files, queue) for _process in range(option.processes))
        try:
            _report(session, crew)
        finally:
            for process in crew.values():
                with suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGINT)
                process.join()
    return True


def _fork(
    session: pytest.Session, files: Sequence[File], queue: int
) -> tuple[Connection, BaseProcess]:
    """Fork a process that takes one file after another; gives what it tells, too."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work, args=(session, files, queue, theirs))
    process.start()
    theirs.close()
    return ours, process


def _report(session: pytest.Session, crew: dict[Connection, BaseProcess]) -> None:
    """Report what the processes tell, until all have ended.

    Raises:
        pytest.Session.Failed: when as many tests have failed as were to end it all.
    """
    config = session.config
    doing = dict.fromkeys(crew, "its beginning")
    while doing:
        for connection in wait(list(doing)):
            try:
                told = connection.recv()
            except EOFError:
                crew[connection].join()
                test, code = doing.pop(connection), crew[connection].exitcode
                if code:
                    config.hook.pytest_runtest_logreport(report=_report_end(test, code))
                continue
            if isinstance(told, str):
                doing[connection] = told
                continue
            report = config.hook.pytest_report_from_serializable(config=config, data=told)
            config.hook.pytest_runtest_logreport(report=report)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)


def _report_end(test: str, code: int) -> pytest.TestReport:
    """Make the report of a test that has ended its process."""
    said = f"its process ended with exit code {code}, and no test after it in its file was run"
    return pytest.TestReport(
        test, (test.partition("::")[0], None, test), {}, "failed", said, "call"
    )


class Teller:
    """Tells reports to the process that prints them."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config, self._connection = config, connection

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a part of a test ended."""
        write = self._config.hook.pytest_report_to_serializable
        self._connection.send(write(config=self._config, report=report))


def _work(session: pytest.Session, files: Sequence[File], queue: int, told: Connection) -> None:
    """Run one file after another, as long as there are any and somebody hears of it."""
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    forks.begin()
    plugins = session.config.pluginmanager
    capture = plugins.get_plugin("capturemanager")
    capture.stop_global_capturing()  # its files are those of all processes
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a terminal would show is told instead
    capture.start_global_capturing()
    capture.suspend_global_capture()
    plugins.register(Teller(session.config, told))
    try:
        while number := os.read(queue, 2):
            items = files[int.from_bytes(number)]
            for item, after in zip(items, [*items[1:], session], strict=True):
                told.send(item.nodeid)
                item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
    except (KeyboardInterrupt, BrokenPipeError):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    finally:
        plugins.get_plugin("runner").pytest_sessionfinish(session)

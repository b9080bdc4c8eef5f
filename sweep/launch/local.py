"""Workers as processes of this machine: one a GPU or a slot of the cores, watched, replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sweep.errors import ConfigError, SweepError
from sweep.files.shared import open_log
from sweep.launch.fork_server import ForkedProcess, ProcessRequest, run_fork_server
from sweep.launch.launcher import (
    FreeTrials,
    IdleDeaths,
    Job,
    Wish,
    describe_ending,
    name_logs,
    read_fault,
)
from sweep.launch.places import Place, choose_places
from sweep.machine.process import COMMAND, describe_process

END_TIMEOUT_S = 20.0


def check(wish: Wish, _storage: str) -> None:
    """Refuse an address: there is no cluster here."""
    if wish.address not in (None, os.environ.get("RAY_ADDRESS")):
        raise ConfigError(
            f"address: no cluster is asked for, got {wish.address!r}, expected it beside "
            "--launcher ray; add that, or leave --address out"
        )


@contextmanager
def open_places(wish: Wish) -> Iterator[list[Place]]:
    """Find the GPUs, or else the cores, of this machine.

    Workers for cores are forked, from a process that is forked itself now, while this one has done
    nothing but load. What uses a GPU cannot be.
    """
    places = choose_places(wish.workers, wish.gpus, wish.per_gpu)
    if any(place.device != "cpu" for place in places):
        yield places
        return
    with run_fork_server() as server:
        yield [replace(place, forks=server) for place in places]


def make_launcher(
    job: Job, places: Sequence[Place], free_trials: FreeTrials, _say: Callable[[str], None]
) -> LocalWorkers:
    """Make the launcher of a sweep's workers on this machine."""
    return LocalWorkers(job, places, free_trials)


@dataclass
class _Child:
    """One worker process at its place."""

    place: Place
    log: Path
    process: subprocess.Popen[bytes] | ForkedProcess
    deaths: IdleDeaths
    is_done: bool = False


class LocalWorkers:
    """The worker processes of one sweep on this machine, as a `Launcher`."""

    def __init__(self, job: Job, places: Sequence[Place], free_trials: FreeTrials) -> None:
        self._job = job
        self._places = places
        self._free_trials = free_trials
        self._children: list[_Child] = []
        self._is_stopping = False

    def start(self) -> None:
        """Start one process for each place."""
        logs = name_logs(self._job, self._places)
        for place, log in zip(self._places, logs, strict=True):
            os.close(open_log(log, is_new=True))
            self._children.append(_Child(place, log, self._spawn(place, log), IdleDeaths(log)))

    def watch(self) -> int:
        """Replace workers that were killed, or that a network ended."""
        for child in self._children:
            code = child.process.poll()
            if code is None or child.is_done or self._is_stopping:
                continue
            num_freed = self._free(child, describe_ending(code))
            if num_freed == 0 and code > 0:
                raise SweepError(read_fault(child.log))
            if num_freed == 0 and code == 0:
                child.is_done = True
                continue
            # A worker gives its trial back before it leaves: with one in hand it was ended by the
            # network, or killed by a signal.
            self._replace(child, num_freed, code)
        return sum(child.process.poll() is None for child in self._children)

    def ask_to_stop(self, *, at_once: bool = False) -> None:
        """Ask all workers to leave, after their epoch or at once (two SIGINTs might merge)."""
        self._is_stopping = True
        self._send(signal.SIGTERM if at_once else signal.SIGINT)

    def end(self) -> None:
        """End all workers that are alive: gently by SIGTERM, after a while by SIGKILL."""
        self._is_stopping = True
        self._send(signal.SIGTERM)
        for child in self._children:
            try:
                child.process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def _free(self, child: _Child, ending: str | None) -> int:
        """Let the trial of a worker that has ended be taken over; says how many it had."""
        process = describe_process(child.process.pid)
        return self._free_trials(lambda name: name.startswith(process), ending)

    def _replace(self, child: _Child, num_freed: int, code: int) -> None:
        how = describe_ending(code) or signal.Signals(-code).name
        child.deaths.note(how, had_trial=num_freed > 0)
        child.process = self._spawn(child.place, child.log)

    def _send(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    def _spawn(self, place: Place, log: Path) -> subprocess.Popen[bytes] | ForkedProcess:
        arguments = [*self._job.list_arguments(place), "--parent", str(os.getpid())]
        settings = {**self._job.describe_environment(), **place.describe_environment()}
        environment = {**os.environ, **settings}
        with open(open_log(log, is_new=False), "ab") as output, open(os.devnull, "rb") as nothing:
            if place.forks is not None:
                streams = [nothing.fileno(), output.fileno(), output.fileno()]
                request = ProcessRequest(arguments, environment, os.getcwd())
                with contextlib.suppress(OSError):  # it was killed, or memory is short: as without
                    return place.forks.fork(request, streams)
            return subprocess.Popen(
                [*COMMAND, *arguments],
                stdin=nothing,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
            )

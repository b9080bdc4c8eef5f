"""Workers on a Ray cluster: an actor a share of a GPU or of the cores, watched, replaced.

Each actor runs one `sweep worker` on whatever node has room and dies with this process. What Ray
says of its nodes decides only how soon a lost trial is taken over: a worker that Ray wrongly holds
for dead finds its claim lost before it writes, as after a long sleep.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from sweep.errors import SweepError
from sweep.files.shared import open_log
from sweep.launch.launcher import FreeTrials, IdleDeaths, Job, describe_ending, name_logs
from sweep.launch.places import Place, count_workers
from sweep.launch.remote import Ending, RemoteWorker

END_TIMEOUT_S = 20.0


@dataclass
class _Share:
    """One worker's share of the cluster.

    `answer` is what was asked of the actor last: to start the worker, then to wait for its end;
    None when the worker has ended for good. `process` is what the worker's name begins with, None
    until it is placed.
    """

    place: Place
    log: Path
    actor: ActorHandle[RemoteWorker]
    deaths: IdleDeaths
    answer: ray.ObjectRef[str | Ending] | None = None
    process: str | None = None


class RayWorkers:
    """The worker processes of one sweep on the cluster that this process has joined: a `Launcher`.

    The job's folder of artifacts must be the same on all nodes.
    """

    def __init__(
        self,
        job: Job,
        places: Sequence[Place],
        free_trials: FreeTrials,
        say: Callable[[str], None],
    ) -> None:
        self._job = job
        self._places = places
        self._free_trials = free_trials
        self._say = say
        self._shares: list[_Share] = []
        self._num_placed = -1
        self._asked: signal.Signals | None = None

    def start(self) -> None:
        """Ask the cluster for one actor a place; each starts its worker once it has room."""
        for place, log in zip(self._places, name_logs(self._job, self._places), strict=True):
            os.close(open_log(log, is_new=True))
            share = _Share(place, log, _ask_for_room(place), IdleDeaths(log))
            self._ask(share)
            self._shares.append(share)

    def watch(self) -> int:
        """Replace workers that were killed or whose node died; who waits for room is alive."""
        self._hear()
        waiting = [share for share in self._shares if share.answer and share.process is None]
        num_workers = count_workers([share.place for share in self._shares])
        num_placed = num_workers - count_workers([share.place for share in waiting])
        if num_placed != self._num_placed and self._asked is None:
            self._num_placed = num_placed
            more = ", the others wait for room in the cluster" if waiting else ""
            self._say(f"{num_placed} of {num_workers} workers placed{more}")
        if any(share.answer is None for share in self._shares):  # there is nothing left to train
            self._withdraw(waiting)
        return sum(share.answer is not None for share in self._shares)

    def ask_to_stop(self, *, at_once: bool = False) -> None:
        """Ask all workers to leave, after their epoch or at once; those without room never come."""
        self._asked = signal.SIGTERM if at_once else signal.SIGINT
        self._hear()
        for share in self._shares:
            if share.process is None:
                self._withdraw([share])
            elif share.answer is not None:
                share.actor.send.remote(self._asked)

    def end(self) -> None:
        """End all workers that are alive: gently by SIGTERM, after a while by force."""
        self.ask_to_stop(at_once=True)
        answers = [share.answer for share in self._shares if share.answer]
        if answers:
            ray.wait(answers, num_returns=len(answers), timeout=END_TIMEOUT_S)
            self._hear()
        for share in self._shares:
            if share.answer is not None:
                self._lose(share, "force")

    def _hear(self) -> None:
        """Hear what the actors have answered by now."""
        answers = [share.answer for share in self._shares if share.answer]
        if not answers:
            return
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0, fetch_local=True)
        for share in self._shares:
            if share.answer in ready:
                self._hear_one(share)

    def _hear_one(self, share: _Share) -> None:
        assert share.answer is not None
        try:
            answer = ray.get(share.answer)
        except ActorUnavailableError:  # the network failed; Ray says later whether the node died
            self._ask(share)
        except RayActorError as exc:
            if exc.actor_init_failed:
                reason = str(exc).splitlines()[-1]
                self._give_up(
                    share,
                    f"launcher: a node cannot run workers, got {reason!r}, expected pv-sweep on "
                    "every node of the cluster; install it there",
                )
            else:
                self._lose(share, "its node or its actor")
        except RayTaskError as exc:
            if not isinstance(exc.cause, SweepError):
                raise
            self._give_up(share, str(exc.cause))
        else:
            if isinstance(answer, Ending):
                self._hear_ending(share, answer)
            else:
                share.process = answer
                self._ask(share)

    def _hear_ending(self, share: _Share, ending: Ending) -> None:
        own = describe_ending(ending.code)
        num_freed = self._free(share, own)
        if num_freed or ending.code < 0:
            self._replace(share, num_freed, own or signal.Signals(-ending.code).name)
        elif ending.code == 0:
            self._withdraw([share])
        else:
            self._give_up(share, ending.line)

    def _give_up(self, share: _Share, reason: str) -> None:
        """End the sweep because of a fault that another worker would meet, too."""
        self._withdraw([share])
        if self._asked is None:
            raise SweepError(reason)

    def _free(self, share: _Share, ending: str | None) -> int:
        """Let a lost worker's trial be taken over at once; says how many it had."""
        process = share.process
        if process is None:
            return 0
        return self._free_trials(lambda name: name.startswith(process), ending)

    def _lose(self, share: _Share, killer: str) -> None:
        """Let a lost worker's trial be taken over at once, and ask for another worker."""
        self._replace(share, self._free(share, None), killer)

    def _replace(self, share: _Share, num_freed: int, killer: str) -> None:
        """Ask for another worker in the place of one that was lost."""
        self._withdraw([share])
        if self._asked is not None:
            return
        share.deaths.note(killer, had_trial=num_freed > 0)
        share.process = None
        share.actor = _ask_for_room(share.place)
        self._ask(share)

    def _ask(self, share: _Share) -> None:
        """Ask an actor for what comes next: to start its worker, or to wait for its end."""
        if share.process is not None:
            share.answer = share.actor.wait.remote()
            return
        arguments = self._job.list_arguments(share.place)
        settings = {**self._job.describe_environment(), **share.place.describe_environment()}
        share.answer = share.actor.start.remote(arguments, settings, share.log)

    def _withdraw(self, shares: Sequence[_Share]) -> None:
        """Give back what workers took of the cluster, or asked for."""
        for share in shares:
            ray.kill(share.actor)
            share.answer = None


def _ask_for_room(place: Place) -> ActorHandle[RemoteWorker]:
    """Ask the cluster for an actor that has a place's share of a node; it waits for room."""
    options = ray.remote(RemoteWorker).options(
        num_cpus=0 if place.gpu_share else place.num_threads,
        num_gpus=place.gpu_share,
        scheduling_strategy="SPREAD",
        max_restarts=0,  # a worker is replaced only after its trial was freed
        max_concurrency=16,  # a call waits for the worker's end, others send signals or ask again
    )
    return cast("ActorHandle[RemoteWorker]", options.remote())

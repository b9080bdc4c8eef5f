"""A Ray cluster: how it is joined, and how workers share its GPUs and cores."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sweep.errors import ConfigError, SweepError
from sweep.launch.launcher import FreeTrials, Job, Launcher, Wish
from sweep.launch.places import MOST_THREADS_ON_GPU, NO_GPU, Place, find_free_bytes, spread
from sweep.machine.sharing import choose_share
from sweep.storage.engine import parse_url
from sweep.storage.passwords import hide_password

AUTO = "auto"
CONNECT_TIMEOUT_S = 10.0
OBJECT_STORE_BYTES = 80 * 2**20
"""Workers pass nothing through Ray, which would set aside 30 % of the memory; it takes no less."""
LOCAL_SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on the loopback interface only
    "RAY_AUTH_MODE": "token",  # what is Ray's default, without a warning about it
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Of a Ray of this machine's own; they hold from the first import of ray."""


@dataclass(frozen=True)
class Node:
    """What one machine of a cluster has for workers."""

    num_cpus: int
    num_gpus: int


def check(wish: Wish, storage: str) -> None:
    """Refuse GPUs by number, and a database that the nodes of a cluster cannot share."""
    if wish.gpus:
        raise ConfigError(
            f"gpus: Ray chooses them, got {','.join(map(str, wish.gpus))!r}, expected {NO_GPU} for "
            "the CPU; leave --gpus out"
        )
    if wish.address is not None and parse_url(storage).get_backend_name() == "sqlite":
        raise ConfigError(
            "storage: the nodes of a cluster cannot share a file, got "
            f"{hide_password(storage)!r} beside a cluster at {wish.address}, expected "
            "postgresql://...; change --storage"
        )


@contextlib.contextmanager
def open_places(wish: Wish) -> Iterator[list[Place]]:
    """Join the cluster and share it out; it is left at the end."""
    with join_cluster(wish.address) as nodes:
        if wish.gpus is not None:
            nodes = [Node(node.num_cpus, 0) for node in nodes]
        may_grow = wish.address is not None
        num_gpus = sum(node.num_gpus for node in nodes)
        free_bytes = None if may_grow or not num_gpus else find_free_bytes(range(num_gpus))
        yield choose_shares(
            nodes, wish.workers, wish.per_gpu, may_grow=may_grow, free_bytes=free_bytes
        )


def make_launcher(
    job: Job, places: Sequence[Place], free_trials: FreeTrials, say: Callable[[str], None]
) -> Launcher:
    """Make the launcher of a sweep's workers on the cluster that was joined."""
    from sweep.launch.ray_workers import RayWorkers  # only with the extra `ray`

    return RayWorkers(job, places, free_trials, say)


@contextlib.contextmanager
def join_cluster(address: str | None) -> Iterator[list[Node]]:
    """Join a cluster, or start Ray on this machine alone where there is no address; then leave it.

    Args:
        address: `HOST:PORT` of the cluster's head, or `auto` for the one this machine belongs to.

    Yields:
        The nodes that are there now.

    Raises:
        ConfigError: when Ray is not installed, or no cluster answers at the address.
    """
    if address is None:
        os.environ.update({**LOCAL_SETTINGS, **os.environ})
    try:
        import ray
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "launcher: Ray is not installed here, got ray, expected the Python package; "
            "pip install 'pv-sweep[ray]'"
        ) from exc
    if address is None:
        ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    else:
        if address != AUTO:
            _check_answers(address)
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as exc:
            raise _refuse(address, str(exc).splitlines()[0]) from exc
    try:
        yield [
            Node(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        ]
    finally:
        ray.shutdown()


def choose_shares(
    nodes: Sequence[Node],
    num_workers: int | None = None,
    per_gpu: int | None = None,
    *,
    may_grow: bool = False,
    free_bytes: int | None = None,
) -> list[Place]:
    """Choose what each worker takes of a cluster: a share of a GPU where it has any, else cores.

    Args:
        num_workers: How many, or None for one a slot: `per_gpu` for each GPU, or one a core.
        per_gpu: How many workers share a GPU; None for as many as `num_workers` needs, else for
            what memory has room for (`sweep.machine.sharing`).
        may_grow: Whether more workers may be asked for than there is room now.
        free_bytes: Of memory on the GPU that has least; None where that is not known, as of the
            nodes of a cluster.

    Returns:
        One place for each worker, or for those of a GPU. Ray says later which GPU it is, so none
        has a number.

    Raises:
        ConfigError: when there is no GPU to share, or more workers are asked for than fit.
    """
    num_gpus = sum(node.num_gpus for node in nodes)
    num_cpus = sum(node.num_cpus for node in nodes)
    if per_gpu is not None and num_gpus == 0 and not (may_grow and num_workers):
        raise ConfigError(
            f"per-gpu: no GPU to share, got {per_gpu} workers a GPU and a cluster without, "
            "expected one with GPUs; leave --per-gpu out, or say --workers if GPUs will join"
        )
    reason = ""
    if per_gpu is None and num_gpus and num_workers is not None:
        per_gpu = math.ceil(num_workers / num_gpus)
    elif per_gpu is None and num_gpus:
        chosen = choose_share(free_bytes)
        per_gpu, reason = chosen.per_gpu, chosen.reason
    room = num_cpus if per_gpu is None else num_gpus * per_gpu
    wanted = num_workers or room
    if wanted > room and not may_grow:
        raise ConfigError(
            f"workers: more than fit, got {wanted}, expected at most {room} "
            f"({num_cpus} cores and {num_gpus} GPUs here); lower --workers"
        )
    if per_gpu is None:
        return [Place("cpu", None, _divide_cores(nodes, wanted))] * wanted
    cores = [node.num_cpus // node.num_gpus for node in nodes if node.num_gpus]
    threads = max(1, min(MOST_THREADS_ON_GPU, *cores)) if cores else 1
    num_places = max(math.ceil(wanted / per_gpu), min(wanted, num_gpus))
    return [
        # Of what the GPU carries; Ray counts so finely, and must not round up.
        Place("cuda:0", None, threads, math.floor(10_000 * number / per_gpu) / 10_000,
              reason=reason, num_workers=number)
        for number in spread(wanted, num_places)
    ]  # fmt: skip


def _divide_cores(nodes: Sequence[Node], num_workers: int) -> int:
    """Give the most cores that so many workers can have each; a worker stays on one node."""
    most = max((node.num_cpus for node in nodes), default=1)
    for cores in range(most, 1, -1):
        if sum(node.num_cpus // cores for node in nodes) >= num_workers:
            return cores
    return 1


def _check_answers(address: str) -> None:
    """Refuse at once an address where nobody listens; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise _refuse(address, "not an address")
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as exc:
        raise _refuse(address, str(exc)) from exc


def _refuse(address: str, reason: str) -> SweepError:
    return ConfigError(
        f"address: no Ray cluster there, got {address!r} ({reason}), expected HOST:PORT of the "
        "head's GCS, or auto, on a machine of the cluster; change --address"
    )

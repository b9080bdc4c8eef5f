"""Workers on a real Ray cluster of two nodes, both on this machine, one of which is killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forks import Command
from jobs import (
    NUM_TRIALS,
    Job,
    check_whole,
    end,
    get_process,
    is_alive,
    read_line,
    register,
    wait_until,
)
from sweep.errors import ConfigError
from sweep.launch.places import Place
from sweep.launch.ray_cluster import Node, choose_shares
from sweep.storage.epochs import TrialRow
from sweep.storage.sweeps import TrialCounts
from sweep.storage.tables import Epoch
from sweep.trial.session import Session

SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # everything on the loopback interface
    "RAY_AUTH_MODE": "disabled",  # or Ray would write a token into the user's home
    "RAY_USAGE_STATS_ENABLED": "0",
    "SWEEP_LEASE_S": "1000",  # whoever waited for it would come too late
    "RAY_prestart_worker_first_driver": "0",  # a process for whoever may come
    "RAY_enable_worker_prestart": "0",
    "RAY_worker_niceness": "0",  # or workers would wait for whatever else this machine does
}
SIZE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
WITHOUT = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
"""Processes of Ray's head that nothing here asks: a second of a processor each."""


@dataclass
class TwoNodes:
    """A cluster of two nodes with one core each; the second one also claims to have a GPU."""

    cluster: Any
    gate: Path
    second: Any = None

    def fill(self) -> None:
        """Add the second node where there is none."""
        if self.second is None:
            self.second = self.cluster.add_node(num_gpus=1, **SIZE)

    def kill_second(self, row: TrialRow) -> None:
        """Kill the second node as a power cut would: with all that trains a trial there.

        What Ray's own processes do not take with them is halted first, so that it tells nobody.
        """
        worker = get_process(row)
        actor = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
        for process in (worker, actor):
            os.kill(process, signal.SIGSTOP)
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None
        for process in (worker, actor):
            os.kill(process, signal.SIGKILL)

    def is_on_second(self, row: TrialRow) -> bool:
        """Say whether a trial's worker runs on the second node."""
        (raylet,) = self.second.all_processes["raylet"]
        return read_raylet(row) == raylet.process.pid


def read_raylet(row: TrialRow) -> int:
    """Read which node a trial's worker is on: the process of Ray that is responsible there."""
    entries = Path(f"/proc/{get_process(row)}/environ").read_bytes().split(b"\0")
    (found,) = (entry for entry in entries if entry.startswith(b"RAY_RAYLET_PID="))
    return int(found.partition(b"=")[2])


def list_command_lines() -> str:
    """List what all processes of this machine were started with, for all users to see."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines.append((process / "cmdline").read_text(errors="replace"))
        except OSError:  # it has ended meanwhile
            continue
    return "\n".join(lines)


@pytest.fixture(scope="module")
def started_nodes() -> Iterator[TwoNodes]:
    """Start the cluster in a short folder, because Ray's sockets bear the name of it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "NET_GATE": str(folder / "gate")}.items():
            patch.setenv(name, value)
        patch.setenv("RAY_TMPDIR", str(folder))
        pytest.importorskip("ray", reason="no Ray: install pv-sweep[test]")
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={**WITHOUT, **SIZE})
        try:
            yield TwoNodes(cluster, folder / "gate")
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nodes(started_nodes: TwoNodes) -> TwoNodes:
    """The cluster with both its nodes."""
    started_nodes.fill()
    return started_nodes


@pytest.fixture
def job(
    nodes: TwoNodes, postgres_url: str, make_session: Callable[..., Session], tmp_path: Path
) -> Iterator[Job]:
    """The sweep and what trains it on the cluster; processes that a failed test left are ended."""
    model = register(make_session, postgres_url).config.model
    words = ["--model", model, "--launcher", "ray", "--address", nodes.cluster.address]
    job = Job(tmp_path, postgres_url, [*words, "--gpus", "none", "--workers", "2"])
    job.gate = nodes.gate
    yield job
    job.end()


def wait_for_line(process: Command, text: str, job: Job) -> None:
    """Wait for a line among those that a command writes for people."""
    wait_until(lambda: text in read_line(process), job)


def test_trial_of_a_killed_node_goes_on_elsewhere(
    nodes: TwoNodes, job: Job, reference: list[list[Epoch]]
) -> None:
    """A worker on each node; one node dies, its trial goes on from its checkpoint on the other,
    without waiting for the lease, and in the end the budget is trained exactly."""
    job.close_gate()
    process = job.start()
    held = job.wait_for_held(2)
    assert len({read_raylet(row) for row in held}) == 2
    assert job.storage not in list_command_lines()
    (victim,) = filter(nodes.is_on_second, held)
    nodes.kill_second(victim)
    wait_for_line(process, "1 of 2 workers placed, the others wait for room", job)
    job.open_gate()
    end(process)
    check_whole(job, reference)
    successor = job.read_rows()[victim.slot]
    assert (successor.number, successor.attempts) == (victim.number, 2)
    assert sorted(map(str, job.read_endings())) == ["expired"] + ["finished"] * NUM_TRIALS


def test_interrupt_lets_the_epoch_be_finished(nodes: TwoNodes, job: Job) -> None:
    """Ctrl-C passes through Ray to the worker, which gives its trial back."""
    job.close_gate()
    process = job.start("run", *job.arguments, "--workers", "1")
    job.wait_for_held(1)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "stopping after this epoch", job)
    job.open_gate()
    _out, err = end(process)
    assert "stopped; to go on: sweep run --model" in err
    assert f"--launcher ray --address {nodes.cluster.address}" in err
    assert job.count() == TrialCounts(NUM_TRIALS, 0, 0, 0, 0)
    assert [len(curve) for curve in job.read_curves()] == [2]
    assert job.read_endings() == ["released"]


def test_worker_ends_with_the_command_that_started_it(job: Job) -> None:
    """Killed, it can ask nobody to leave; the cluster ends its worker all the same."""
    job.close_gate()
    process = job.start("run", *job.arguments, "--workers", "1")
    (held,) = job.wait_for_held(1)
    process.kill()
    process.communicate()
    job.open_gate()
    wait_until(lambda: not is_alive(get_process(held)), job)
    assert job.count().finished == 0


def test_fault_of_a_worker_on_a_node_is_told(
    nodes: TwoNodes, job: Job, call: Callable[..., Any]
) -> None:
    """Ray's second node claims a GPU, which a worker with a share of it finds to be missing."""
    arguments = [word for word in job.arguments if word not in ("--gpus", "none")]
    answer = call("run", *arguments, "--workers", "1", "--per-gpu", "2", "--storage", job.storage)
    assert answer.code == 1
    assert "error: device: cannot be used, got 'cuda:0'" in answer.err.splitlines()[-1]
    assert "(log of the worker: " in answer.err.splitlines()[-1]
    assert job.count() == TrialCounts(NUM_TRIALS, 0, 0, 0, 0)


def test_folder_that_is_not_shared_gets_one_line(job: Job, call: Callable[..., Any]) -> None:
    """Without the checkpoints of the others no trial could go on elsewhere."""
    folder = "/proc/self/cwd/sweep_artifacts"  # another one in each process
    answer = call("run", *job.arguments, "--artifacts", folder, "--storage", job.storage)
    assert answer.code == 1
    line = f"error: artifacts: not the same folder on every node, got no {folder}/logs/FaintNet-"
    assert answer.err.splitlines()[-1].startswith(line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--launcher", "slurm"], "error: launcher: unknown, got 'slurm', expected local or ray;"),
        (["--address", "head:6379"], "error: address: no cluster is asked for, got 'head:6379'"),
        (["--launcher", "ray", "--gpus", "0"], "error: gpus: Ray chooses them, got '0'"),
        (["--launcher", "ray", "--detach"], "error: launcher: no worker is started here"),
        (
            ["--launcher", "ray", "--address", "head:6379"],
            "error: storage: the nodes of a cluster cannot share a file, got 'sqlite:///",
        ),
        (
            ["--launcher", "ray", "--address", "head", "--storage", "SERVER"],
            "error: address: no Ray cluster there, got 'head' (not an address)",
        ),
        (
            ["--launcher", "ray", "--address", "127.0.0.1:1", "--storage", "SERVER"],
            "error: address: no Ray cluster there, got '127.0.0.1:1' ([Errno 111] Connection",
        ),
    ],
)
def test_bad_options_of_a_cluster_get_one_line(
    call: Callable[..., Any],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    line: str,
) -> None:
    """Before anything is made or stored."""
    if "SERVER" in arguments:
        arguments = [*arguments[:-1], request.getfixturevalue("postgres_url")]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pytest.importorskip("ray", reason="no Ray: install pv-sweep[test]")
    answer = call("run", "--model", "cnn", *arguments)
    assert answer.fault.startswith(line)
    assert list(tmp_path.iterdir()) == []


def test_missing_ray_gets_one_line(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    """It is an extra; the line says how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = call("run", "--model", "cnn", "--launcher", "ray", "--address", "auto",
                  "--storage", postgres_url)  # fmt: skip
    assert "pip install 'pv-sweep[ray]'" in answer.fault


def test_workers_share_the_gpus_of_a_cluster() -> None:
    """Those of a GPU are one process: as many as its memory is known to have room for, or as asked
    for."""
    nodes = [Node(8, 2), Node(16, 4), Node(4, 0)]
    assert choose_shares(nodes) == [Place("cuda:0", None, 2, 1.0, num_workers=4)] * 6
    assert choose_shares(nodes, per_gpu=1) == [Place("cuda:0", None, 2, 1.0)] * 6
    assert choose_shares(nodes, 9) == [
        *[Place("cuda:0", None, 2, 1.0, num_workers=2)] * 3,
        *[Place("cuda:0", None, 2, 0.5)] * 3,
    ]
    *_, last = choose_shares(nodes, 13, per_gpu=7)
    assert last.num_workers == 2
    assert 2 / 7 - 0.0001 <= last.gpu_share <= 2 / 7


def test_workers_divide_the_cores_of_a_cluster() -> None:
    """One a core, or as many as asked for with what cores there are; none spans two nodes."""
    nodes = [Node(8, 0), Node(8, 0)]
    assert choose_shares(nodes) == [Place("cpu", None, 1)] * 16
    assert choose_shares(nodes, 2) == [Place("cpu", None, 8)] * 2
    assert choose_shares(nodes, 3) == [Place("cpu", None, 4)] * 3


def test_more_workers_than_fit_wait_where_the_cluster_may_grow() -> None:
    """On one machine they never would fit, so they are refused."""
    nodes = [Node(2, 0)]
    assert choose_shares(nodes, 5, may_grow=True) == [Place("cpu", None, 1)] * 5
    assert choose_shares(nodes, 2, 1, may_grow=True) == [Place("cuda:0", None, 1, 1.0)] * 2
    with pytest.raises(ConfigError, match="workers: more than fit, got 5, expected at most 2 "):
        choose_shares(nodes, 5)
    with pytest.raises(ConfigError, match="per-gpu: no GPU to share, got 2 workers a GPU"):
        choose_shares(nodes, per_gpu=2, may_grow=True)

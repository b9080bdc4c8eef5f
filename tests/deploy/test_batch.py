"""The files for batch systems: what they ask for, and that their signals lose nothing.

Slurm and HTCondor are not here. The Slurm script runs under bash with the variables that Slurm
sets, `scontrol` is a stand-in that writes down what it was asked; the submit file is read by
HTCondor's own parser, its rules are evaluated by its own ClassAds, and its command is started from
what they say.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from deployment import ROOT, check_given_back, check_goes_on, wait_for_held
from forks import QUIET, Command
from jobs import Job

SCRIPT = ROOT / "deploy" / "slurm" / "worker.sbatch"
SUBMIT_FILE = ROOT / "deploy" / "htcondor" / "worker.sub"
VACATE_S = 60.0
WORKER_STAND_IN = """#!/bin/sh
echo "$CUDA_VISIBLE_DEVICES $*" >> calls
trap 'exit $(cat code)' TERM
touch "up.$$"
while :; do sleep 0.02; done
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A user's folder: an environment to activate, and a `scontrol` that writes down its calls."""
    programs = tmp_path / "site"
    (programs / "bin").mkdir(parents=True)
    path = f"{programs / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    (programs / "bin" / "activate").write_text(f"export PATH={shlex.quote(path)}\n")
    scontrol = programs / "bin" / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(tmp_path / "scontrol"))}\n')
    scontrol.chmod(0o755)
    yield programs
    for mark in tmp_path.glob("up.*"):
        if Path(f"/proc/{mark.suffix[1:]}").exists():
            os.kill(int(mark.suffix[1:]), signal.SIGKILL)


def read_requeued(folder: Path) -> list[str]:
    """Read what `scontrol` was asked."""
    path = folder / "scontrol"
    return path.read_text().splitlines() if path.exists() else []


def start_job(site: Path, storage: str, **environment: str) -> subprocess.Popen[str]:
    """Start the Slurm script as the node does: bash, in a session of its own."""
    settings = {
        "SWEEP_VENV": str(site),
        "SWEEP_STORAGE": storage,
        "SWEEP_ARTIFACTS": str(site.parent / "sweep_artifacts"),
        "SLURM_JOB_ID": "77",
        "SLURM_CPUS_PER_TASK": "2",
        "CUDA_VISIBLE_DEVICES": "0,1",
    }
    return subprocess.Popen(
        ["bash", SCRIPT],
        cwd=site.parent,
        env={**os.environ, **settings, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_stand_ins(site: Path, code: int) -> subprocess.Popen[str]:
    """Start the Slurm script with workers that do nothing until SIGTERM, then end with a code."""
    worker = site / "bin" / "sweep"
    worker.write_text(WORKER_STAND_IN)
    worker.chmod(0o755)
    (site.parent / "code").write_text(str(code))
    process = start_job(site, "sqlite:///none.db")
    while len(list(site.parent.glob("up.*"))) < 2:
        assert process.poll() is None, process.communicate()
    return process


def read_directives() -> dict[str, str]:
    """Read the options that the script asks Slurm for."""
    text = SCRIPT.read_text(encoding="utf-8")
    return dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, re.MULTILINE))


def test_slurm_is_asked_for_a_warning_and_another_turn() -> None:
    """The shell gets the warning, long before the end; the log of all turns is one file."""
    found = read_directives()
    receiver, number, seconds = re.fullmatch(r"(\w):(\w+)@(\d+)", found["signal"]).groups()  # type: ignore[union-attr]
    assert (receiver, number) == ("B", "USR1")
    assert int(seconds) >= 60
    assert found["requeue"] == ""
    assert found["gres"] == "gpu:1"
    assert (found["nodes"], found["ntasks"]) == ("1", "1")
    assert found["open-mode"] == "append"


def test_slurm_job_at_its_end_gives_its_trial_back_and_comes_again(
    site: Path, make_held: Callable[..., Job], sqlite_url: str
) -> None:
    """A real worker is in mid-epoch when the warning comes."""
    job = make_held(site.parent, sqlite_url)
    process = start_job(site, sqlite_url, NET_GATE=str(job.gate), CUDA_VISIBLE_DEVICES="0")
    wait_for_held(job, process)
    process.send_signal(signal.SIGUSR1)
    job.open_gate()
    out, err = process.communicate(timeout=VACATE_S)
    assert process.returncode == 0, out + err
    assert read_requeued(site.parent) == ["requeue 77"]
    check_given_back(job)
    check_goes_on(job)


def test_slurm_job_starts_a_worker_a_gpu(site: Path) -> None:
    """Each sees its own, and gets its share of the cores."""
    process = start_stand_ins(site, code=0)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=VACATE_S)
    calls = (site.parent / "calls").read_text().splitlines()
    assert sorted(calls) == ["0 worker --threads 1", "1 worker --threads 1"]


@pytest.mark.parametrize(("wanted", "given"), [({}, "4096"), ({"SWEEP_PROCESSES": "700"}, "700")])
def test_slurm_job_has_a_bound(
    site: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str], given: str
) -> None:
    """Of memory by Slurm, of processes by the script: a worker that forks for ever is stopped."""
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    process = start_stand_ins(site, code=0)
    pids = [mark.suffix[1:] for mark in site.parent.glob("up.*")]
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in pids]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=VACATE_S)
    assert all(re.search(rf"^Max processes +{given} ", text, re.MULTILINE) for text in limits)
    assert read_directives()["mem"] == "16G"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGUSR1, 3)])
def test_slurm_job_that_is_cancelled_or_has_a_fault_does_not_come_again(
    site: Path, number: int, code: int
) -> None:
    """SIGTERM is `scancel` or preemption: Slurm knows whether the job is wanted. A wrong address
    would fail for ever; its exit code is the job's.
    """
    process = start_stand_ins(site, code)
    process.send_signal(number)
    process.communicate(timeout=VACATE_S)
    assert (process.returncode, read_requeued(site.parent)) == (code, [])


@pytest.fixture
def submit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The submit file as HTCondor reads it."""
    htcondor = pytest.importorskip("htcondor2", reason="no HTCondor: install pv-sweep[test]")
    monkeypatch.setenv("SWEEP_VENV", str(Path(sys.executable).parents[1]))
    return htcondor.Submit(SUBMIT_FILE.read_text(encoding="utf-8"))


def test_condor_job_asks_for_a_gpu_and_a_soft_end(submit: Any) -> None:
    """SIGTERM first, on removal too, and time to write the checkpoint."""
    assert submit.expand("request_gpus") == "1"
    assert submit.expand("kill_sig") == "SIGTERM"
    assert submit.expand("want_graceful_removal") == "true"
    assert float(submit.expand("job_max_vacate_time")) >= 30
    assert submit.getQArgs() == "$(workers)"


def test_evicted_condor_job_gives_its_trial_back(
    submit: Any,
    make_held: Callable[..., Job],
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The arguments of the file, in the environment that the file lets through."""
    job = make_held(tmp_path, sqlite_url)
    monkeypatch.setenv("SWEEP_STORAGE", sqlite_url)
    monkeypatch.setenv("SWEEP_ARTIFACTS", str(tmp_path / "sweep_artifacts"))
    wanted = submit.expand("getenv").replace(",", " ").split()
    for name in [name for name in os.environ if not matches(name, wanted)]:
        monkeypatch.delenv(name)
    assert {"SWEEP_STORAGE", "SWEEP_ARTIFACTS", "SWEEP_CACHE", "HOME"} <= set(os.environ)
    assert Path(submit.expand("executable")) == Path(sys.executable).with_name("sweep")
    process = Command(
        *shlex.split(submit.expand("arguments")),
        folder=tmp_path,
        settings={"NET_GATE": str(job.gate), **QUIET},
    )
    wait_for_held(job, process)
    process.send_signal(signal.Signals[submit.expand("kill_sig")])
    job.open_gate()
    _out, err = process.communicate(timeout=float(submit.expand("job_max_vacate_time")))
    assert process.wait() == 0, err
    assert judge(submit, ExitBySignal=False, ExitCode=0) == "leaves"
    check_given_back(job)
    check_goes_on(job)


def matches(name: str, patterns: list[str]) -> bool:
    """Say whether a variable is one of those that a submit file lets through."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def judge(submit: Any, **ending: object) -> str:
    """Say what HTCondor does with a job of the file that has ended by itself."""
    import classad2

    job = classad2.ClassAd({"NumJobCompletions": 1, **ending})
    for key in ("on_exit_hold", "on_exit_remove"):
        job[key] = classad2.ExprTree(submit.expand(key))
    if job.eval("on_exit_hold"):
        return "is held"
    return "leaves" if job.eval("on_exit_remove") else "comes again"


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ({"ExitBySignal": False, "ExitCode": 0}, "leaves"),
        ({"ExitBySignal": False, "ExitCode": 1}, "is held"),
        ({"ExitBySignal": True, "ExitSignal": 9}, "comes again"),
        ({"ExitBySignal": True, "ExitSignal": 9, "NumJobCompletions": 6}, "is held"),
    ],
)
def test_condor_job_ends_as_its_worker_does(
    submit: Any, ending: dict[str, object], expected: str
) -> None:
    """Nothing left; a fault; killed; killed again and again."""
    assert judge(submit, **ending) == expected


@pytest.mark.parametrize("script", [SCRIPT, ROOT / "deploy" / "compose" / "prepare.sh"], ids=str)
def test_scripts_are_sound(script: Path) -> None:
    """Their shell reads them, and shellcheck finds nothing."""
    shell = script.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", script], check=True)
    checker = Path(sys.executable).parent / "shellcheck"
    if not checker.exists():
        pytest.skip("no shellcheck: install pv-sweep[test]")
    found = subprocess.run([checker, script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout

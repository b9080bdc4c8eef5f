"""Where workers run: cores and GPUs are shared out, impossible wishes refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from sweep.errors import ConfigError
from sweep.launch import ray_cluster
from sweep.launch.launcher import Wish
from sweep.launch.places import (
    Place,
    choose_places,
    count_cores,
    count_workers,
    describe_choice,
    leave_out,
    parse_gpus,
)
from sweep.machine.sharing import parse_per_gpu


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs."""
    monkeypatch.setattr("sweep.launch.places.count_gpus", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def free_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has a driver of its own answer for the GPUs: so many MiB free on each, a line each."""
    program = tmp_path / "nvidia-smi"

    def answer(lines: str) -> None:
        program.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sweep.launch.places.count_cores", lambda: 16)
    return answer


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU."""
    monkeypatch.setattr("sweep.launch.places.count_gpus", lambda: 0)


def list_shares(places: list[Place]) -> list[tuple[int | None, int]]:
    return [(place.gpu, place.num_workers) for place in places]


def test_workers_share_the_cores(no_gpu: None) -> None:
    """One a core, or as many as asked for, each with its part of the cores."""
    assert choose_places() == [Place("cpu", None, 1)] * count_cores()
    assert choose_places(1) == [Place("cpu", None, count_cores())]
    assert choose_places(64) == [Place("cpu", None, max(1, count_cores() // 64))] * 64


def test_workers_take_turns_on_the_gpus(two_gpus: None) -> None:
    """A process on each, which sees one GPU, whichever number it has."""
    assert [place.gpu for place in choose_places(per_gpu=1)] == [0, 1]
    assert list_shares(choose_places(3)) == [(0, 2), (1, 1)]
    assert list_shares(choose_places(1)) == [(0, 1)]
    assert list_shares(choose_places(gpus=[1], per_gpu=1)) == [(1, 1)]
    assert list_shares(choose_places(gpus=[0, 1], per_gpu=2)) == [(0, 2), (1, 2)]
    assert list_shares(choose_places(3, [0, 1], 2)) == [(0, 2), (1, 1)]
    assert {place.device for place in choose_places()} == {"cuda:0"}


@pytest.mark.parametrize(
    ("most", "left"),
    [(9, [(0, 4), (1, 4)]), (5, [(0, 3), (1, 2)]), (2, [(0, 1), (1, 1)]), (1, [(0, 1)])],
)
def test_workers_without_a_trial_are_left_out(
    two_gpus: None, most: int, left: list[tuple[int, int]]
) -> None:
    """Those that are left are spread over the GPUs."""
    places = leave_out(choose_places(per_gpu=4), most)
    assert list_shares(places) == left
    assert count_workers(places) == min(most, 8)


@pytest.mark.parametrize(
    ("answer", "per_gpu", "reason"),
    [
        ("79000\\n80500\\n", 8, "at most 8 a GPU: 83 GB free"),
        ("79000\\n24000\\n", 5, "at most 5 a GPU: 25 GB free"),
        ("300\\n300\\n", 1, "at most 1 a GPU: 0 GB free"),
        ("[N/A]\\n", 4, "at most 4 a GPU: free memory unknown"),
    ],
)
def test_number_on_a_gpu_is_chosen(
    two_gpus: None, free_mib: Callable[[str], None], answer: str, per_gpu: int, reason: str
) -> None:
    """By what the GPU with least memory has free; nothing is said where a person chose."""
    free_mib(answer)
    places = choose_places()
    assert list_shares(places) == [(0, per_gpu), (1, per_gpu)]
    assert {place.num_threads for place in places} == {2}
    assert describe_choice(places) == f"{2 * per_gpu} workers, {reason}; --per-gpu says otherwise"
    assert describe_choice(leave_out(places, 1)) == f"1 worker, {reason}; --per-gpu says otherwise"
    assert describe_choice(choose_places(per_gpu=3)) is None
    assert describe_choice(choose_places(2)) is None


@pytest.mark.parametrize("free", ["79000\\n80500\\n", "79000\\n24000\\n", "[N/A]\\n"])
def test_ray_on_this_machine_chooses_alike(
    two_gpus: None, free_mib: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, free: str
) -> None:
    """As many a GPU as without Ray, for the same reason; Ray says which GPU it is."""
    free_mib(free)
    nodes = nullcontext([ray_cluster.Node(16, 2)])
    monkeypatch.setattr(ray_cluster, "join_cluster", lambda _address: nodes)
    with ray_cluster.open_places(Wish()) as places:
        assert count_workers(places) == count_workers(choose_places())
        assert describe_choice(places) == describe_choice(choose_places())


@pytest.mark.parametrize(("text", "per_gpu"), [(None, None), ("auto", None), ("3", 3)])
def test_number_on_a_gpu_is_read(text: str | None, per_gpu: int | None) -> None:
    """A number, or auto."""
    assert parse_per_gpu(text) == per_gpu


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many"])
def test_bad_number_on_a_gpu_is_refused(text: str) -> None:
    """In one line that names the option."""
    with pytest.raises(ConfigError, match=f"per-gpu: got {text}, expected auto or at least 1"):
        parse_per_gpu(text)


def test_cpu_is_used_where_no_gpu_is_wanted(two_gpus: None) -> None:
    """`--gpus none`."""
    assert choose_places(1, parse_gpus("none")) == [Place("cpu", None, count_cores())]


def test_worker_sees_only_its_gpu_and_its_threads(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers count what this process sees, which may be a part of the machine's GPUs."""
    place = choose_places(1, gpus=[1])[0]
    assert place.describe_environment() == {
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": str(min(2, count_cores())),
    }
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-3f")
    assert place.describe_environment()["CUDA_VISIBLE_DEVICES"] == "GPU-3f"


@pytest.mark.parametrize(("text", "gpus"), [(None, None), ("0", [0]), ("0, 1", [0, 1])])
def test_list_of_gpus_is_read(text: str | None, gpus: list[int] | None) -> None:
    """Numbers with commas between them."""
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize("text", ["", "all", "0,0", "-1", "0;1", "1.5"])
def test_bad_list_of_gpus_is_refused(text: str) -> None:
    """In one line that names the option."""
    with pytest.raises(ConfigError, match="gpus: not a list of GPUs"):
        parse_gpus(text)


def test_gpu_that_is_not_there_is_refused(two_gpus: None) -> None:
    """With those that are."""
    with pytest.raises(ConfigError, match="gpus: not there, got 2, expected 0 to 1"):
        choose_places(gpus=[0, 2])


def test_more_workers_than_the_gpus_may_hold_are_refused(two_gpus: None) -> None:
    """Where it was said how many share one."""
    with pytest.raises(ConfigError, match=r"got 5, expected at most 4 \(2 on each of 2\)"):
        choose_places(5, [0, 1], 2)


def test_sharing_a_gpu_needs_one(no_gpu: None) -> None:
    """And so does naming one."""
    with pytest.raises(ConfigError, match="per-gpu: no GPU to share"):
        choose_places(per_gpu=2)
    with pytest.raises(ConfigError, match="expected none, for PyTorch sees no GPU here"):
        choose_places(gpus=[0])

"""The compose file as Compose itself reads it: secrets, users, devices, health, order."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deployment import ROOT, Project

OURS = ("migrate", "dashboard", "worker-gpu", "worker-cpu")
WORKERS = ("worker-gpu", "worker-cpu")


def test_nothing_starts_before_it_is_prepared(project: Project, tmp_path: Path) -> None:
    """The error names the command that is missing."""
    copy = tmp_path / "docker-compose.yml"
    copy.write_bytes((ROOT / "docker-compose.yml").read_bytes())
    answer = project.ask("-f", str(copy), "config", "--quiet")
    assert answer.returncode == 1
    assert "SWEEP_USER is missing a value: run deploy/compose/prepare.sh first" in answer.stderr


def test_preparing_twice_changes_nothing(project: Project) -> None:
    """The passwords stay those of the database, and nobody else reads them."""
    files = [*sorted((project.folder / "secrets").iterdir()), project.folder / ".env"]
    before = [path.read_bytes() for path in files]
    subprocess.run(["sh", project.folder / "deploy" / "compose" / "prepare.sh"], check=True)
    assert [path.read_bytes() for path in files] == before
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert len(set(before)) == len(files)
    assert project.read_secret("pgpass") == f"*:*:*:*:{project.read_secret('db_password')}\n"


def test_secrets_and_data_stay_out_of_git_and_of_the_image() -> None:
    """What `prepare.sh` makes is ignored by the one and let in by no line of the other."""
    made = {".env", "/secrets/", "/data/"}
    assert made <= set((ROOT / ".gitignore").read_text(encoding="utf-8").split())
    first, *others = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert first == "*"
    assert not {"!.env", "!secrets", "!data", "!.git"} & set(others)


def test_no_password_is_in_what_compose_tells(project: Project) -> None:
    """Neither the files nor the environment of the containers hold one, only files' names."""
    told = project.ask("--profile", "*", "config").stdout
    for name in ("db_password", "dashboard_password"):
        assert project.read_secret(name) not in told
    for service in project.read()["services"].values():
        settings = service["environment"]
        assert not {"PGPASSWORD", "POSTGRES_PASSWORD", "SWEEP_DASHBOARD_PASSWORD"} & set(settings)


def test_each_service_has_the_secrets_it_needs_and_no_others(services: dict[str, Any]) -> None:
    """A worker does not know the dashboard's password, nor the dashboard that of nobody."""
    found = {
        name: {secret["source"] for secret in service["secrets"]}
        for name, service in services.items()
    }
    assert found == {
        "db": {"db_password"},
        "migrate": {"pgpass"},
        "dashboard": {"pgpass", "dashboard_password"},
        "worker-gpu": {"pgpass"},
        "worker-cpu": {"pgpass"},
    }


def test_every_service_runs_without_privileges(services: dict[str, Any]) -> None:
    """No root, nothing writable but volumes and temporary files, no capability."""
    for service in services.values():
        assert int(service["user"].partition(":")[0]) > 0
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["init"] is True
        assert "/tmp" in service["tmpfs"]


def test_every_service_has_a_bound(services: dict[str, Any], project: Project) -> None:
    """Of memory and of processes: one that runs wild harms no other, nor the machine."""
    bounds = {
        name: (int(service["mem_limit"]) >> 30, int(service["pids_limit"]))
        for name, service in services.items()
    }
    assert bounds == {
        "db": (4, 512),
        "migrate": (1, 256),
        "dashboard": (2, 512),
        "worker-gpu": (8, 1024),
        "worker-cpu": (8, 1024),
    }
    (limit,) = re.findall(r"max_connections=(\d+)", " ".join(services["db"]["command"]))
    assert bounds["db"][1] > int(limit)
    told = project.ask("--profile", "cpu", "config", SWEEP_WORKER_MEMORY="3g").stdout
    assert f'mem_limit: "{3 << 30}"' in told
    more = project.read("-f", "docker-compose.yml", "-f", "deploy/compose/more-gpus.yml")
    assert {s["pids_limit"] for n, s in more["services"].items() if "gpu" in n} == {1024}


def test_lasting_services_restart_and_have_a_health(services: dict[str, Any]) -> None:
    """All but the one that prepares the database, which runs once."""
    restarts = {name: service["restart"] for name, service in services.items()}
    assert restarts.pop("migrate") == "no"
    assert set(restarts.values()) == {"unless-stopped"}
    assert {name for name, service in services.items() if "healthcheck" in service} == set(restarts)


def test_services_wait_for_what_they_need(services: dict[str, Any]) -> None:
    """One process prepares the database before anything else uses it."""
    found = {
        name: {other: rule["condition"] for other, rule in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    prepared = {"db": "service_healthy", "migrate": "service_completed_successfully"}
    assert found == {
        "db": {},
        "migrate": {"db": "service_healthy"},
        "dashboard": prepared,
        "worker-gpu": prepared,
        "worker-cpu": prepared,
    }


def test_services_are_stopped_as_they_leave(services: dict[str, Any]) -> None:
    """Workers by SIGTERM, the database by SIGINT, which does not wait for its clients."""
    assert services["db"]["stop_signal"] == "SIGINT"
    assert {services[name]["stop_signal"] for name in OURS} == {"SIGTERM"}
    assert all(services[name]["stop_grace_period"] == "30s" for name in WORKERS)


def test_a_machine_has_workers_of_one_kind(services: dict[str, Any], project: Project) -> None:
    """The profile that `prepare.sh` chose; without one there are none."""
    profiles = {name: service.get("profiles") for name, service in services.items()}
    assert {name: profiles[name] for name in WORKERS} == {
        "worker-gpu": ["gpu"],
        "worker-cpu": ["cpu"],
    }
    for profile in ("gpu", "cpu"):
        listed = project.ask("config", "--services", COMPOSE_PROFILES=profile).stdout.split()
        assert sorted(listed) == ["dashboard", "db", "migrate", f"worker-{profile}"]


def test_gpu_is_reserved(services: dict[str, Any], project: Project) -> None:
    """One each; a worker that was promised a GPU does not fall back to the CPU."""
    (device,) = services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert device["device_ids"] == ["0"]
    assert "gpu" in device["capabilities"]
    assert services["worker-gpu"]["command"][-2:] == ["--device", "cuda"]
    assert not services["worker-cpu"]["deploy"]["resources"]
    more = project.read("-f", "docker-compose.yml", "-f", "deploy/compose/more-gpus.yml")[
        "services"
    ]
    reserved = [
        device["device_ids"]
        for service in more.values()
        for device in service.get("deploy", {})
        .get("resources", {})
        .get("reservations", {})
        .get("devices", [])
    ]
    assert sorted(reserved) == [["0"], ["1"], ["2"], ["3"]]


def test_workers_of_one_gpu_share_its_lock(services: dict[str, Any]) -> None:
    """The lock lies in the temporary folder, which therefore is on a volume they all see."""
    for name in WORKERS:
        assert services[name]["environment"]["TMPDIR"] == "/cache/tmp"
        targets = {volume["target"]: volume for volume in services[name]["volumes"]}
        assert targets["/cache"]["source"] == "cache"
        assert targets["/artifacts"]["source"] == "artifacts"
        assert targets["/data"]["read_only"] is True


def test_ports_are_open_to_this_machine_only(services: dict[str, Any], project: Project) -> None:
    """Until a person says otherwise."""
    hosts = {port["host_ip"] for service in services.values() for port in service.get("ports", [])}
    assert hosts == {"127.0.0.1"}
    told = project.ask("config", SWEEP_DB_ADDRESS="0.0.0.0:5432").stdout
    assert "host_ip: 0.0.0.0" in told


def test_images_are_pinned(services: dict[str, Any]) -> None:
    """Ours to this version, PostgreSQL to a release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {services[name]["image"] for name in OURS} == {f"pv-sweep:{project['version']}"}
    assert services["db"]["image"] == "postgres:18.4-bookworm"


@pytest.mark.parametrize("fault", ["replicas: four", "stop_signals: SIGTERM"])
def test_compose_refuses_a_faulty_file(project: Project, tmp_path: Path, fault: str) -> None:
    """So that the other tests mean something: a wrong value and an unknown key."""
    text = f"services: {{a: {{image: a, {fault}}}}}"
    if fault.startswith("replicas"):
        text = f"services: {{a: {{image: a, deploy: {{{fault}}}}}}}"
    (tmp_path / "compose.yml").write_text(text, encoding="utf-8")
    assert project.ask("-f", str(tmp_path / "compose.yml"), "config", "-q").returncode != 0


def test_whom_workers_trust_is_said_where_they_are_started(project: Project) -> None:
    """In .env, for them and for commands in the dashboard's container; nobody at first."""
    trusting = ("worker-gpu", "worker-cpu", "dashboard")
    services = project.read()["services"]
    assert [services[name]["environment"]["SWEEP_TRUST_CODE"] for name in trusting] == ["0"] * 3
    with (project.folder / ".env").open("a") as settings:
        settings.write("SWEEP_TRUST_CODE=1\n")
    services = project.read()["services"]
    assert [services[name]["environment"]["SWEEP_TRUST_CODE"] for name in trusting] == ["1"] * 3

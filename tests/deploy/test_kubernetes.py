"""The Kubernetes manifests, read as they are: what must be in them for nothing to be lost.

No cluster is here. That the fields exist was checked against Kubernetes' own schemas when the
files were written (`kubernetes-validate --strict`), which are too large for every run.
"""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from deployment import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def kustomization() -> dict[str, Any]:
    """What `kubectl apply --kustomize` reads first."""
    read: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
    return read


@pytest.fixture(scope="module")
def manifests(kustomization: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The manifests by kind and name."""
    found = [
        document
        for name in kustomization["resources"]
        for document in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
    ]
    return {(document["kind"], document["metadata"]["name"]): document for document in found}


@pytest.fixture(scope="module")
def pods(manifests: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The specification of each pod, by the name of what makes it."""
    return {
        name: manifest["spec"]["template"]["spec"]
        for (_kind, name), manifest in manifests.items()
        if "template" in manifest["spec"]
    }


def test_all_files_are_applied(
    kustomization: dict[str, Any], manifests: dict[tuple[str, str], dict[str, Any]]
) -> None:
    """None lies beside the others unused."""
    files = {path.name for path in FOLDER.iterdir()} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files
    assert set(manifests) == {
        ("PersistentVolumeClaim", "sweep"),
        ("Service", "db"),
        ("StatefulSet", "db"),
        ("Job", "migrate"),
        ("Service", "dashboard"),
        ("Deployment", "dashboard"),
        ("Deployment", "worker"),
    }


def test_pods_run_without_privileges(pods: dict[str, dict[str, Any]]) -> None:
    """No root, nothing writable but volumes, no capability, no key to the cluster."""
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
            volumes = {mount["name"] for mount in container["volumeMounts"]}
            claimed = {volume["name"] for volume in pod["volumes"]} | {"data"}
            assert volumes <= claimed


def test_pods_have_a_bound(pods: dict[str, dict[str, Any]]) -> None:
    """Of memory, and of what they write on their node: one that runs wild harms no other."""
    for pod in pods.values():
        (container,) = pod["containers"]
        limits = container["resources"]["limits"]
        assert limits["memory"].endswith("Gi")
        (scratch,) = [v["emptyDir"] for v in pod["volumes"] if v["name"] == "scratch"]
        assert scratch["sizeLimit"] == limits["ephemeral-storage"]


def test_passwords_come_from_the_secret(pods: dict[str, dict[str, Any]]) -> None:
    """And from nowhere else; addresses are without one."""
    for pod in pods.values():
        for variable in pod["containers"][0]["env"]:
            if "PASSWORD" in variable["name"]:
                assert variable["valueFrom"]["secretKeyRef"]["name"] == "sweep"
                assert "value" not in variable
            else:
                assert "value" in variable
        values = {
            variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]
        }
        assert values.get("SWEEP_STORAGE") in (None, "postgresql://sweep@db/sweep")


def test_nobody_is_trusted_at_first(pods: dict[str, dict[str, Any]]) -> None:
    """Whether code of the database runs is a setting of workers and of the dashboard's commands."""
    for name in ("worker", "dashboard"):
        settings = {v["name"]: v.get("value") for v in pods[name]["containers"][0]["env"]}
        assert settings["SWEEP_TRUST_CODE"] == "0"


def test_worker_has_a_gpu_and_time_to_leave(
    manifests: dict[tuple[str, str], dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    """It is replaced in place, because the GPU of the old pod may be the only one."""
    worker = pods["worker"]
    (container,) = worker["containers"]
    assert container["args"] == ["sweep", "worker", "--forever", "--device", "cuda"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert worker["terminationGracePeriodSeconds"] >= 30
    strategy = manifests["Deployment", "worker"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}
    assert not [key for key in container if key.endswith("Probe")]


def test_workers_share_their_checkpoints(
    manifests: dict[tuple[str, str], dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    """On a volume that several nodes may write."""
    claim = manifests["PersistentVolumeClaim", "sweep"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for name in ("worker", "dashboard"):
        volumes = {volume["name"]: volume for volume in pods[name]["volumes"]}
        mounts = {
            mount["mountPath"]: mount for mount in pods[name]["containers"][0]["volumeMounts"]
        }
        for path in ("/artifacts", "/cache", "/data"):
            volume = volumes[mounts[path]["name"]]
            assert volume["persistentVolumeClaim"]["claimName"] == "sweep"
            assert mounts[path]["subPath"] == path.removeprefix("/")
        assert mounts["/data"]["readOnly"] is True


def test_services_reach_their_pods(manifests: dict[tuple[str, str], dict[str, Any]]) -> None:
    """By the labels and the named ports of the pods."""
    for name, kind in (("db", "StatefulSet"), ("dashboard", "Deployment")):
        service, template = manifests["Service", name], manifests[kind, name]["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        selector = manifests[kind, name]["spec"]["selector"]["matchLabels"]
        assert selector.items() <= template["metadata"]["labels"].items()
        named = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_probes_ask_what_answers(pods: dict[str, dict[str, Any]]) -> None:
    """The dashboard's health tells of the database too, so it must not lead to a restart."""
    (dashboard,) = pods["dashboard"]["containers"]
    assert dashboard["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert "tcpSocket" in dashboard["livenessProbe"]
    (database,) = pods["db"]["containers"]
    assert database["readinessProbe"]["exec"]["command"][0] == "pg_isready"
    assert "startupProbe" in database


def test_commands_are_those_of_compose(
    pods: dict[str, dict[str, Any]], services: dict[str, Any]
) -> None:
    """Which are started for real in test_services."""
    same = {"db": "db", "migrate": "migrate", "dashboard": "dashboard", "worker": "worker-gpu"}
    for pod, service in same.items():
        (container,) = pods[pod]["containers"]
        assert container["args"] == services[service]["command"]
    assert pods["db"]["containers"][0]["image"] == services["db"]["image"]


def test_image_is_of_this_version(kustomization: dict[str, Any]) -> None:
    """The tag is the package's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (image,) = kustomization["images"]
    assert (image["name"], image["newTag"]) == ("pv-sweep", project["version"])

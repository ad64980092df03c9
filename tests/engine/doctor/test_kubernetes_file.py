"""The KubeRay manifest is whole, opens nothing to strangers, and costs nothing after the study."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def manifest() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PROJECT / "cluster.kubernetes.yaml").read_text()))


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_it_runs_the_study_command_of_every_other_setting(manifest: list[dict[str, Any]]) -> None:
    job, policy = manifest
    assert (job["apiVersion"], job["kind"], policy["kind"]) == ("ray.io/v1", "RayJob", "NetworkPolicy")
    command = "python -m study.run search_spaces/dmsnet.yaml --address auto --storage"
    assert command in job["spec"]["entrypoint"]
    for other in ("cluster.yaml", "cluster.local.yaml"):
        assert command in (PROJECT / other).read_text()


def test_its_machines_end_with_the_study(manifest: list[dict[str, Any]]) -> None:
    spec = manifest[0]["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    (gpu,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert 1 <= gpu["minReplicas"] <= gpu["replicas"] <= gpu["maxReplicas"]
    assert spec["rayClusterSpec"]["autoscalerOptions"]["idleTimeoutSeconds"] <= 1800


def test_it_is_behind_a_token_and_on_no_public_address(manifest: list[dict[str, Any]]) -> None:
    job, policy = manifest
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert policy["spec"]["podSelector"] == {"matchLabels": {"ray.io/is-ray-node": "yes"}}
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert all(rule["from"] for rule in policy["spec"]["ingress"])
    assert not any("ipBlock" in source for rule in policy["spec"]["ingress"] for source in rule["from"])


def test_it_names_the_version_of_ray_that_the_lock_file_installs(manifest: list[dict[str, Any]]) -> None:
    lock = tomllib.loads((PROJECT / "uv.lock").read_text())
    (ray,) = [package["version"] for package in lock["package"] if package["name"] == "ray"]
    assert manifest[0]["spec"]["rayClusterSpec"]["rayVersion"] == ray  # without it a token is refused


def test_the_pod_that_submits_is_as_confined_as_the_others(manifest: list[dict[str, Any]]) -> None:
    submitter, (head, _) = manifest[0]["spec"]["submitterPodTemplate"]["spec"], pods(manifest[0])
    assert submitter["securityContext"] == head["securityContext"]
    (container,) = submitter["containers"]
    assert container["securityContext"] == head["containers"][0]["securityContext"]
    assert container["image"] == head["containers"][0]["image"]
    assert "command" not in container  # the operator fills it in only where there is none
    assert submitter["restartPolicy"] == "Never"


def test_its_containers_have_what_they_need_and_no_more(manifest: list[dict[str, Any]]) -> None:
    head, worker = pods(manifest[0])
    for pod in (head, worker):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in pod["volumes"]
        }
        assert {
            "name": "images",
            "mountPath": next(e["value"] for e in container["env"] if e["name"] == "STUDY_CACHE"),
        } in container["volumeMounts"]
    assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert manifest[0]["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"

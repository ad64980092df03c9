"""What `study.doctor` says of a cluster on AWS, and the rights that it prints."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from study import doctor
from study.engine.doctor.aws import PROFILES, check_aws, check_profiles_are_named, policy
from study.engine.doctor.machine import Finding
from study.spec.errors import SpecError

moto = pytest.importorskip("moto", reason="uv sync --group oracles")
PROJECT = Path(__file__).parents[3]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def cluster() -> dict[str, Any]:
    """`cluster.yaml` as it stands."""
    whole: dict[str, Any] = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    return whole


def allowed(machine: Any, storage: str = "s3://eyes") -> dict[str, str]:
    """What each right is on."""
    statements = json.loads(policy(machine, storage))["Statement"]
    return {action: part["Resource"] for part in statements for action in part["Action"]}


def test_a_worker_may_use_the_bucket_and_nothing_else() -> None:
    found = allowed("worker", "s3://eyes/team")
    assert {action.split(":")[0] for action in found} == {"s3"}
    assert found["s3:ListBucket"] == "arn:aws:s3:::eyes"
    assert found["s3:PutObject"] == "arn:aws:s3:::eyes/team/*"


def test_the_head_may_start_workers_with_their_role_alone() -> None:
    found = allowed("head")
    assert found["s3:PutObject"] == "arn:aws:s3:::eyes/*"
    assert found["iam:PassRole"] == "arn:aws:iam::*:role/eyepair-study-worker"
    assert "ec2:RunInstances" in found
    assert "ec2:TerminateInstances" in found


def test_the_command_prints_the_rights(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--policy", "worker", "s3://eyes"]) == 0
    assert capsys.readouterr().out == policy("worker", "s3://eyes") + "\n"
    assert doctor.main(["--policy", "boss", "s3://eyes"]) == 2
    with pytest.raises(SpecError, match=r"must name a bucket as s3://BUCKET, got `/shared/runs`"):
        policy("head", "/shared/runs")


def test_the_file_names_the_profiles_whose_rights_are_printed(cluster: dict[str, Any]) -> None:
    kinds = cluster["available_node_types"]
    named = {name: kind["node_config"]["IamInstanceProfile"]["Name"] for name, kind in kinds.items()}
    assert named == {"head": PROFILES["head"], "gpu": PROFILES["worker"]}
    assert check_profiles_are_named(cluster).state == "ok"
    del kinds["gpu"]["node_config"]["IamInstanceProfile"]
    found = check_profiles_are_named(cluster)
    assert (found.state, found.found.split(":")[0]) == ("problem", "gpu")


def states(cluster: dict[str, Any]) -> dict[str, Finding]:
    return {finding.what: finding for finding in check_aws(cluster)}


@pytest.fixture
def quotas(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The quotas that AWS answers with, by their code; moto knows none of EC2."""
    import boto3
    from botocore.exceptions import ClientError

    allowed = {"L-1216C47A": 5.0, "L-3819A6DF": 32.0}
    real = boto3.client

    class Quotas:
        def get_service_quota(self, **asked: str) -> dict[str, dict[str, float]]:
            assert asked["ServiceCode"] == "ec2"
            if asked["QuotaCode"] not in allowed:
                raise ClientError(
                    {"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "GetServiceQuota"
                )
            return {"Quota": {"Value": allowed[asked["QuotaCode"]]}}

    def client(name: str, **settings: str) -> Any:
        return Quotas() if name == "service-quotas" else real(name, **settings)

    monkeypatch.setattr(boto3, "client", client)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return allowed


def test_a_quota_below_what_the_file_asks_for_is_said(
    cluster: dict[str, Any], quotas: dict[str, float]
) -> None:
    with moto.mock_aws():
        found = states(cluster)["quotas"]
        text = (
            "m6i.xlarge on demand: 5 cores allowed, 4 wanted (L-1216C47A); "
            "g5.xlarge spot: 32 cores allowed, 32 wanted (L-3819A6DF)"
        )
        assert (found.state, found.found) == ("ok", text)
        quotas["L-3819A6DF"] = 31
        found = states(cluster)["quotas"]
        assert found.state == "warning"
        assert found.found.startswith(
            "perhaps not all machines may run: g5.xlarge spot: 31 cores allowed, 32"
        )
        quotas["L-3819A6DF"] = 0  # as a new account has it
        found = states(cluster)["quotas"]
        text = "no such machine may start: g5.xlarge spot: 0 cores allowed, one machine has 4 (L-3819A6DF)"
        assert (found.state, found.found) == ("problem", text)
        assert "Service Quotas, Amazon EC2, us-west-2" in found.remedy
        del cluster["available_node_types"]["gpu"]["node_config"]["InstanceMarketOptions"]
        found = states(cluster)["quotas"]  # of machines on demand, which may not be asked here
        assert (found.state, "not yours" in found.found) == ("warning", True)


def test_a_quota_counts_as_many_machines_as_may_run_at_a_time(
    cluster: dict[str, Any], quotas: dict[str, float]
) -> None:
    kinds = cluster["available_node_types"]
    spot = kinds["gpu"]["node_config"]["InstanceMarketOptions"]
    kinds["large"] = {
        "node_config": {"InstanceType": "g5.2xlarge", "InstanceMarketOptions": spot},
        "max_workers": 3,
    }
    kinds["never"] = {"node_config": {"InstanceType": "g5.48xlarge"}, "max_workers": 0}
    with moto.mock_aws():
        found = next(finding for finding in check_aws(cluster) if finding.what == "quotas")
        assert "32 cores allowed, 44 wanted" in found.found  # 3 of 8 cores, 5 of 4
        kinds["large"]["node_config"]["InstanceType"] = "x1e.xlarge"
        found = next(finding for finding in check_aws(cluster) if finding.what == "quotas")
        assert (found.state, "x1e.xlarge: its quota is not known here" in found.found) == ("warning", True)


def test_what_is_missing_in_the_region_is_a_problem(
    cluster: dict[str, Any], quotas: dict[str, float]
) -> None:
    import boto3

    with moto.mock_aws():
        found = states(cluster)
        assert found["credentials"].state == "ok"
        assert "eyepair-study-head, eyepair-study-worker" in found["profiles"].found
        assert (found["images"].state, found["machine types"].state) == ("problem", "ok")

        iam, ec2 = boto3.client("iam"), boto3.client("ec2", region_name="us-west-2")
        for name in PROFILES.values():
            iam.create_instance_profile(InstanceProfileName=name)
            assert "it has no role" in states(cluster)["profiles"].found
            iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        image = ec2.describe_images()["Images"][0]["ImageId"]
        for kind in cluster["available_node_types"].values():
            kind["node_config"]["ImageId"] = image
        assert {finding.state for finding in check_aws(cluster)} == {"ok"}
        cluster["available_node_types"]["gpu"]["node_config"]["InstanceType"] = "g99.huge"
        found = states(cluster)
        assert found["machine types"].found == "not offered in us-west-2: g99.huge"
        assert "quotas" not in found


def test_without_credentials_nothing_more_is_asked(
    cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    *_, last = check_aws(cluster)
    assert (last.what, last.state) == ("credentials", "problem")
    assert "Unable to locate credentials" in last.found

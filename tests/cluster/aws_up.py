"""A real `ray up` of cluster.yaml against a mock AWS: a study whose spot worker is taken away in the middle.

    sudo .venv/bin/python tests/cluster/aws_up.py [LOG]

The instances of the mock are machines of `lab.py`, which says what they need, at the addresses that the mock
gave them. They take their rights from the mock's metadata service. Roles and profiles are made by the
commands at the top of cluster.yaml.
"""

import contextlib
import json
import re
import shlex
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from study.engine.doctor.aws import PROFILES
from study.engine.orders.pending_orders import CHECKPOINT
from study.evidence.store import Store
from tests.cluster.lab import (
    PROJECT,
    Lab,
    await_that,
    lab_folder,
    main,
    use_this_environment,
)

if TYPE_CHECKING:
    from tests.cluster.cloud import Cloud
    from tests.cluster.mock_aws import MockAWS

BUCKET = "eyes"
PROBE = "/$extremelyunlikelytoexist$"  # Arrow asks for this bucket to learn which kind of store it talks to
STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 64},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 200, "patience": 200, "warmup_epochs": 0},
    "search": {"trials": 2, "startup": 2, "pruner": "none"},
    "resources": {"cpus_per_worker": 1},
}


def inside(log: str | None) -> None:
    """The test itself, in namespaces of its own."""
    from tests.cluster.cloud import start_cloud  # needs moto, and `main` says where that is missing

    cluster = yaml.safe_load((PROJECT / "cluster.yaml").read_text())
    with lab_folder() as folder:
        cloud, file = start_cloud(folder, cluster["provider"]["region"]), folder / "cluster.yaml"
        try:
            _make_rights(cloud)
            _write_cluster_file(file, cluster, cloud)
            _bring_up(file, cloud)
            _run_study(file, cloud)
            _take_down(file, cloud)
        except BaseException:
            with contextlib.suppress(AssertionError):  # where there is no head, too
                cloud.lab.run("ray", "exec", str(file), "tail -n 60 /tmp/ray/session_latest/logs/monitor.*")
            raise
        finally:
            if log:
                Path(log).write_text("\n".join(cloud.lab.transcript))
    print("PASSED aws up: a head, two spot workers one after the other, a study on both, nothing left")


def _make_rights(cloud: "Cloud") -> None:
    """Runs the commands for the roles and profiles that stand at the top of the file."""
    lab, place = cloud.lab, {"LocationConstraint": cloud.mock.region}
    cloud.mock.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    text = "\n".join(line.removeprefix("#") for line in (PROJECT / "cluster.yaml").read_text().splitlines())
    (commands,) = re.findall(r"aws iam create-service-linked-role.*?\n *done\n", text, flags=re.DOTALL)
    here = shlex.join([sys.executable, str(Path(__file__).with_name("aws.py"))])
    script = lab.folder / "rights.sh"
    script.write_text(
        f'set -e\naws() {{ {here} "$@"; }}\nuv() {{ shift; PYTHONPATH={PROJECT} "$@"; }}\n'
        + commands.replace("BUCKET", BUCKET)
    )
    lab.run("bash", str(script), cwd=lab.folder)
    _allow_what_only_moto_asks(cloud.mock)


def _allow_what_only_moto_asks(mock: "MockAWS") -> None:
    """Adds two rights that AWS does not ask for, since the roles' others cover them there.

    To look for a bucket AWS asks for ListBucket; to delete several objects, for DeleteObject on each of them
    and not on the bucket.
    """
    rights = {
        "Effect": "Allow",
        "Action": ["s3:HeadBucket", "s3:DeleteObject"],
        "Resource": f"arn:aws:s3:::{BUCKET}",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": rights})
    for role in PROFILES.values():
        mock.client("iam").put_role_policy(RoleName=role, PolicyName="moto", PolicyDocument=policy)


def _write_cluster_file(file: Path, cluster: dict[str, Any], cloud: "Cloud") -> None:
    """The project's file with an image, a small worker, a short patience, and this environment."""
    (image,) = cloud.mock.client("ec2").describe_images(Owners=["amazon"])["Images"][:1]
    for kind in cluster["available_node_types"].values():
        assert kind["node_config"]["ImageId"] == "ami-REPLACE"
        kind["node_config"]["ImageId"] = image["ImageId"]
    worker = cluster["available_node_types"]["gpu"]
    worker["resources"], worker["max_workers"] = {"CPU": 1, "GPU": 0}, 1
    cluster["idle_timeout_minutes"] = 0.5
    fetch = use_this_environment(cluster)
    assert "https://astral.sh/uv/" in fetch
    cluster["setup_commands"].insert(0, fetch.replace("https://astral.sh/uv/", cloud.mock.files_url))
    (cloud.lab.folder / "small.yaml").write_text(yaml.safe_dump(STUDY))
    cluster["file_mounts"]["~/eyepair-study/small.yaml"] = str(cloud.lab.folder / "small.yaml")
    file.write_text(yaml.safe_dump(cluster))


def _bring_up(file: Path, cloud: "Cloud") -> None:
    lab, began = cloud.lab, len(cloud.mock.asked)
    lab.make_token()
    assert "problem" not in lab.run("python", "-m", "study.doctor", str(file))
    lab.run("ray", "up", str(file), "-y", "--no-config-cache")
    (head,) = cloud.launched.values()
    _check_launch(head, "head")
    assert "InstanceLifecycle" not in head  # on demand
    (group,) = head["SecurityGroups"]
    _check_security_group(cloud.mock, group["GroupId"])
    for address in (head["PublicIpAddress"], head["PrivateIpAddress"]):
        with pytest.raises(ConnectionRefusedError, match="refused"):  # the dashboard answers on loopback only
            socket.create_connection((address, 8265), timeout=5)
    listening = lab.on(head["PublicIpAddress"], _key(lab), "ss -ltnH '( sport = :8265 )'").split()
    assert "127.0.0.1:8265" in listening, listening
    assert lab.on(head["PublicIpAddress"], _key(lab), "stat -c %a ~/.ray/auth_token") == "600\n"
    assert {asked.who for asked in cloud.mock.asked[began:]} <= {"user", PROFILES["head"]}


def _key(lab: Lab) -> Path:
    """The key that `ray up` has made."""
    (key,) = (lab.home / ".ssh").glob("ray-autoscaler*.pem")
    return key


def _check_launch(instance: dict[str, Any], kind: str) -> None:
    """What both kinds of machines must be, by what the mock has recorded of them."""
    assert instance["IamInstanceProfile"]["Arn"].endswith(f"/eyepair-study-{kind}")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    (disk,) = instance["volumes"]
    assert (disk["Encrypted"], disk["VolumeType"], disk["Size"]) == (True, "gp3", 200), disk
    assert instance["tags"]["ray-cluster-name"] == "eyepair-study"
    assert instance["tags"]["ray-node-type"] == kind


def _check_security_group(mock: "MockAWS", group: str) -> None:
    """From outside ssh is open and nothing else; the machines of the group may reach each other."""
    (facts,) = mock.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    rules = facts["IpPermissions"]
    outside = [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in rules if rule["IpRanges"]]
    assert outside == [("tcp", 22, 22)], rules
    inside = [pair["GroupId"] for rule in rules for pair in rule["UserIdGroupPairs"]]
    assert inside == [group], rules
    assert not any(rule["Ipv6Ranges"] or rule["PrefixListIds"] for rule in rules), rules


def _run_study(file: Path, cloud: "Cloud") -> None:
    """Starts the study as one does who then shuts the laptop, and takes its worker away in the middle."""
    lab, head = cloud.lab, cloud.launched["head0"]["PublicIpAddress"]
    s3 = cloud.mock.client("s3")
    run = f"python -m study.run small.yaml --address auto --storage s3://{BUCKET}/runs"
    lab.run("ray", "exec", "--tmux", str(file), f"cd ~/eyepair-study && {run}")

    def runs() -> bool:
        return bool(lab.on(head, _key(lab), "pgrep -f '^python -m study.run'"))

    def half_way() -> bool:
        assert runs(), "the study ended before it wrote a checkpoint"
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix="runs/small/pending/").get("Contents", [])
        return any(item["Key"].endswith(CHECKPOINT) for item in found)

    await_that(runs, lambda: "the study")
    try:
        await_that(half_way, lambda: "a checkpoint", timeout_s=600)
        (first,) = cloud.workers()
        cloud.take_away(first)
        await_that(lambda: not runs(), lambda: "the end of the study", timeout_s=900)
    finally:
        said = lab.run("ray", "exec", str(file), "tmux capture-pane -p -J -S -")
    assert "goes on from its checkpoint" in said
    assert f"report: s3://{BUCKET}/runs/small/report/index.html" in said
    (second,) = [name for name in cloud.launched if name.startswith("worker") and name != first]
    for name in (first, second):
        _check_launch(cloud.launched[name], "worker")
        assert cloud.launched[name]["InstanceLifecycle"] == "spot"
    _check_records(lab, cloud.mock, second)


def _check_records(lab: Lab, mock: "MockAWS", second: str) -> None:
    server = mock.endpoint.removeprefix("http://")
    where = f"s3://{BUCKET}/runs/small?endpoint_override={server}&scheme=http&region={mock.region}"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in mock.environment.items():
            environment.setenv(name, value)
        store = Store(where)
        trials, epochs = store.read("trial"), store.read("epochs")
    search = trials[trials["role"] == "search"]
    assert sorted(search["number"]) == list(range(STUDY["search"]["trials"]))
    assert set(search["state"]) == {"complete"}
    assert set(search["host"]) == {second}
    assert not epochs.duplicated(["trial", "epoch"]).any()
    assert set(epochs.groupby("trial")["epoch"].count()) == {STUDY["training"]["epochs"]}
    lab.transcript.append(search[["trial", "state", "value", "host"]].to_string(index=False) + "\n")
    print(lab.transcript[-1])


def _take_down(file: Path, cloud: "Cloud") -> None:
    mock = cloud.mock
    await_that(lambda: not cloud.workers(), lambda: "the end of the idle worker")
    assert len(cloud.ended) == len(cloud.launched) - 1  # the head stays
    by_head = {asked.what for asked in mock.asked if asked.who == PROFILES["head"]}
    assert {"ec2:RunInstances", "ec2:TerminateInstances"} <= by_head
    cloud.lab.run("ray", "down", str(file), "-y")
    await_that(
        lambda: {instance["State"]["Name"] for instance in mock.instances()} == {"terminated"},
        lambda: "the end of all instances",
    )
    assert mock.client("ec2").describe_volumes()["Volumes"] == []
    _check_requests(cloud)


def _check_requests(cloud: "Cloud") -> None:
    """Everybody had a name and every right that was needed, and a worker used the bucket only."""
    asked = Counter(
        (one.who, one.what.partition("/")[0], one.status[:3]) for one in cloud.mock.asked if one.who != "user"
    )
    lines = [f"{who:21} {what:28} {status}  {times}" for (who, what, status), times in sorted(asked.items())]
    cloud.lab.transcript.append("\n".join(lines) + "\n")
    print(cloud.lab.transcript[-1])
    assert {who for who, _, _ in asked} == set(PROFILES.values())
    refused = [one for one in cloud.mock.asked if one.status[:3] == "403" and not one.what.endswith(PROBE)]
    assert not refused, refused
    assert {what[:3] for who, what, _ in asked if who == PROFILES["worker"]} == {"s3:"}


if __name__ == "__main__":
    sys.exit(main(inside, needs=("uv", "curl", "tmux"), modules=("moto",)))

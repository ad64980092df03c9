"""What a cluster on AWS needs there: rights of its machines, and what the file names in the region."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from study.engine.doctor.machine import Finding
from study.spec.errors import SpecError

Machine = Literal["head", "worker"]
PROFILES: dict[Machine, str] = {"head": "eyepair-study-head", "worker": "eyepair-study-worker"}
"""Instance profiles, and the roles in them, that `cluster.yaml` names."""
LAUNCH = (
    "ec2:CreateTags",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceTypes",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
)
QUOTAS = {  # of virtual cores: pattern of the machine's type, on demand, spot
    r"(gr?|vt)\d": ("L-DB2E81BA", "L-3819A6DF"),
    r"p[2-4]": ("L-417A185B", "L-7212CCBC"),
    r"p5": ("L-417A185B", "L-C4BD4855"),
    r"([acdhimrtz]|im|is)\d": ("L-1216C47A", "L-34B43A08"),
}
MOST_WORKERS = 2  # Ray's own, where the file says nothing
NEEDED = ("credentials", "machine types")  # what is asked after them rests on them
OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")


def policy(machine: Machine, storage: str) -> str:
    """The rights of a machine as JSON: the bucket, and for the head also to start and end workers.

    Args:
        machine: Whose rights.
        storage: The bucket with results and data, with or without a folder.

    Raises:
        SpecError: The storage is no bucket of S3.
    """
    place = urlsplit(storage)
    if place.scheme != "s3" or not place.netloc:
        raise SpecError(f"`--policy`: must name a bucket as s3://BUCKET, got `{storage}`. Correct it.")
    bucket = f"arn:aws:s3:::{place.netloc}"
    folder = place.path.strip("/")
    objects = f"{bucket}/{folder}/*" if folder else f"{bucket}/*"
    statements = [
        _allow(("s3:GetBucketLocation", "s3:ListBucket"), bucket),  # of the whole: both ask for the bucket
        _allow(OBJECTS, objects),
    ]
    if machine == "head":
        role = f"arn:aws:iam::*:role/{PROFILES['worker']}"
        statements += [_allow(LAUNCH, "*"), _allow(("iam:PassRole",), role)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def _allow(actions: tuple[str, ...], resource: str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def check_aws(cluster: Mapping[str, Any]) -> Iterator[Finding]:
    """AWS answers, with what the file needs there; without an answer, the line says why."""
    yield check_profiles_are_named(cluster)
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        yield Finding("warning", "aws", "not asked, since boto3 is not installed", "uv run --with boto3 ...")
        return
    region = cluster["provider"].get("region")
    client = partial(boto3.client, region_name=region)
    asked: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("credentials", lambda: _credentials(client("sts"))),
        ("profiles", lambda: _profiles(cluster, client("iam"))),
        ("images", lambda: _images(cluster, client("ec2"), region)),
        ("machine types", lambda: _types(cluster, client("ec2"), region)),
        ("quotas", lambda: _quotas(cluster, client("ec2"), client("service-quotas"), region)),
    )
    for what, ask in asked:
        try:
            found = ask()
        except (BotoCoreError, ClientError) as error:
            # Who may not ask for quotas may still start machines.
            state: Literal["warning", "problem"] = "warning" if what == "quotas" else "problem"
            found = Finding(state, what, str(error), "see the AWS documentation of that error")
        yield found
        if found.state == "problem" and what in NEEDED:
            return


def check_profiles_are_named(cluster: Mapping[str, Any]) -> Finding:
    """Each machine has a profile: without one its trials cannot read or write a bucket."""
    bare = [name for name, node in _nodes(cluster) if not node.get("IamInstanceProfile")]
    if bare:
        found = f"{', '.join(bare)}: no IamInstanceProfile, so that no trial can use a bucket"
        return Finding("problem", "rights", found, "make the profiles as the comment in cluster.yaml says")
    return Finding("ok", "rights", "each machine has a profile")


def _nodes(cluster: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and configuration of each kind of machine."""
    for name, kind in (cluster.get("available_node_types") or {}).items():
        yield name, kind.get("node_config") or {}


def _credentials(sts: Any) -> Finding:
    """AWS knows who asks."""
    return Finding("ok", "credentials", sts.get_caller_identity()["Arn"])


def _profiles(cluster: Mapping[str, Any], iam: Any) -> Finding:
    """The instance profiles that the file names are there, each with a role."""
    wanted = {node.get("IamInstanceProfile", {}).get("Name") for _, node in _nodes(cluster)} - {None}
    missing = []
    for name in sorted(wanted):
        try:
            if not iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
                missing.append(f"{name} (it has no role)")
        except iam.exceptions.NoSuchEntityException:
            missing.append(name)
    if missing:
        remedy = "make them as the comment in cluster.yaml says"
        return Finding("problem", "profiles", f"not there: {', '.join(missing)}", remedy)
    return Finding("ok", "profiles", ", ".join(sorted(wanted)))


def _images(cluster: Mapping[str, Any], ec2: Any, region: str) -> Finding:
    """The machine images that the file names are in its region."""
    wanted = {node["ImageId"] for _, node in _nodes(cluster) if node.get("ImageId")}
    filters = [{"Name": "image-id", "Values": sorted(wanted)}]
    there = {image["ImageId"] for image in ec2.describe_images(Filters=filters)["Images"]}
    if missing := wanted - there:
        remedy = "take one of this region; the comment above ImageId says how"
        return Finding("problem", "images", f"not in {region}: {', '.join(sorted(missing))}", remedy)
    return Finding("ok", "images", f"{', '.join(sorted(wanted))} in {region}")


@dataclass(frozen=True)
class _Kind:
    """A kind of machine as a quota counts it.

    Attributes:
        name: Its type, and how it is paid.
        cores: Virtual cores of one machine.
        num: The most machines of this kind at a time.
        is_head: Whether it is the head, which does not count as a worker.
    """

    name: str
    cores: int
    num: int
    is_head: bool


def _kinds(cluster: Mapping[str, Any], ec2: Any, most: int) -> tuple[dict[str, list[_Kind]], list[str]]:
    """The kinds of machine by the code of their quota, and the types whose quota is not known here.

    Args:
        cluster: Content of the file.
        ec2: Client that describes types.
        most: The most workers at a time.
    """
    kinds: dict[str, list[_Kind]] = {}
    unknown = []
    for name, kind in (cluster.get("available_node_types") or {}).items():
        node = kind.get("node_config") or {}
        is_head = name == cluster.get("head_node_type")
        num = 1 if is_head else min(int(kind.get("max_workers", most)), most)
        of_type = str(node.get("InstanceType", ""))
        codes = next((codes for family, codes in QUOTAS.items() if re.match(family, of_type)), None)
        if not num:
            continue
        if codes is None:
            unknown.append(of_type)
        else:
            spot = (node.get("InstanceMarketOptions") or {}).get("MarketType") == "spot"
            described = ec2.describe_instance_types(InstanceTypes=[of_type])["InstanceTypes"][0]
            cores = described["VCpuInfo"]["DefaultVCpus"]
            words = f"{of_type} {'spot' if spot else 'on demand'}"
            kinds.setdefault(codes[spot], []).append(_Kind(words, cores, num, is_head))
    return kinds, unknown


def _most_cores(kinds: Sequence[_Kind], most_workers: int) -> int:
    """Virtual cores of as many machines as may run at a time, the largest first."""
    workers = sorted(
        (kind.cores for kind in kinds if not kind.is_head for _ in range(kind.num)), reverse=True
    )
    return sum(kind.cores for kind in kinds if kind.is_head) + sum(workers[:most_workers])


def _quotas(cluster: Mapping[str, Any], ec2: Any, quotas: Any, region: str) -> Finding:
    """The account may start as many machines as the file asks for; what it already runs is not counted."""
    most = int(cluster.get("max_workers", MOST_WORKERS))
    kinds, unknown = _kinds(cluster, ec2, most)
    none: list[str] = []
    fewer = [f"{of_type}: its quota is not known here" for of_type in unknown]
    enough: list[str] = []
    for code, asked in kinds.items():
        allowed = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
        wanted = _most_cores(asked, most)
        names = ", ".join(kind.name for kind in asked)
        found = f"{names}: {allowed:.0f} cores allowed, {wanted} wanted ({code})"
        none += [
            f"{kind.name}: {allowed:.0f} cores allowed, one machine has {kind.cores} ({code})"
            for kind in asked
            if allowed < kind.cores
        ]
        (enough if allowed >= wanted else fewer).append(found)
    remedy = f"ask AWS for more: Service Quotas, Amazon EC2, {region}"
    if none:
        return Finding("problem", "quotas", f"no such machine may start: {'; '.join(none)}", remedy)
    if fewer:
        return Finding("warning", "quotas", f"perhaps not all machines may run: {'; '.join(fewer)}", remedy)
    return Finding("ok", "quotas", "; ".join(enough))


def _types(cluster: Mapping[str, Any], ec2: Any, region: str) -> Finding:
    """The types of machine that the file names are offered in its region."""
    wanted = {node["InstanceType"] for _, node in _nodes(cluster) if node.get("InstanceType")}
    filters = [{"Name": "instance-type", "Values": sorted(wanted)}]
    offered = ec2.describe_instance_type_offerings(Filters=filters)["InstanceTypeOfferings"]
    if missing := wanted - {offer["InstanceType"] for offer in offered}:
        found = f"not offered in {region}: {', '.join(sorted(missing))}"
        return Finding("problem", "machine types", found, "take another type or region")
    return Finding("ok", "machine types", f"{', '.join(sorted(wanted))} in {region}")

"""Machines that stand for the instances of the mock AWS: they come and go with them, at their addresses."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from tests.cluster.lab import Lab
from tests.cluster.mock_aws import METADATA, MockAWS

GATEWAY = "172.31.0.1"  # of the network that the mock gives to every account
INSTALL_UV = "mkdir -p ~/.local/bin && curl -sSf {url}uv -o ~/.local/bin/uv && chmod +x ~/.local/bin/uv\n"


@dataclass
class Cloud:
    """The machines behind the instances of the mock.

    Attributes:
        lab: Where the machines are.
        mock: Where the instances are.
        launched: Each instance as it was when its machine started, with its volumes, by its machine's name.
        ended: Names of the machines that were ended.
    """

    lab: Lab
    mock: MockAWS
    launched: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Starts a machine for each new instance and ends those of terminated ones, for ever."""
        while True:
            names = {facts["InstanceId"]: name for name, facts in self.launched.items()}
            for instance in self.mock.instances():
                name = names.get(instance["InstanceId"])
                if name is None:
                    self._start(instance)
                elif instance["State"]["Name"] == "terminated" and name not in self.ended:
                    self._end(name)
            time.sleep(0.5)

    def _start(self, instance: dict[str, Any]) -> None:
        ec2, tags = self.mock.client("ec2"), {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        mine = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
        volumes = ec2.describe_volumes(Filters=mine)["Volumes"]
        name = f"{tags['ray-node-type']}{len(self.launched)}"
        (key,) = ec2.describe_key_pairs(KeyNames=[instance["KeyName"]], IncludePublicKey=True)["KeyPairs"]
        self.lab.start_machine(
            name,
            instance["PrivateIpAddress"],
            key["PublicKey"],
            public=instance["PublicIpAddress"],
            settings=f"AWS_ENDPOINT_URL={self.mock.endpoint}",
        )
        self.launched[name] = {**instance, "tags": tags, "volumes": volumes}

    def _end(self, name: str) -> None:
        self.lab.stop_machine(name)
        self.ended.append(name)

    def workers(self) -> list[str]:
        """Names of the workers that are there."""
        return [name for name in self.launched if name.startswith("worker") and name not in self.ended]

    def take_away(self, name: str) -> None:
        """Ends a machine without a word, and terminates its instance, as AWS does with a spot machine."""
        self._end(name)
        instance = self.launched[name]["InstanceId"]
        self.mock.client("ec2").terminate_instances(InstanceIds=[instance])


def start_cloud(folder: Path, region: str) -> Cloud:
    """Starts the mock, which also serves uv, and then follows it.

    Args:
        folder: Folder of the machines.
        region: The region of the instances.
    """
    lab = Lab(folder, f"{GATEWAY}/16", {})
    subprocess.run(["ip", "addr", "add", f"{METADATA}/32", "dev", "lab"], check=True)
    mock = MockAWS(GATEWAY, region)
    uv = subprocess.check_output(["uv", "run", "--no-project", "--offline", "printenv", "UV"], text=True)
    mock.files = {"install.sh": INSTALL_UV.format(url=mock.files_url).encode(), "uv": Path(uv.strip())}
    lab.environment |= mock.environment
    cloud = Cloud(lab, mock)
    Thread(target=cloud.follow, daemon=True).start()
    return cloud

"""Both cluster files are what Ray takes, and open nothing to strangers."""

import copy
import ipaddress
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.engine.doctor import cluster_file
from study.engine.doctor.cluster_file import (
    NEWER_AUTOSCALER,
    check_autoscaler,
    check_cluster_file,
    check_commands,
    check_hosts,
    check_mounts,
    check_placeholders,
    check_schema,
    check_token_is_mounted,
    check_tools,
)
from study.engine.doctor.machine import Finding

PROJECT = Path(__file__).parents[3]
FILES = [PROJECT / "cluster.yaml", PROJECT / "cluster.local.yaml"]


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def starts(cluster: dict[str, Any]) -> list[str]:
    return [c for key in ("head_start_ray_commands", "worker_start_ray_commands") for c in cluster[key]]


@pytest.fixture
def cluster() -> dict[str, Any]:
    return read(PROJECT / "cluster.local.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
class TestFile:
    def test_ray_takes_it(self, path: Path) -> None:
        assert check_schema(read(path)).state == "ok"

    def test_it_is_plain_data(self, path: Path) -> None:
        text = path.read_text()
        assert "!!" not in text
        assert "pickle" not in text

    def test_every_start_asks_for_the_token_and_reports_nothing(self, path: Path) -> None:
        commands = starts(read(path))
        assert sum("ray start" in command for command in commands) == 2
        for command in commands:
            assert "RAY_AUTH_MODE=token" in command
            assert "RAY_USAGE_STATS_ENABLED=0" in command

    def test_no_port_is_on_a_public_address(self, path: Path) -> None:
        cluster = read(path)
        head = next(c for c in cluster["head_start_ray_commands"] if "ray start" in c)
        assert "--dashboard-host=127.0.0.1" in head
        assert not re.search(r"0\.0\.0\.0|=::", path.read_text())
        assert (
            "security_group" not in cluster["provider"]
        )  # Ray's own admits ssh, and the cluster's machines to each other
        addresses = [cluster["provider"].get("head_ip"), *cluster["provider"].get("worker_ips", [])]
        assert all(ipaddress.ip_address(a).is_private for a in addresses if a)

    def test_the_token_goes_along_for_its_owner_only(self, path: Path) -> None:
        cluster = read(path)
        assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
        assert any("chmod 600 ~/.ray/auth_token" in command for command in cluster["setup_commands"])

    def test_the_project_goes_along_and_its_lock_file_makes_the_environment(self, path: Path) -> None:
        cluster = read(path)
        mounts = {
            remote: local for remote, local in cluster["file_mounts"].items() if "auth_token" not in remote
        }
        assert {"study", "models", "search_spaces", "pyproject.toml", "uv.lock"} <= set(mounts.values())
        for remote, local in mounts.items():
            assert remote == f"~/eyepair-study/{local}"
            assert (PROJECT / local).exists()
            assert not (PROJECT / local / ".venv").exists()
        assert any("uv sync --locked" in command for command in cluster["setup_commands"])


def test_workers_on_aws_are_spot_gpus_that_go_when_idle_and_the_head_stays() -> None:
    cluster = read(PROJECT / "cluster.yaml")
    head, gpu = cluster["available_node_types"]["head"], cluster["available_node_types"]["gpu"]
    assert cluster["head_node_type"] == "head"
    assert "InstanceMarketOptions" not in head["node_config"]
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert gpu["min_workers"] == 0 < gpu["max_workers"] == cluster["max_workers"]
    assert 0 < cluster["idle_timeout_minutes"] <= 30


def test_local_workers_are_started_by_the_older_autoscaler(cluster: dict[str, Any]) -> None:
    assert all("RAY_enable_autoscaler_v2=0" in command for command in starts(cluster))
    assert cluster["min_workers"] == cluster["max_workers"] == len(cluster["provider"]["worker_ips"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head_nod_type", "head"),
        ("provider", {"type": "cloud"}),
        ("max_workers", "many"),
        ("provider", {"type": "local"}),
    ],
)
def test_what_ray_refuses_is_a_problem(cluster: dict[str, Any], key: str, value: object) -> None:
    found = check_schema({**cluster, key: value})
    assert found.state == "problem"
    assert found.found
    assert found.remedy


def test_placeholders_are_named_with_their_place() -> None:
    found = check_placeholders(read(PROJECT / "cluster.yaml"))
    assert found.state == "problem"
    assert "available_node_types.gpu.node_config.ImageId" in found.found
    assert check_placeholders({"a": [{"b": "fine"}]}).state == "ok"


def test_mounts_that_are_missing_or_heavy_are_named(cluster: dict[str, Any], tmp_path: Path) -> None:
    assert check_mounts(cluster, PROJECT).state == "ok"
    assert "not there: study" in check_mounts(cluster, tmp_path).found
    (tmp_path / "project" / ".venv").mkdir(parents=True)
    found = check_mounts({"file_mounts": {"~/x": "project"}}, tmp_path)
    assert found.state == "warning"
    assert "project holds an environment" in found.found


def test_the_token_must_be_mounted_and_private(tmp_path: Path) -> None:
    token = tmp_path / "auth_token"
    cluster = {"file_mounts": {"~/.ray/auth_token": "auth_token"}}
    assert (
        check_token_is_mounted({}, tmp_path).found
        == "not in file_mounts: the cluster's ports would be open to all"
    )
    assert "is not there" in check_token_is_mounted(cluster, tmp_path).found
    token.write_text("secret")
    token.chmod(0o644)
    found = check_token_is_mounted(cluster, tmp_path)
    assert found.state == "problem"
    assert found.remedy == "chmod 600 auth_token"
    token.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert check_token_is_mounted(cluster, tmp_path).state == "ok"
    assert "secret" not in repr(check_token_is_mounted(cluster, tmp_path))


def test_an_open_dashboard_or_a_start_without_token_is_a_problem(cluster: dict[str, Any]) -> None:
    assert check_commands(cluster).state == "ok"
    open_to_all = copy.deepcopy(cluster)
    open_to_all["head_start_ray_commands"][1] = cluster["head_start_ray_commands"][1].replace(
        "127.0.0.1", "0.0.0.0"
    )
    assert check_commands(open_to_all).found == "the dashboard is bound to 0.0.0.0"
    bare = {**cluster, "worker_start_ray_commands": ["ray start --address=$RAY_HEAD_IP:6379"]}
    assert check_commands(bare).found == "without a token: ray start --address=$RAY_HEAD_IP:6379"


def test_the_autoscaler_that_starts_nobody_is_found(
    cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NEWER_AUTOSCALER, raising=False)
    assert check_autoscaler(cluster).remedy == f"export {NEWER_AUTOSCALER}=0"
    monkeypatch.setenv(NEWER_AUTOSCALER, "0")
    assert check_autoscaler(cluster).state == "ok"
    assert check_autoscaler({"head_start_ray_commands": ["ray start --head"]}).state == "problem"


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    assert check_tools().remedy == "apt install openssh-client rsync"


def test_each_host_is_asked_by_key_and_never_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ssh(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        refused = "user@10.0.0.2" in command
        return subprocess.CompletedProcess(
            command, 255 if refused else 0, "", "Warning: added\nPermission denied (publickey).\n"
        )

    monkeypatch.setattr(subprocess, "run", ssh)
    provider = {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]}
    head, worker = check_hosts(provider, {"ssh_user": "user", "ssh_private_key": "/key"})
    assert head.state == "ok"
    assert worker.found == "Permission denied (publickey)."
    assert "user@10.0.0.2" in worker.remedy
    for command in asked:
        assert "-oBatchMode=yes" in command
        assert command[command.index("-i") + 1] == "/key"
        assert command[-3:-2] == ["--"]


def test_a_local_file_is_checked_whole(cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_file, "_check_host", lambda host, auth: Finding("ok", f"ssh {host}", ""))
    what = [finding.what for finding in check_cluster_file(cluster, PROJECT)]
    assert what[:4] == ["schema", "placeholders", "mounts", "cluster token"]
    assert what[-3:] == [f"ssh 192.168.1.{i}" for i in (10, 11, 12)]

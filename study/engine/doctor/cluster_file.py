"""What usually goes wrong with a file for `ray up`, found without starting anything."""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from study.engine.cluster.schema import schema_error
from study.engine.doctor.machine import Finding

TOKEN = ".ray/auth_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SSH_WAIT_S = 5
PLACEHOLDER = "REPLACE"
NEWER_AUTOSCALER = "RAY_UP_enable_autoscaler_v2"


def check_cluster_file(cluster: Mapping[str, Any], folder: Path) -> list[Finding]:
    """All findings of a cluster file.

    Args:
        cluster: its content.
        folder: where `ray up` will be called, from which its mounts are named.
    """
    findings = [
        check_schema(cluster),
        check_placeholders(cluster),
        check_mounts(cluster, folder),
        check_token_is_mounted(cluster, folder),
    ]
    findings += [check_commands(cluster), check_tools()]
    provider = cluster.get("provider") or {}
    if provider.get("type") == "local":
        findings += [check_autoscaler(cluster), *check_hosts(provider, cluster.get("auth") or {})]
    if provider.get("type") == "aws" and find_spec("boto3") is None:
        findings.append(Finding("warning", "boto3", "not installed here", "uv run --with boto3 ray up ..."))
    return findings


def check_schema(cluster: Mapping[str, Any]) -> Finding:
    """Ray's own schema and rules for the file, with its defaults filled in."""
    if wrong := schema_error(cluster):
        return Finding("problem", "schema", wrong, "correct the file; see docs.ray.io, cluster YAML options")
    return Finding("ok", "schema", "valid")


def check_placeholders(cluster: Mapping[str, Any]) -> Finding:
    """Nothing is left that only the user can fill in."""
    left = [f"{where}: {value}" for where, value in _texts(cluster) if PLACEHOLDER in value]
    if left:
        return Finding(
            "problem", "placeholders", "; ".join(left), "fill them in; the comment above each says how"
        )
    return Finding("ok", "placeholders", "none left")


def check_mounts(cluster: Mapping[str, Any], folder: Path) -> Finding:
    """What is copied to the machines is there, and is not a folder that Ray would hash for minutes."""
    mounts = {
        local: folder / Path(local).expanduser() for local in (cluster.get("file_mounts") or {}).values()
    }
    missing = [local for local, path in mounts.items() if not path.exists() and not local.endswith(TOKEN)]
    if missing:
        remedy = "call ray up from the project's folder, or correct file_mounts"
        return Finding("problem", "mounts", f"not there: {', '.join(missing)}", remedy)
    heavy = [local for local, path in mounts.items() if (path / ".venv").is_dir()]
    if heavy:
        return Finding(
            "warning",
            "mounts",
            f"{', '.join(heavy)} holds an environment, which Ray reads whole",
            "mount its parts by name",
        )
    return Finding("ok", "mounts", f"{len(mounts)} are there")


def check_token_is_mounted(cluster: Mapping[str, Any], folder: Path) -> Finding:
    """The machines get the token, and here only its owner can read it."""
    what, make = "cluster token", "ray get-auth-token --generate && chmod 600 ~/.ray/auth_token"
    mounts = cluster.get("file_mounts") or {}
    local = next((path for remote, path in mounts.items() if remote.endswith(TOKEN)), None)
    if local is None:
        return Finding(
            "problem",
            what,
            "not in file_mounts: the cluster's ports would be open to all",
            f"mount ~/{TOKEN}",
        )
    path = folder / Path(local).expanduser()
    if not path.is_file():
        return Finding("problem", what, f"{local} is not there", make)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding(
            "problem", what, f"{local} has mode {mode:o}, and keeps it on the machines", f"chmod 600 {local}"
        )
    return Finding("ok", what, f"mounted, mode {mode:o}")


def check_commands(cluster: Mapping[str, Any]) -> Finding:
    """Every start of Ray asks for the token, and the dashboard, which runs jobs, is bound to loopback."""
    for command in _starts(cluster):
        if "RAY_AUTH_MODE=token" not in command:
            return Finding(
                "problem",
                "start commands",
                f"without a token: {command}",
                "export RAY_AUTH_MODE=token in front of it",
            )
        host = command.partition("--dashboard-host")[2].lstrip("= ").split(" ")[0]
        if host and host not in LOOPBACK:
            return Finding(
                "problem",
                "start commands",
                f"the dashboard is bound to {host}",
                "--dashboard-host=127.0.0.1, and ray dashboard",
            )
    return Finding("ok", "start commands", "token asked for, dashboard on loopback")


def check_tools() -> Finding:
    """What `ray up` calls."""
    packages = {"ssh": "openssh-client", "rsync": "rsync"}
    missing = [tool for tool in packages if shutil.which(tool) is None]
    if missing:
        remedy = f"apt install {' '.join(packages[tool] for tool in missing)}"
        return Finding("problem", "tools", f"not installed: {', '.join(missing)}", remedy)
    return Finding("ok", "tools", "ssh and rsync")


def check_autoscaler(cluster: Mapping[str, Any]) -> Finding:
    """Ray's newer autoscaler never starts workers of the local provider."""
    what = "autoscaler"
    if not all("RAY_enable_autoscaler_v2=0" in command for command in _starts(cluster)):
        return Finding(
            "problem",
            what,
            "the start commands take Ray's newer one",
            "export RAY_enable_autoscaler_v2=0 in front of them",
        )
    if os.environ.get(NEWER_AUTOSCALER) != "0":
        return Finding("warning", what, "`ray up` would take Ray's newer one", f"export {NEWER_AUTOSCALER}=0")
    return Finding("ok", what, "the one that starts local workers")


def check_hosts(provider: Mapping[str, Any], auth: Mapping[str, Any]) -> list[Finding]:
    """Each machine lets this one in by its key, without asking."""
    hosts = [str(host) for host in (provider.get("head_ip"), *(provider.get("worker_ips") or ())) if host]
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        return list(pool.map(lambda host: _check_host(host, auth), hosts))


def _check_host(host: str, auth: Mapping[str, Any]) -> Finding:
    who = f"{auth['ssh_user']}@{host}" if auth.get("ssh_user") else host
    key = ["-i", str(Path(auth["ssh_private_key"]).expanduser())] if auth.get("ssh_private_key") else []
    # As Ray calls it, but that it never asks; the list of known hosts stays as it is.
    settings = (
        "BatchMode=yes",
        f"ConnectTimeout={SSH_WAIT_S}",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    )
    command = ["ssh", *(word for setting in settings for word in ("-o", setting)), *key, "--", who, "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * SSH_WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("problem", f"ssh {host}", str(error), "start it, and check the address")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return Finding("problem", f"ssh {host}", reason, f"make `ssh {who} true` work without a password")
    return Finding("ok", f"ssh {host}", "lets this machine in")


def _starts(cluster: Mapping[str, Any]) -> list[str]:
    """Commands that start Ray."""
    commands = [
        *(cluster.get("head_start_ray_commands") or ()),
        *(cluster.get("worker_start_ray_commands") or ()),
    ]
    return [command for command in commands if "ray start" in command]


def _texts(value: Any, where: str = "") -> list[tuple[str, str]]:
    """Every text of nested data with its dotted place."""
    if isinstance(value, Mapping):
        return [
            text
            for key, part in value.items()
            for text in _texts(part, f"{where}.{key}" if where else str(key))
        ]
    if isinstance(value, list):
        return [text for i, part in enumerate(value) for text in _texts(part, f"{where}.{i}")]
    return [(where, value)] if isinstance(value, str) else []

"""What usually goes wrong with a file for `ray up`, found without starting anything."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from study.engine.cluster.schema import schema_error
from study.engine.cluster.token import TOKEN
from study.engine.doctor.aws import check_aws
from study.engine.doctor.machine import Finding

ClusterFile = Mapping[str, Any]  # as YAML gives it; Ray's own schema says what it may hold
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SSH_WAIT_S = 5
PLACEHOLDER = "REPLACE"
NEWER_AUTOSCALER = "RAY_UP_enable_autoscaler_v2"


def check_cluster_file(cluster: ClusterFile, folder: Path) -> list[Finding]:
    """All findings of a cluster file.

    Args:
        cluster: Content of the file.
        folder: Folder in which `ray up` will be called, where the paths of the file begin.
    """
    findings = [
        check_schema(cluster),
        check_placeholders(cluster),
        check_mounts(cluster, folder),
        check_token_is_mounted(cluster, folder),
        check_commands(cluster),
        check_tools(),
    ]
    provider = cluster.get("provider") or {}
    if provider.get("type") == "local":
        findings += [check_autoscaler(cluster), *check_hosts(provider, cluster.get("auth") or {})]
    if provider.get("type") == "aws":
        findings += check_aws(cluster)
    return findings


def check_schema(cluster: ClusterFile) -> Finding:
    """Ray's own schema and rules for the file, with its defaults filled in."""
    if wrong := schema_error(cluster):
        return Finding("problem", "schema", wrong, "correct the file; see docs.ray.io, cluster YAML options")
    return Finding("ok", "schema", "valid")


def check_placeholders(cluster: ClusterFile) -> Finding:
    """Nothing is left that only the user can fill in."""
    left = [f"{key}: {text}" for key, text in _texts(cluster).items() if PLACEHOLDER in text]
    if left:
        remedy = "fill them in; the comment above each says how"
        return Finding("problem", "placeholders", "; ".join(left), remedy)
    return Finding("ok", "placeholders", "none left")


def check_mounts(cluster: ClusterFile, folder: Path) -> Finding:
    """What is copied to the machines exists, and is no folder that Ray would read for minutes."""
    local_paths = (cluster.get("file_mounts") or {}).values()
    mounts = {local: folder / Path(local).expanduser() for local in local_paths}
    missing = [local for local, path in mounts.items() if not path.exists() and not local.endswith(TOKEN)]
    if missing:
        remedy = "call ray up from the project's folder, or correct file_mounts"
        return Finding("problem", "mounts", f"not there: {', '.join(missing)}", remedy)
    heavy = [local for local, path in mounts.items() if (path / ".venv").is_dir()]
    if heavy:
        found = f"{', '.join(heavy)} holds an environment, which Ray reads whole"
        return Finding("warning", "mounts", found, "mount its parts by name")
    return Finding("ok", "mounts", f"{len(mounts)} are there")


def check_token_is_mounted(cluster: ClusterFile, folder: Path) -> Finding:
    """The machines get the token, and on this one only its owner can read it."""
    what = "cluster token"
    mounts = cluster.get("file_mounts") or {}
    local = next((path for remote, path in mounts.items() if remote.endswith(TOKEN)), None)
    if local is None:
        found = "not in file_mounts: the cluster's ports would be open to all"
        return Finding("problem", what, found, f"mount ~/{TOKEN}")
    path = folder / Path(local).expanduser()
    if not path.is_file():
        remedy = f"ray get-auth-token --generate && chmod 600 ~/{TOKEN}"
        return Finding("problem", what, f"{local} is not there", remedy)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        found = f"{local} has mode {mode:o}, and keeps it on the machines"
        return Finding("problem", what, found, f"chmod 600 {local}")
    return Finding("ok", what, f"mounted, mode {mode:o}")


def check_commands(cluster: ClusterFile) -> Finding:
    """Every start of Ray asks for the token, and the dashboard, which runs jobs, is bound to loopback."""
    what = "start commands"
    for command in _starts(cluster):
        if "RAY_AUTH_MODE=token" not in command:
            remedy = "export RAY_AUTH_MODE=token in front of it"
            return Finding("problem", what, f"without a token: {command}", remedy)
        host = command.partition("--dashboard-host")[2].lstrip("= ").split(" ")[0]
        if host and host not in LOOPBACK:
            remedy = "--dashboard-host=127.0.0.1, and ray dashboard"
            return Finding("problem", what, f"the dashboard is bound to {host}", remedy)
    return Finding("ok", what, "token asked for, dashboard on loopback")


def check_tools() -> Finding:
    """The tools that `ray up` calls are installed."""
    packages = {"ssh": "openssh-client", "rsync": "rsync"}
    missing = [tool for tool in packages if shutil.which(tool) is None]
    if missing:
        remedy = f"apt install {' '.join(packages[tool] for tool in missing)}"
        return Finding("problem", "tools", f"not installed: {', '.join(missing)}", remedy)
    return Finding("ok", "tools", "ssh and rsync")


def check_autoscaler(cluster: ClusterFile) -> Finding:
    """The older autoscaler of Ray is taken: the newer one never starts workers of the local provider."""
    what = "autoscaler"
    if not all("RAY_enable_autoscaler_v2=0" in command for command in _starts(cluster)):
        remedy = "export RAY_enable_autoscaler_v2=0 in front of them"
        return Finding("problem", what, "the start commands take Ray's newer one", remedy)
    if os.environ.get(NEWER_AUTOSCALER) != "0":
        return Finding("warning", what, "`ray up` would take Ray's newer one", f"export {NEWER_AUTOSCALER}=0")
    return Finding("ok", what, "the one that starts local workers")


def check_hosts(provider: ClusterFile, auth: ClusterFile) -> list[Finding]:
    """Each machine lets this one in by its key, without a password."""
    hosts = [str(host) for host in (provider.get("head_ip"), *(provider.get("worker_ips") or ())) if host]
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        return list(pool.map(lambda host: _check_host(host, auth), hosts))


def _check_host(host: str, auth: ClusterFile) -> Finding:
    """A machine lets this one in by its key, without a password."""
    what = f"ssh {host}"
    login = f"{auth['ssh_user']}@{host}" if auth.get("ssh_user") else host
    try:
        command = ["ssh", *_ssh_options(auth), "--", login, "true"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * SSH_WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("problem", what, str(error), "start it, and check the address")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no answer"]
        return Finding("problem", what, lines[-1], f"make `ssh {login} true` work without a password")
    return Finding("ok", what, "lets this machine in")


def _ssh_options(auth: ClusterFile) -> list[str]:
    """Options as Ray gives them to ssh, but ssh asks nothing and leaves the list of known hosts as it is."""
    options = [
        "-oBatchMode=yes",
        f"-oConnectTimeout={SSH_WAIT_S}",
        "-oStrictHostKeyChecking=no",
        "-oUserKnownHostsFile=/dev/null",
    ]
    key = auth.get("ssh_private_key")
    return ["-i", str(Path(key).expanduser()), *options] if key else options


def _starts(cluster: ClusterFile) -> list[str]:
    """Commands that start Ray."""
    head = cluster.get("head_start_ray_commands") or ()
    workers = cluster.get("worker_start_ray_commands") or ()
    return [command for command in (*head, *workers) if "ray start" in command]


def _texts(value: object, key: str = "") -> dict[str, str]:
    """Every text of nested data, by its dotted key."""
    if isinstance(value, str):
        return {key: value}
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    texts: dict[str, str] = {}
    for name, part in parts:
        texts |= _texts(part, f"{key}.{name}" if key else str(name))
    return texts

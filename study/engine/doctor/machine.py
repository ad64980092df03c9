"""What usually goes wrong on a machine, each as one finding with its remedy.

Nothing heavy is imported before it is known to be importable: a broken library is a finding, not a crash.
"""

import importlib
import importlib.metadata
import json
import os
import resource
import shutil
import socket
import stat
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from study.engine.cluster.token import token_path

PROJECT = Path(__file__).parents[3]
LEAST_PYTHON = (3, 11)
LEAST_FILES, LEAST_SHM, LEAST_DISK, FULL_DISK = 4096, 2**30, 2 * 2**30, 0.95
PORTS = {6379: "a Ray head", 8265: "Ray's dashboard"}
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        state: `problem`: a study fails or leaks; `warning`: it may.
        what: what was looked at.
        found: what was found there.
        remedy: what to do about it; empty where all is well.
    """

    state: Literal["ok", "warning", "problem"]
    what: str
    found: str
    remedy: str = ""


def check_machine(disks: Mapping[str, Path]) -> list[Finding]:
    """All findings of this machine.

    Args:
        disks: folders that a study fills, by what they hold.
    """
    return [
        check_python(sys.version_info[:3]),
        check_versions(PROJECT / "uv.lock"),
        check_torch(),
        check_import("study.run"),
        check_devices(),
        check_shared_memory(Path("/dev/shm")),
        *(check_disk(what, folder) for what, folder in disks.items()),
        check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        check_ports(tuple(PORTS)),
        check_token(token_path()),
        check_usage_statistics(Path.home() / ".ray" / "config.json"),
        check_leftover(Path("/tmp/ray/ray_current_cluster")),
    ]


def check_python(version: tuple[int, ...]) -> Finding:
    """Python is new enough."""
    found = ".".join(map(str, version))
    if version < LEAST_PYTHON:
        return Finding(
            "problem",
            "Python",
            found,
            f"use {'.'.join(map(str, LEAST_PYTHON))} or newer; `uv run` fetches one",
        )
    return Finding("ok", "Python", found)


def check_versions(lock: Path) -> Finding:
    """The project's libraries are those of the lock file, whose combination is tested."""
    if not lock.is_file():
        return Finding(
            "warning", "libraries", f"no {lock.name} to compare with", "run from a checkout of the project"
        )
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    locked: dict[str, set[str]] = {}
    for package in packages:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    own = next(p for p in packages if "editable" in p.get("source", {}) or "virtual" in p.get("source", {}))
    wrong, missing = [], []
    names = sorted({d["name"] for d in own["dependencies"]})
    for name in names:
        try:
            installed = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed not in {version.partition("+")[0] for version in locked[name]}:
            wrong.append(f"{name} {installed} (locked {' or '.join(sorted(locked[name]))})")
    if missing:
        return Finding("problem", "libraries", f"not installed: {', '.join(missing)}", "uv sync --locked")
    if wrong:
        return Finding("warning", "libraries", "; ".join(wrong), "uv sync --locked")
    return Finding("ok", "libraries", f"the {len(names)} of the lock file")


def check_torch() -> Finding:
    """Torchvision is built for the torch beside it; a mixed pair fails at import or in the middle of a study."""
    what, remedy = "torch", "take both from one index: uv sync --locked"
    try:
        torch, vision = (importlib.metadata.version(name) for name in ("torch", "torchvision"))
        wanted = next(
            r for r in map(Requirement, importlib.metadata.requires("torchvision") or ()) if r.name == "torch"
        )
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        return Finding("problem", what, "torch and torchvision are not both installed", remedy)
    found = f"torch {torch}, torchvision {vision}"
    if not wanted.specifier.contains(torch, prereleases=True):
        return Finding("problem", what, f"{found}, which wants {wanted}", remedy)
    broken = check_import("torchvision.ops")
    if broken.state == "problem":
        return broken
    if not hasattr(importlib.import_module("torch").ops.torchvision, "nms"):
        return Finding("problem", what, f"{found}, whose compiled part does not load", remedy)
    return Finding("ok", what, found)


def check_import(module: str) -> Finding:
    """A module can be imported."""
    try:
        importlib.import_module(module)
    except Exception as error:  # a library built for another one raises anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Finding("problem", module, f"cannot be imported: {reason}", "uv sync --locked")
    return Finding("ok", module, "can be imported")


def check_devices() -> Finding:
    """Cores and GPUs that torch can use; a GPU of the machine that it cannot use is a problem."""
    cores = len(os.sched_getaffinity(0))
    try:
        import torch  # may be broken, which is a finding of its own
    except Exception:
        return Finding(
            "warning",
            "devices",
            f"{cores} cores; GPUs unknown, since torch cannot be imported",
            "uv sync --locked",
        )
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return Finding(
            "ok",
            "devices",
            f"{cores} cores, " + ", ".join(f"{g.name} with {g.total_memory / 2**30:.0f} GiB" for g in gpus),
        )
    if Path("/proc/driver/nvidia/version").is_file():
        found = f"{cores} cores; a GPU's driver, but torch (built for {torch.version.cuda or 'no CUDA'}) finds no GPU"
        return Finding("problem", "devices", found, "update the driver")
    return Finding("ok", "devices", f"{cores} cores, no GPU: `--profile auto` takes the laptop profile")


def check_shared_memory(folder: Path) -> Finding:
    """Room for Ray's object store; containers often have 64 MB."""
    if not folder.is_dir():
        return Finding("warning", "shared memory", f"no {folder}", "Ray uses /tmp instead, which is slower")
    size = shutil.disk_usage(folder).total
    found = f"{_size(size)} at {folder}"
    if size < LEAST_SHM:
        return Finding("warning", "shared memory", found, "give the container more: docker run --shm-size=4g")
    return Finding("ok", "shared memory", found)


def check_disk(what: str, folder: Path) -> Finding:
    """Room where a study writes; Ray stops at 95 % of its disk."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    usage = shutil.disk_usage(there)
    found, where = f"{_size(usage.free)} free at {folder}", f"disk of {what}"
    if usage.free < LEAST_DISK:
        return Finding("problem", where, found, "free some, or choose another place")
    if usage.used > FULL_DISK * usage.total:
        return Finding(
            "warning",
            where,
            f"{found}, {usage.used / usage.total:.0%} full",
            "Ray spills nothing beyond 95 %: free some",
        )
    return Finding("ok", where, found)


def check_open_files(limit: int) -> Finding:
    """How many files a process may open; Ray keeps some for each worker and connection."""
    found = "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
    if 0 <= limit < LEAST_FILES:
        return Finding(
            "warning", "open files", found, "ulimit -n 65536 before a study with many trials at a time"
        )
    return Finding("ok", "open files", found)


def check_ports(ports: tuple[int, ...]) -> Finding:
    """The ports of a Ray head are free; a study on this machine alone needs none of them."""
    taken = [port for port in ports if not _can_bind(port)]
    if taken:
        found = ", ".join(f"{port} ({PORTS.get(port, 'in use')}) is taken" for port in taken)
        return Finding(
            "warning", "ports", found, "`ray start --head` would need others: --port, --dashboard-port"
        )
    return Finding("ok", "ports", f"{', '.join(map(str, ports))} are free")


def check_token(path: Path) -> Finding:
    """The token that opens a Ray cluster is its owner's alone; Ray itself writes it readable to all."""
    what = "Ray token"
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return Finding(
            "warning",
            what,
            "RAY_AUTH_MODE=disabled: whoever reaches the ports runs code",
            "unset RAY_AUTH_MODE",
        )
    if not path.is_file():
        return Finding("ok", what, f"none at {path} yet; Ray makes one")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding(
            "warning",
            what,
            f"{path} has mode {mode:o}: others on this machine can read it",
            f"chmod 600 {path}",
        )
    return Finding("ok", what, f"{path} has mode {mode:o}")


def check_usage_statistics(config: Path) -> Finding:
    """Nothing is reported to Ray's makers; studies switch it off themselves."""
    what, variable = "usage statistics", os.environ.get("RAY_USAGE_STATS_ENABLED")
    if variable == "1":
        return Finding(
            "warning",
            what,
            "switched on by RAY_USAGE_STATS_ENABLED=1",
            "unset it: studies then switch them off",
        )
    try:
        off = json.loads(config.read_text(encoding="utf-8")).get("usage_stats") is False
    except (OSError, ValueError, AttributeError):
        off = False
    if variable == "0" or off:
        return Finding("ok", what, "off")
    return Finding("ok", what, "off in studies; for `ray` commands of your own: ray disable-usage-stats")


def check_leftover(note: Path) -> Finding:
    """The note of a running cluster names one that answers; else `--address auto` waits for a dead one."""
    what = "running cluster"
    if not note.is_file():
        return Finding("ok", what, "none noted")
    address = note.read_text(encoding="utf-8").strip()
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return Finding("warning", what, f"{note} names {address}, where nothing answers", f"rm {note}")
    return Finding("ok", what, f"{address} answers")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"

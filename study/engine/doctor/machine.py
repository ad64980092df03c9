"""What usually goes wrong on a machine, each as one finding with its remedy.

No large library is imported before it is known that it can be: a broken one is a finding, not a crash.
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
from study.spec.resources import usable_cores
from study.spec.wording import size_text

PROJECT = Path(__file__).parents[3]
LEAST_PYTHON = (3, 11)
LEAST_FILES, LEAST_SHM, LEAST_DISK, FULL_DISK = 4096, 2**30, 2 * 2**30, 0.95
PORTS = {6379: "a Ray head", 8265: "Ray's dashboard"}
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        state: `problem` where a study fails or leaks, `warning` where it may, `ok` where all is well.
        what: What was looked at.
        found: What was found there.
        remedy: What to do about it; empty where all is well.
    """

    state: Literal["ok", "warning", "problem"]
    what: str
    found: str
    remedy: str = ""


def check_machine(disks: Mapping[str, Path]) -> list[Finding]:
    """All findings of this machine.

    Args:
        disks: Folders that a study fills, by what they hold.
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
    found, least = (".".join(map(str, numbers)) for numbers in (version, LEAST_PYTHON))
    if version < LEAST_PYTHON:
        return Finding("problem", "Python", found, f"use {least} or newer; `uv run` fetches one")
    return Finding("ok", "Python", found)


def check_versions(lock: Path) -> Finding:
    """The project's libraries are those of the lock file, whose combination is tested."""
    what, remedy = "libraries", "uv sync --locked"
    if not lock.is_file():
        return Finding(
            "warning", what, f"no {lock.name} to compare with", "run from a checkout of the project"
        )
    locked = _locked_versions(lock)
    wrong, missing = [], []
    for name, versions in locked.items():
        try:
            installed = _without_build(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed not in {_without_build(version) for version in versions}:
            wrong.append(f"{name} {installed} (locked {' or '.join(sorted(versions))})")
    if missing:
        return Finding("problem", what, f"not installed: {', '.join(missing)}", remedy)
    if wrong:
        return Finding("warning", what, "; ".join(wrong), remedy)
    return Finding("ok", what, f"the {len(locked)} of the lock file")


def _locked_versions(lock: Path) -> dict[str, set[str]]:
    """The versions that a lock file has of each library that the project itself names, by its name."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    versions: dict[str, set[str]] = {}
    for package in packages:
        versions.setdefault(package["name"], set()).add(package.get("version", ""))
    project = next(
        package for package in packages if {"editable", "virtual"} & package.get("source", {}).keys()
    )
    names = sorted({dependency["name"] for dependency in project["dependencies"]})
    return {name: versions[name] for name in names}


def _without_build(version: str) -> str:
    """A version without what follows `+`, such as the CUDA release that torch was built for."""
    return version.partition("+")[0]


def check_torch() -> Finding:
    """Torchvision is built for the torch beside it; another pair fails at import or later, in a study."""
    what, remedy = "torch", "take both from one index: uv sync --locked"
    try:
        torch, vision = (importlib.metadata.version(name) for name in ("torch", "torchvision"))
        requirements = map(Requirement, importlib.metadata.requires("torchvision") or ())
        wanted = next(requirement for requirement in requirements if requirement.name == "torch")
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        return Finding("problem", what, "torch and torchvision are not both installed", remedy)
    found = f"torch {torch}, torchvision {vision}"
    if not wanted.specifier.contains(torch, prereleases=True):
        return Finding("problem", what, f"{found}, which wants {wanted}", remedy)
    imported = check_import("torchvision.ops")
    if imported.state == "problem":
        return imported
    if not hasattr(importlib.import_module("torch").ops.torchvision, "nms"):
        return Finding("problem", what, f"{found}, whose compiled part does not load", remedy)
    return Finding("ok", what, found)


def check_import(module: str) -> Finding:
    """A module can be imported."""
    try:
        importlib.import_module(module)
    except Exception as error:  # a library that was built for another one raises anything
        lines = str(error).splitlines() or [type(error).__name__]
        return Finding("problem", module, f"cannot be imported: {lines[0]}", "uv sync --locked")
    return Finding("ok", module, "can be imported")


def check_devices() -> Finding:
    """Cores and GPUs that torch can use; a GPU of the machine that torch cannot use is a problem."""
    what, cores = "devices", f"{usable_cores()} cores"
    try:
        import torch  # may be broken, which is a finding of its own
    except Exception:
        found = f"{cores}; GPUs unknown, since torch cannot be imported"
        return Finding("warning", what, found, "uv sync --locked")
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        names = [f"{gpu.name} with {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus]
        return Finding("ok", what, ", ".join([cores, *names]))
    if Path("/proc/driver/nvidia/version").is_file():
        built_for = torch.version.cuda or "no CUDA"
        found = f"{cores}; a GPU's driver, but torch (built for {built_for}) finds no GPU"
        return Finding("problem", what, found, "update the driver")
    return Finding("ok", what, f"{cores}, no GPU: `--profile auto` takes the laptop profile")


def check_shared_memory(folder: Path) -> Finding:
    """Room for Ray's object store; containers often have 64 MB."""
    if not folder.is_dir():
        return Finding("warning", "shared memory", f"no {folder}", "Ray uses /tmp instead, which is slower")
    total = shutil.disk_usage(folder).total
    found = f"{size_text(total)} at {folder}"
    if total < LEAST_SHM:
        return Finding("warning", "shared memory", found, "give the container more: docker run --shm-size=4g")
    return Finding("ok", "shared memory", found)


def check_disk(content: str, folder: Path) -> Finding:
    """Room where a study writes; Ray stops at 95 % of its disk."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(existing)
    what, found = f"disk of {content}", f"{size_text(usage.free)} free at {folder}"
    if usage.free < LEAST_DISK:
        return Finding("problem", what, found, "free some, or choose another place")
    if usage.used > FULL_DISK * usage.total:
        found = f"{found}, {usage.used / usage.total:.0%} full"
        return Finding("warning", what, found, "free some: Ray writes no objects to disk beyond 95 %")
    return Finding("ok", what, found)


def check_open_files(limit: int) -> Finding:
    """How many files a process may open; Ray keeps some for each worker and connection."""
    found = "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
    if 0 <= limit < LEAST_FILES:
        remedy = "ulimit -n 65536 before a study with many trials at a time"
        return Finding("warning", "open files", found, remedy)
    return Finding("ok", "open files", found)


def check_ports(ports: tuple[int, ...]) -> Finding:
    """The ports of a Ray head are free; a study on this machine alone needs none of them."""
    taken = [port for port in ports if not _can_bind(port)]
    if taken:
        found = ", ".join(f"{port} ({PORTS.get(port, 'in use')}) is taken" for port in taken)
        remedy = "`ray start --head` would need others: --port, --dashboard-port"
        return Finding("warning", "ports", found, remedy)
    return Finding("ok", "ports", f"{', '.join(map(str, ports))} are free")


def check_token(path: Path) -> Finding:
    """Only its owner can read the token that opens a Ray cluster; Ray itself writes it readable to all."""
    what = "Ray token"
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        found = "RAY_AUTH_MODE=disabled: whoever reaches the ports runs code"
        return Finding("warning", what, found, "unset RAY_AUTH_MODE")
    if not path.is_file():
        return Finding("ok", what, f"none at {path} yet; Ray makes one")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        found = f"{path} has mode {mode:o}: others on this machine can read it"
        return Finding("warning", what, found, f"chmod 600 {path}")
    return Finding("ok", what, f"{path} has mode {mode:o}")


def check_usage_statistics(config: Path) -> Finding:
    """Nothing is reported to the makers of Ray; studies switch the statistics off themselves."""
    what, variable = "usage statistics", os.environ.get("RAY_USAGE_STATS_ENABLED")
    if variable == "1":
        found = "switched on by RAY_USAGE_STATS_ENABLED=1"
        return Finding("warning", what, found, "unset it: studies then switch them off")
    try:
        off = json.loads(config.read_text(encoding="utf-8")).get("usage_stats") is False
    except (OSError, ValueError, AttributeError):
        off = False
    if variable == "0" or off:
        return Finding("ok", what, "off")
    return Finding("ok", what, "off in studies; for `ray` commands of your own: ray disable-usage-stats")


def check_leftover(note: Path) -> Finding:
    """The cluster that Ray has noted as running answers; `--address auto` would wait for a dead one."""
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

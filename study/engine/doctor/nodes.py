"""What usually goes wrong with a cluster that is joined: its nodes differ from this machine.

They have other libraries or other code than the machine that starts the study.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from study.engine.cluster.connection import ask_each_node, connected
from study.engine.doctor.machine import PROJECT, Finding
from study.engine.start.provenance import provenance
from study.spec.errors import ClusterError

Facts = Mapping[str, str]
"""What must be the same on every node, by its name."""

PACKAGES = ("study", "models")


def check_nodes(address: str, log: Path) -> list[Finding]:
    """Every live node of a running cluster has the versions and the code of this machine.

    Args:
        address: Address of the cluster; `local` has no other node and nothing to check.
        log: File for what Ray says.
    """
    if address == "local":
        return []
    try:
        with connected(address, 1, log):
            return compare_nodes(facts(), ask_each_node(facts))
    except ClusterError as error:
        remedy = "start the cluster, or give another --set resources.address=..."
        return [Finding("problem", "cluster", str(error), remedy)]


def compare_nodes(own: Facts, nodes: Mapping[str, Facts | ClusterError]) -> list[Finding]:
    """Every node has this machine's versions and code; a problem for each one that differs.

    Args:
        own: Facts of this machine.
        nodes: Facts of each node by its address, or why it does not answer.
    """
    problems = []
    for node, answer in nodes.items():
        if isinstance(answer, ClusterError):
            remedy = f"`ray logs` for {node}; the project must be importable there"
            problems.append(Finding("problem", "nodes", f"{node}: {answer}", remedy))
        elif differing := [name for name in own if answer.get(name) != own[name]]:
            found = ", ".join(_difference(name, answer, own) for name in differing)
            problems.append(Finding("problem", "nodes", f"{node}: {found}", _remedy(differing)))
    if problems:
        return problems
    return [Finding("ok", "nodes", f"this machine's Python, libraries and code on all {len(nodes)}")]


def facts() -> Facts:
    """Facts of this machine: Python, the libraries that a result is made with, and this project's code."""
    made_with = json.loads(provenance(""))
    return {"Python": made_with["python"], **made_with["versions"], "code": code_hash(PROJECT)}


def code_hash(project: Path) -> str:
    """A short hash of the project's Python files; a node's copy often lacks the history of the repository."""
    files = sorted(file for package in PACKAGES for file in (project / package).rglob("*.py"))
    content = b"".join(f"{file.relative_to(project)}\0".encode() + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:10]


def _difference(name: str, other: Facts, own: Facts) -> str:
    return f"{name} {other.get(name) or 'missing'} (here {own[name] or 'missing'})"


def _remedy(differing: list[str]) -> str:
    remedies = []
    if "Python" in differing:
        remedies.append("the same Python there")
    if set(differing) - {"Python", "code"}:
        remedies.append("uv sync --locked there")
    if "code" in differing:
        remedies.append("the same checkout there: ray up again copies it")
    return "; ".join(remedies)

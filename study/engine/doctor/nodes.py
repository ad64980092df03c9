"""What usually goes wrong with a cluster that is joined: nodes with other libraries or other code than the machine that starts a study."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from study.engine.cluster.connection import ask_each_node, connected
from study.engine.doctor.machine import PROJECT, Finding
from study.engine.start.provenance import provenance
from study.spec.errors import ClusterError

Facts = Mapping[str, str]
PACKAGES = ("study", "models")


def check_nodes(address: str, log: Path) -> list[Finding]:
    """Every live node of a running cluster has the versions and the code of this machine.

    Args:
        address: of the cluster; `local` has no other node and nothing to check.
        log: file for what Ray says.
    """
    if address == "local":
        return []
    try:
        with connected(address, 1, log):
            return compare_nodes(facts(), ask_each_node(facts))
    except ClusterError as error:
        return [
            Finding(
                "problem",
                "cluster",
                str(error),
                "start the cluster, or give another --set resources.address=...",
            )
        ]


def compare_nodes(here: Facts, nodes: Mapping[str, Facts | ClusterError]) -> list[Finding]:
    """A problem for each node that differs, one finding for all where none does.

    Args:
        here: of this machine.
        nodes: by the node's address, its own, or why it does not answer.
    """
    what, problems = "nodes", []
    for node, answer in nodes.items():
        if isinstance(answer, ClusterError):
            problems.append(
                Finding(
                    "problem",
                    what,
                    f"{node}: {answer}",
                    f"`ray logs` for {node}; the project must be importable there",
                )
            )
            continue
        wrong = [name for name in here if answer.get(name) != here[name]]
        if wrong:
            found = ", ".join(
                f"{name} {answer.get(name) or 'missing'} (here {here[name] or 'missing'})" for name in wrong
            )
            problems.append(Finding("problem", what, f"{node}: {found}", _remedy(wrong)))
    return problems or [Finding("ok", what, f"this machine's Python, libraries and code on all {len(nodes)}")]


def facts() -> Facts:
    """What must be the same on every node: Python, the libraries that a result is made with, and this project's code."""
    made_with = json.loads(provenance(""))
    return {"Python": made_with["python"], **made_with["versions"], "code": code_hash(PROJECT)}


def code_hash(project: Path) -> str:
    """A short hash of the project's Python files; nodes often have a copy without the repository's history."""
    files = sorted(file for package in PACKAGES for file in (project / package).rglob("*.py"))
    content = b"".join(f"{file.relative_to(project)}\0".encode() + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:10]


def _remedy(wrong: list[str]) -> str:
    remedies = []
    if "Python" in wrong:
        remedies.append("the same Python there")
    if set(wrong) - {"Python", "code"}:
        remedies.append("uv sync --locked there")
    if "code" in wrong:
        remedies.append("the same checkout there: ray up again copies it")
    return "; ".join(remedies)

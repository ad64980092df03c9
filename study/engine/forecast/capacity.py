"""How many trials a set of nodes holds: plain arithmetic on CPUs and GPUs, which asks no cluster."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from study.spec.errors import ClusterError
from study.spec.study_file import ResourcesSpec

CPU_OF_DRIVER = 0.1  # a trial of several workers has a small process of its own beside them


@dataclass(frozen=True)
class Node:
    """What a node can hold.

    Attributes:
        cpus: its CPU cores.
        gpus: its GPUs.
        count: how many of this kind there may be.
    """

    cpus: float
    gpus: float
    count: int = 1


@dataclass(frozen=True)
class Slots:
    """What a trial gets and how many run at a time.

    Attributes:
        workers: processes of one trial.
        cpus_per_worker: CPU cores of each.
        gpus_per_worker: GPUs of each, a share where several trials work on one.
        concurrent: trials at a time on the nodes of the start.
        limit: trials at a time that the user allows on any number of nodes; None for no limit.
        elastic: whether nodes may come and go.
    """

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    concurrent: int
    limit: int | None = None
    elastic: bool = False

    @property
    def bundle(self) -> dict[str, float]:
        """What one worker takes of a node, in Ray's words."""
        return {
            "CPU": self.cpus_per_worker,
            **({"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}),
        }

    def room(self, nodes: Iterable[Node]) -> int:
        """Trials that the nodes hold at a time; a worker does not stretch over two nodes."""
        cpus = self.cpus_per_worker + (CPU_OF_DRIVER if self.workers > 1 else 0)
        fits = trials_on(nodes, self.workers, cpus, self.gpus_per_worker)
        return fits if self.limit is None else min(fits, self.limit)


def trials_on(nodes: Iterable[Node], workers: int, cpus: float, gpus: float) -> int:
    """Trials of so many workers, each with these CPUs and GPUs, that fit on the nodes at a time."""
    fits = 0
    for node in nodes:
        by_cpu = int(node.cpus / cpus + 1e-6)
        fits += node.count * (min(by_cpu, int(node.gpus / gpus + 1e-6)) if gpus else by_cpu)
    return fits // workers


def arrange(resources: ResourcesSpec, nodes: list[Node], gpu_share: float = 1.0) -> Slots:
    """What a trial gets on these nodes; arguments and errors as in `slots`."""
    gpus = resources.gpus_per_worker
    if gpus is None:
        gpus = gpu_share if any(node.gpus for node in nodes) else 0.0
    cpus = resources.cpus_per_worker or _fair_cpus(nodes, gpus)
    beside = CPU_OF_DRIVER if resources.workers > 1 else 0
    found = Slots(
        resources.workers,
        max(0.05, cpus - beside),
        gpus,
        0,
        resources.concurrent,
        resources.address != "local",
    )
    if not found.room(nodes):
        largest = ", ".join(sorted({f"{n.cpus:g} CPUs and {n.gpus:g} GPUs" for n in nodes}))
        raise ClusterError(
            f"`resources`: the cluster must hold one trial of {found.workers} workers with {cpus:g} CPUs "
            f"and {gpus:g} GPUs each, got nodes with {largest}. Ask for less, or add nodes."
        )
    return replace(found, concurrent=found.room(nodes))


def this_machine() -> Node:
    """What a cluster of this machine alone would hold."""
    return Node(float(len(os.sched_getaffinity(0))), float(torch.cuda.device_count()))


def _fair_cpus(nodes: list[Node], gpus: float) -> float:
    """Whole cores of a worker: those that belong to its share of a GPU, else one."""
    shares = [node.cpus * gpus / node.gpus for node in nodes if node.gpus and gpus]
    return max(1.0, float(int(min(shares, default=1.0))))

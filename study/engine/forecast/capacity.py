"""How many trials a set of nodes holds: plain arithmetic on CPUs and GPUs, which asks no cluster."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from study.spec.errors import ClusterError
from study.spec.resources import ResourcesSpec, usable_cores

CPU_OF_DRIVER = 0.1  # a trial of several workers has a small process of its own beside them


@dataclass(frozen=True)
class Node:
    """What a node can hold.

    Attributes:
        cpus: Number of its CPU cores.
        gpus: Number of its GPUs.
        count: How many nodes of this kind there may be.
    """

    cpus: float
    gpus: float
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What a trial gets, and how many trials run at a time.

    Attributes:
        workers: Number of processes of one trial.
        cpus_per_worker: CPU cores of each process.
        gpus_per_worker: GPUs of each process; a part of one where several trials share a GPU.
        concurrent: Trials at a time on the nodes that are there when the study starts.
        limit: Trials at a time that the user allows on any number of nodes; None for no limit.
        elastic: Whether nodes may come and go.
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
        bundle = {"CPU": self.cpus_per_worker}
        if self.gpus_per_worker:
            bundle["GPU"] = self.gpus_per_worker
        return bundle

    def room(self, nodes: Iterable[Node]) -> int:
        """Trials that the nodes hold at a time; a worker does not stretch over two nodes."""
        cpus = self.cpus_per_worker + (CPU_OF_DRIVER if self.workers > 1 else 0)
        num_trials = trials_on(nodes, self.workers, cpus, self.gpus_per_worker)
        return num_trials if self.limit is None else min(num_trials, self.limit)


def trials_on(nodes: Iterable[Node], workers: int, cpus: float, gpus: float) -> int:
    """Trials of so many workers, each with these CPUs and GPUs, that fit on the nodes at a time."""
    num_workers = 0
    for node in nodes:
        on_one = int(node.cpus / cpus + 1e-6)
        if gpus:
            on_one = min(on_one, int(node.gpus / gpus + 1e-6))
        num_workers += node.count * on_one
    return num_workers // workers


def arrange(resources: ResourcesSpec, nodes: list[Node], gpu_share: float = 1.0) -> Slots:
    """What a trial gets on these nodes.

    Args:
        resources: What the study file asks for.
        nodes: Nodes that are there or may come.
        gpu_share: Part of a GPU that a trial needs by its measured memory, for a file that leaves it open.

    Raises:
        ClusterError: Not even one trial fits on a node.
    """
    gpus = resources.gpus_per_worker
    if gpus is None:
        gpus = gpu_share if any(node.gpus for node in nodes) else 0.0
    cpus = resources.cpus_per_worker or _fair_cpus(nodes, gpus)
    for_driver = CPU_OF_DRIVER if resources.workers > 1 else 0
    slots = Slots(
        workers=resources.workers,
        cpus_per_worker=max(0.05, cpus - for_driver),
        gpus_per_worker=gpus,
        concurrent=0,
        limit=resources.concurrent,
        elastic=resources.address != "local",
    )
    num_trials = slots.room(nodes)
    if num_trials == 0:
        kinds = ", ".join(sorted({f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes}))
        raise ClusterError(
            f"`resources`: the cluster must hold one trial of {resources.workers} workers with {cpus:g} CPUs "
            f"and {gpus:g} GPUs each, got nodes with {kinds}. Ask for less, or add nodes."
        )
    return replace(slots, concurrent=num_trials)


def this_machine() -> Node:
    """What a cluster of this machine alone would hold."""
    return Node(float(usable_cores()), float(torch.cuda.device_count()))


def _fair_cpus(nodes: list[Node], gpus: float) -> float:
    """Whole cores of a worker: the cores that belong to its share of a GPU, or one core without a GPU."""
    shares = [node.cpus * gpus / node.gpus for node in nodes if node.gpus and gpus]
    return max(1.0, float(int(min(shares, default=1.0))))

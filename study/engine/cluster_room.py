"""How many trials the cluster holds: on the nodes of this moment, and on those that its autoscaler would start."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
import yaml
from ray import PlacementGroupID, tune
from ray._private import state as ray_state
from ray.core.generated import gcs_pb2
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from study.data.pairs import Pairs
from study.engine.cluster import ClusterError, Say, alive, await_true
from study.engine.probe import Measure, Probe, measure
from study.spec.study_file import ResourcesSpec
from study.spec.trial_spec import TrialSpec

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")  # `ray up` leaves the cluster file on the head under this name
LOOK_EVERY_S = 1.0
RUNNING = "RUNNING"  # Tune's word for a trial whose process works
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
        return {"CPU": self.cpus_per_worker, **({"GPU": self.gpus_per_worker} if self.gpus_per_worker else {})}

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


def live_nodes() -> list[Node]:
    """The nodes of this moment."""
    return [Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in alive()]


def promised_nodes(bootstrap: Path = BOOTSTRAP) -> list[Node]:
    """Worker nodes that the autoscaler may start, where this is the head of a cluster of `ray up` and their size is known."""
    try:
        cluster = yaml.safe_load(bootstrap.expanduser().read_text(encoding="utf-8"))
        kinds, head = cluster["available_node_types"], cluster["head_node_type"]
        most = int(cluster.get("max_workers", 0))
        workers = [(kind["resources"], min(most, int(kind.get("max_workers", most)))) for name, kind in kinds.items() if name != head]
        nodes = [Node(float(r.get("CPU", 0)), float(r.get("GPU", 0)), count) for r, count in workers]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return []
    return [node for node in nodes if node.cpus and node.count]


def has_gpu(address: str) -> bool:
    """Whether the cluster has a GPU or can start a node with one; for one on this machine, whether the machine has."""
    if address == "local":
        return torch.cuda.is_available()
    return any(node.gpus for node in (*live_nodes(), *promised_nodes()))


def await_a_node(say: Say) -> None:
    """Waits for a first worker where the cluster starts one by itself; what a node will have is unknown until then.

    Raises:
        ClusterError: none came.
    """
    if not promised_nodes():
        await_true(lambda: any(node.cpus for node in live_nodes()), "its first worker", say)


def slots(resources: ResourcesSpec, gpu_share: float = 1.0, say: Say = lambda text: None) -> Slots:
    """What a trial gets on the connected cluster; waits for a first node where the autoscaler must start one.

    Args:
        resources: what the study file asks for.
        gpu_share: part of a GPU that a trial needs by its measured memory, where the file leaves it open.
        say: told what is waited for.

    Raises:
        ClusterError: not even one trial fits, or the node that it needs does not come.
    """
    here = live_nodes()
    found = arrange(resources, here if resources.address == "local" else [*here, *promised_nodes()], gpu_share)
    if not found.room(here):
        _start_first_node(found, say)
    return replace(found, concurrent=found.room(live_nodes()))


def arrange(resources: ResourcesSpec, nodes: list[Node], gpu_share: float = 1.0) -> Slots:
    """What a trial gets on these nodes; arguments and errors as in `slots`."""
    gpus = resources.gpus_per_worker
    if gpus is None:
        gpus = gpu_share if any(node.gpus for node in nodes) else 0.0
    cpus = resources.cpus_per_worker or _fair_cpus(nodes, gpus)
    beside = CPU_OF_DRIVER if resources.workers > 1 else 0
    found = Slots(resources.workers, max(0.05, cpus - beside), gpus, 0, resources.concurrent, resources.address != "local")
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


def measure_on_a_node(gpus: bool) -> Measure:
    """Runs probes on a node of the connected cluster, on one of its GPUs where it has some."""
    task = ray.remote(num_cpus=1, num_gpus=int(gpus), max_calls=1)(measure)  # a process of its own, which ends and frees its GPU

    def on_a_node(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
        try:
            probes: list[Probe] = ray.get(task.remote(specs, pairs, threads))
            return probes
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    return on_a_node


def _fair_cpus(nodes: list[Node], gpus: float) -> float:
    """Whole cores of a worker: those that belong to its share of a GPU, else one."""
    shares = [node.cpus * gpus / node.gpus for node in nodes if node.gpus and gpus]
    return max(1.0, float(int(min(shares, default=1.0))))


def _start_first_node(slots: Slots, say: Say) -> None:
    wish = placement_group([slots.bundle] * slots.workers)
    try:
        await_true(lambda: slots.room(live_nodes()) > 0, f"a node with {_words(slots)}", say)
    finally:
        remove_placement_group(wish)


def _words(slots: Slots) -> str:
    gpus = f" and {slots.gpus_per_worker:g} GPUs" if slots.gpus_per_worker else ""
    return f"{slots.cpus_per_worker:g} CPUs{gpus}"


class Orphans(tune.Callback):
    """Gives back the places of worker groups whose controller has died before it could, which Ray keeps until the driver ends."""

    def __init__(self) -> None:
        self._looked = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop calls this several times a second."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        table = ray_state.state._connect_and_get_accessor().get_placement_group_table()
        for place in orphans(table, ray.get_runtime_context().get_job_id()):
            remove_placement_group(place)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


def orphans(table: Iterable[bytes], job: str) -> list[PlacementGroup]:
    """The placement groups of a job that are there, and whose creator is an actor that is not.

    Args:
        table: Ray's own record of each placement group.
        job: its id.
    """
    rows = [gcs_pb2.PlacementGroupTableData.FromString(row) for row in table]  # type: ignore[attr-defined]  # made at import
    left = [row for row in rows if row.creator_actor_dead and row.creator_actor_id.strip(b"\xff") and row.creator_job_id.hex() == job]
    return [PlacementGroup(PlacementGroupID(row.placement_group_id)) for row in left if row.state != row.REMOVED]


class Growth(tune.Callback):
    """Room for trials as nodes come and go, and the wish for more that an autoscaler sees.

    A wish is a placement group that waits. It ends with this process, unlike `request_resources`, which would keep machines
    that are paid for after a study was killed. There is none while a node is free, since it would take a trial's place there.

    Args:
        slots: what a trial gets.
        num_left: trials that were not started yet.
        nodes: the nodes of this moment.
        promised: kinds of nodes that the autoscaler may start.
    """

    def __init__(
        self,
        slots: Slots,
        num_left: Callable[[], int],
        nodes: Callable[[], list[Node]] = live_nodes,
        promised: Callable[[], list[Node]] = promised_nodes,
    ) -> None:
        self._slots, self._num_left, self._nodes, self._promised = slots, num_left, nodes, promised
        self._wishes: list[PlacementGroup] = []
        self._room, self._running, self._looked = slots.concurrent, 0, 0.0

    def room(self) -> int:
        """Trials that may run at a time now."""
        self._look()
        return self._room

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop calls this several times a second."""
        if self._slots.elastic:
            self._running = sum(trial.status == RUNNING for trial in trials)
            self._look()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """No wish outlives the search."""
        self._wish(0)

    def _look(self) -> None:
        if not self._slots.elastic or time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        self._room = self._slots.room(self._nodes())
        self._wish(self._num_wishes() if self._running >= self._room else 0)

    def _num_wishes(self) -> int:
        """Trials that wait for a node: as many as the promised nodes hold, one where their number is not known."""
        most = self._slots.room(self._promised()) or self._room + 1
        most = most if self._slots.limit is None else min(most, self._slots.limit)
        return max(0, min(most - self._room, self._num_left()))

    def _wish(self, num: int) -> None:
        while len(self._wishes) > num:
            remove_placement_group(self._wishes.pop())
        while len(self._wishes) < num:
            self._wishes.append(placement_group([self._slots.bundle] * self._slots.workers))

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored

"""The nodes of the connected cluster: those of this moment, those that its autoscaler may start, and what a trial gets on them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ray
import torch
import yaml
from ray.util.placement_group import placement_group, remove_placement_group

from study.data.pairs import Pairs
from study.engine.cluster.connection import Say, alive, await_true
from study.engine.forecast.capacity import Node, Slots, arrange, this_machine
from study.engine.forecast.probe import Measure, Probe, measure, measure_apart
from study.spec.study_file import ResourcesSpec
from study.spec.trial_spec import TrialSpec

BOOTSTRAP = Path(
    "~/ray_bootstrap_config.yaml"
)  # `ray up` leaves the cluster file on the head under this name


def live_nodes() -> list[Node]:
    """The nodes of this moment."""
    return [Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in alive()]


def promised_nodes(bootstrap: Path = BOOTSTRAP) -> list[Node]:
    """Worker nodes that the autoscaler may start, where this is the head of a cluster of `ray up` and their size is known."""
    try:
        cluster = yaml.safe_load(bootstrap.expanduser().read_text(encoding="utf-8"))
        kinds, head = cluster["available_node_types"], cluster["head_node_type"]
        most = int(cluster.get("max_workers", 0))
        workers = [
            (kind["resources"], min(most, int(kind.get("max_workers", most))))
            for name, kind in kinds.items()
            if name != head
        ]
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
    found = arrange(
        resources, here if resources.address == "local" else [*here, *promised_nodes()], gpu_share
    )
    if not found.room(here):
        _start_first_node(found, say)
    return replace(found, concurrent=found.room(live_nodes()))


def measure_on_a_node(gpus: bool) -> Measure:
    """Runs probes on a node of the connected cluster, on one of its GPUs where it has some."""
    task = ray.remote(num_cpus=1, num_gpus=int(gpus), max_calls=1)(
        measure
    )  # a process of its own, which ends and frees its GPU

    def on_a_node(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
        try:
            probes: list[Probe] = ray.get(task.remote(specs, pairs, threads))
            return probes
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    return on_a_node


def _start_first_node(slots: Slots, say: Say) -> None:
    wish = placement_group([slots.bundle] * slots.workers)
    try:
        await_true(lambda: slots.room(live_nodes()) > 0, f"a node with {_words(slots)}", say)
    finally:
        remove_placement_group(wish)


def _words(slots: Slots) -> str:
    gpus = f" and {slots.gpus_per_worker:g} GPUs" if slots.gpus_per_worker else ""
    return f"{slots.cpus_per_worker:g} CPUs{gpus}"


def machines(resources: ResourcesSpec) -> tuple[list[Node], Measure]:
    """Where a study's trials would run, this machine or the connected cluster, and what runs a probe there."""
    if resources.address == "local":
        return [this_machine()], measure_apart
    nodes = [*live_nodes(), *promised_nodes()]
    return nodes, measure_on_a_node(any(node.gpus for node in nodes))

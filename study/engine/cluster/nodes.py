"""The nodes of the connected cluster and what a trial gets on them.

They are the nodes of this moment, and those that the cluster's autoscaler may start.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ray
import torch
import yaml
from ray.util.placement_group import placement_group, remove_placement_group

from study.data.pairs import Pairs
from study.engine.cluster.connection import Say, alive, wait_until
from study.engine.forecast.capacity import Node, Slots, arrange, this_machine
from study.engine.forecast.probe import Measure, Probe, measure, measure_apart
from study.spec.resources import ResourcesSpec
from study.spec.trial_spec import TrialSpec

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")  # where `ray up` leaves the cluster file on the head


def live_nodes() -> list[Node]:
    """The nodes of this moment."""
    return [Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in alive()]


def promised_nodes(bootstrap: Path = BOOTSTRAP) -> list[Node]:
    """Worker nodes that the autoscaler may start.

    Args:
        bootstrap: The cluster file that `ray up` left. No node is promised without it, or where it does not
            say how large its nodes are.
    """
    try:
        cluster = yaml.safe_load(bootstrap.expanduser().read_text(encoding="utf-8"))
        most = int(cluster.get("max_workers", 0))
        nodes = []
        for name, kind in cluster["available_node_types"].items():
            resources, count = kind["resources"], min(most, int(kind.get("max_workers", most)))
            if name != cluster["head_node_type"]:
                nodes.append(Node(float(resources.get("CPU", 0)), float(resources.get("GPU", 0)), count))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return []
    return [node for node in nodes if node.cpus and node.count]


def has_gpu(address: str) -> bool:
    """Whether the cluster has a GPU or can start a node with one.

    Args:
        address: Address of the cluster; for `local`, which need not run, this machine is asked.
    """
    if address == "local":
        return torch.cuda.is_available()
    return any(node.gpus for node in (*live_nodes(), *promised_nodes()))


def await_a_node(say: Say) -> None:
    """Waits for a first worker where the cluster starts one by itself and nobody knows what it will have.

    Raises:
        ClusterError: No worker came.
    """
    if not promised_nodes():
        wait_until(lambda: any(node.cpus for node in live_nodes()), "its first worker", say)


def slots(resources: ResourcesSpec, gpu_share: float = 1.0, say: Say = lambda text: None) -> Slots:
    """What a trial gets on the connected cluster; waits for a first node where the autoscaler must start one.

    Args:
        resources: What the study file asks for.
        gpu_share: Part of a GPU that a trial needs by its measured memory, for a file that leaves it open.
        say: Prints what is waited for.

    Raises:
        ClusterError: Not even one trial fits, or the node that it needs does not come.
    """
    live = live_nodes()
    nodes = live if resources.address == "local" else [*live, *promised_nodes()]
    arranged = arrange(resources, nodes, gpu_share)
    if not arranged.room(live):
        _start_first_node(arranged, say)
    return replace(arranged, concurrent=arranged.room(live_nodes()))


def machines(resources: ResourcesSpec) -> tuple[list[Node], Measure]:
    """Nodes where a study's trials would run, and what runs a probe there.

    Args:
        resources: What the study file asks for; with the address `local` the one node is this machine.
    """
    if resources.address == "local":
        return [this_machine()], measure_apart
    nodes = [*live_nodes(), *promised_nodes()]
    with_gpu = any(node.gpus for node in nodes)
    return nodes, measure_on_a_node(with_gpu=with_gpu)


def measure_on_a_node(*, with_gpu: bool) -> Measure:
    """What runs probes on a node of the connected cluster.

    Args:
        with_gpu: Whether they run on a GPU of the node.
    """
    # A process of its own, which ends and frees its GPU.
    task = ray.remote(num_cpus=1, num_gpus=int(with_gpu), max_calls=1)(measure)

    def on_a_node(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
        try:
            return ray.get(task.remote(specs, pairs, threads))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    return on_a_node


def _start_first_node(slots: Slots, say: Say) -> None:
    """Asks the autoscaler for a node with room for a trial, by a placement group that waits for it.

    Raises:
        ClusterError: No such node came.
    """
    request = placement_group([slots.bundle] * slots.workers)
    try:
        wait_until(lambda: slots.room(live_nodes()) > 0, f"a node with {_words(slots)}", say)
    finally:
        remove_placement_group(request)


def _words(slots: Slots) -> str:
    gpus = f" and {slots.gpus_per_worker:g} GPUs" if slots.gpus_per_worker else ""
    return f"{slots.cpus_per_worker:g} CPUs{gpus}"

"""How many trials fit, on nodes that are there and on nodes that would come."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]  # made at import

from study.engine.cluster import growth
from study.engine.cluster.connection import await_true
from study.engine.cluster.growth import Growth, orphans
from study.engine.cluster.nodes import promised_nodes
from study.engine.forecast.capacity import Node, Slots, arrange, trials_on
from study.spec.errors import ClusterError
from study.spec.study_file import ResourcesSpec


@pytest.mark.parametrize(
    ("nodes", "workers", "cpus", "gpus", "trials"),
    [
        ([Node(8, 0)], 1, 1, 0, 8),
        ([Node(1, 0), Node(1, 0)], 1, 2, 0, 0),  # a worker does not stretch over two nodes
        ([Node(1, 0), Node(1, 0)], 2, 1, 0, 1),  # a trial may
        ([Node(8, 2)], 1, 2, 1, 2),
        ([Node(8, 2)], 1, 2, 0.5, 4),
        ([Node(16, 1)], 1, 1, 0.3333, 3),
        ([Node(4, 1, count=8), Node(0, 0)], 1, 4, 1, 8),
        ([Node(2, 0)], 1, 0.2, 0, 10),
    ],
)
def test_trials_on_nodes(nodes: list[Node], workers: int, cpus: float, gpus: float, trials: int) -> None:
    assert trials_on(nodes, workers, cpus, gpus) == trials


@pytest.mark.parametrize(
    ("asked", "nodes", "share", "cpus", "gpus", "concurrent"),
    [
        ({}, [Node(4, 0)], 1.0, 1.0, 0.0, 4),
        ({}, [Node(16, 2)], 1.0, 8.0, 1.0, 2),
        ({}, [Node(16, 2)], 0.25, 2.0, 0.25, 8),
        ({"gpus_per_worker": 0}, [Node(16, 2)], 0.25, 1.0, 0.0, 16),
        ({"gpus_per_worker": 0.5}, [Node(16, 2)], 1.0, 4.0, 0.5, 4),
        ({"concurrent": 3}, [Node(16, 0)], 1.0, 1.0, 0.0, 3),
        ({"workers": 2}, [Node(4, 2)], 1.0, 1.9, 1.0, 1),
        ({}, [Node(64, 8), Node(4, 1)], 1.0, 4.0, 1.0, 9),
    ],
)
def test_what_a_trial_gets(
    asked: dict[str, Any], nodes: list[Node], share: float, cpus: float, gpus: float, concurrent: int
) -> None:
    found = arrange(ResourcesSpec(**asked), nodes, share)
    assert (found.cpus_per_worker, found.gpus_per_worker, found.concurrent) == (
        pytest.approx(cpus),
        gpus,
        concurrent,
    )


def test_a_trial_that_fits_on_no_node_is_refused_with_what_there_is() -> None:
    with pytest.raises(
        ClusterError,
        match="one trial of 1 workers with 8 CPUs and 0 GPUs each, got nodes with 4 CPUs and 0 GPUs",
    ):
        arrange(ResourcesSpec(cpus_per_worker=8), [Node(4, 0), Node(4, 0)])


def test_nodes_to_come_are_read_from_the_file_that_ray_up_leaves(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    assert promised_nodes(file) == []
    kinds = {
        "head": {"resources": {"CPU": 0}},
        "gpu": {"resources": {"CPU": 4, "GPU": 1, "memory": 10**9}, "max_workers": 20},
        "unknown": {"resources": {}, "max_workers": 2},
    }
    file.write_text(
        yaml.safe_dump({"available_node_types": kinds, "head_node_type": "head", "max_workers": 8})
    )
    assert promised_nodes(file) == [Node(4, 1, 8)]
    file.write_text("!!python/object/apply:os.system [exit]")
    assert promised_nodes(file) == []


def test_waiting_is_said_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.engine.cluster.connection.alive", lambda: [{}])
    monkeypatch.setattr("study.engine.cluster.connection.time.sleep", lambda s: None)
    said: list[str] = []
    answers = iter([False, False, True])
    await_true(lambda: next(answers), "a node", said.append)
    assert len(said) == 1
    assert "waiting for the cluster to start a node" in said[0]
    with pytest.raises(ClusterError, match=r"must start a node within 0 minutes, got 1 nodes without it"):
        await_true(lambda: False, "a node", said.append, wait_s=0.0)


RUNNING, PENDING = SimpleNamespace(status="RUNNING"), SimpleNamespace(status="PENDING")
Bundles = list[dict[str, float]]


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> list[Bundles]:
    """The placement groups that wait."""
    groups: list[Bundles] = []

    def make(bundles: Bundles) -> Bundles:
        groups.append(bundles)
        return bundles

    monkeypatch.setattr(growth, "placement_group", make)
    monkeypatch.setattr(growth, "remove_placement_group", groups.remove)
    monkeypatch.setattr(growth, "LOOK_EVERY_S", 0.0)
    return groups


def test_wishes_bring_nodes_and_leave_them_to_trials(wishes: list[Bundles]) -> None:
    nodes, left = [Node(0, 0), Node(4, 1)], [10]
    growth = Growth(
        Slots(1, 4, 1, 1, None, elastic=True), lambda: left[0], lambda: nodes, lambda: [Node(4, 1, 3)]
    )
    growth.on_step_end(0, [PENDING])
    assert growth.room() == 1
    assert wishes == []  # the node is free: a wish would take the trial's place
    growth.on_step_end(1, [RUNNING])
    assert wishes == [[{"CPU": 4, "GPU": 1}]] * 2  # three nodes are promised, one is there
    nodes.append(Node(4, 1))
    assert growth.room() == 2
    assert wishes == []
    growth.on_step_end(2, [RUNNING, RUNNING])
    assert len(wishes) == 1
    left[0] = 0
    growth.on_step_end(3, [RUNNING, RUNNING])
    assert wishes == []


def test_a_cluster_whose_last_node_has_gone_wishes_for_one(wishes: list[Bundles]) -> None:
    growth = Growth(Slots(1, 4, 1, 1, None, elastic=True), lambda: 10, lambda: [Node(0, 0)], lambda: [])
    assert growth.room() == 0
    assert len(wishes) == 1


def test_one_wish_where_the_number_of_nodes_is_unknown_and_none_beyond_the_limit(
    wishes: list[Bundles],
) -> None:
    growth = Growth(Slots(2, 1, 0, 1, None, elastic=True), lambda: 10, lambda: [Node(3, 0)], lambda: [])
    growth.on_step_end(0, [RUNNING])
    assert [len(bundles) for bundles in wishes] == [2]
    growth.on_experiment_end([])
    assert wishes == []
    limited = Growth(
        Slots(1, 1, 0, 4, 4, elastic=True), lambda: 10, lambda: [Node(8, 0)], lambda: [Node(8, 0, 3)]
    )
    limited.on_step_end(0, [RUNNING] * 4)
    assert limited.room() == 4
    assert wishes == []


def test_a_cluster_of_this_machine_wishes_nothing(wishes: list[Bundles]) -> None:
    growth = Growth(
        Slots(1, 1, 0, 2, None), lambda: 10, lambda: pytest.fail("asked"), lambda: pytest.fail("asked")
    )
    assert growth.room() == 2
    assert wishes == []


def test_only_places_whose_creator_died_are_given_back() -> None:
    job, controller = b"\1\0\0\0", b"\7" * 12 + b"\1\0\0\0"

    def place(name: bytes, **changes: Any) -> bytes:
        row = {
            "creator_job_id": job,
            "creator_actor_id": controller,
            "creator_actor_dead": True,
            "state": 2,
            **changes,
        }
        whole: bytes = PlacementGroupTableData(placement_group_id=name * 18, **row).SerializeToString()
        return whole

    table = [
        place(b"a"),
        place(b"b", creator_actor_dead=False),
        place(b"c", state=PlacementGroupTableData.REMOVED),
        place(b"d", creator_job_id=b"\2\0\0\0"),
        place(b"e", creator_actor_id=b"\xff" * 16),  # the driver's own, which has no actor
        place(b"f", state=PlacementGroupTableData.PENDING),
    ]
    assert [group.id.binary()[:1] for group in orphans(table, job.hex())] == [b"a", b"f"]

"""Requests for nodes while a study runs, and what lost trials leave behind."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]  # made at import
from ray.tune.experiment import Trial

from study.engine.cluster import growth as growth_module
from study.engine.cluster.growth import GroupPlace, Growth, places_of
from study.engine.forecast.capacity import Node, Slots

RUNNING = cast(Trial, SimpleNamespace(status="RUNNING"))
PENDING = cast(Trial, SimpleNamespace(status="PENDING"))
ONE_GPU = Slots(workers=1, cpus_per_worker=4, gpus_per_worker=1, concurrent=1, elastic=True)
Bundles = list[dict[str, float]]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Bundles]:
    """The placement groups that wait."""
    groups: list[Bundles] = []

    def make(bundles: Bundles) -> Bundles:
        groups.append(bundles)
        return bundles

    monkeypatch.setattr(growth_module, "placement_group", make)
    monkeypatch.setattr(growth_module, "remove_placement_group", groups.remove)
    monkeypatch.setattr(growth_module, "LOOK_EVERY_S", 0.0)
    return groups


def test_requests_bring_nodes_and_leave_them_to_trials(requests: list[Bundles]) -> None:
    nodes, left = [Node(0, 0), Node(4, 1)], [10]
    growth = Growth(ONE_GPU, lambda: left[0], lambda: nodes, lambda: [Node(4, 1, 3)])
    growth.on_step_end(0, [PENDING])
    assert growth.room() == 1
    assert requests == []  # the node is free: a request would take the trial's place
    growth.on_step_end(1, [RUNNING])
    assert requests == [[{"CPU": 4, "GPU": 1}]] * 2  # three nodes are promised, one is there
    nodes.append(Node(4, 1))
    assert growth.room() == 2
    assert requests == []
    growth.on_step_end(2, [RUNNING, RUNNING])
    assert len(requests) == 1
    left[0] = 0
    growth.on_step_end(3, [RUNNING, RUNNING])
    assert requests == []


def test_a_cluster_whose_last_node_has_gone_requests_one(requests: list[Bundles]) -> None:
    growth = Growth(ONE_GPU, lambda: 10, lambda: [Node(0, 0)], lambda: [])
    assert growth.room() == 0
    assert len(requests) == 1


def test_one_node_is_requested_where_nobody_knows_how_many_may_come(
    requests: list[Bundles], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    two_workers = Slots(workers=2, cpus_per_worker=1, gpus_per_worker=0, concurrent=1, elastic=True)
    groups: list[GroupPlace] = []
    growth = Growth(two_workers, lambda: 10, lambda: [Node(3, 0)], lambda: [], lambda: groups)
    growth.on_step_end(0, [RUNNING])
    assert requests == []  # the trial's workers have no place yet, and a request could take it
    assert "A trial has waited" not in caplog.text
    monkeypatch.setattr(growth_module, "WAITING_IS_SAID_S", 0.0)
    growth.on_step_end(0, [RUNNING])
    growth.on_step_end(0, [RUNNING])
    assert caplog.text.count("A trial has waited 0 s for 2 workers with 1 CPU each") == 1
    groups.append(GroupPlace(cast(Any, None), placed=False, creator_dead=False))
    growth.on_step_end(1, [RUNNING])
    assert requests == []
    groups[0] = GroupPlace(cast(Any, None), placed=True, creator_dead=False)
    growth.on_step_end(2, [RUNNING])
    assert [len(bundles) for bundles in requests] == [2]
    growth.on_experiment_end([])
    assert requests == []


def test_nothing_is_requested_beyond_the_limit(requests: list[Bundles]) -> None:
    limited = Slots(workers=1, cpus_per_worker=1, gpus_per_worker=0, concurrent=4, limit=4, elastic=True)
    growth = Growth(limited, lambda: 10, lambda: [Node(8, 0)], lambda: [Node(8, 0, 3)])
    growth.on_step_end(0, [RUNNING] * 4)
    assert growth.room() == 4
    assert requests == []


def test_a_cluster_of_this_machine_requests_nothing(requests: list[Bundles]) -> None:
    def no_nodes() -> list[Node]:
        pytest.fail("nobody need ask for nodes")

    fixed = Slots(workers=1, cpus_per_worker=1, gpus_per_worker=0, concurrent=2)
    growth = Growth(fixed, lambda: 10, no_nodes, no_nodes)
    assert growth.room() == 2
    assert requests == []


def test_the_groups_of_actors_of_this_job_are_those_of_trials() -> None:
    job, controller = b"\1\0\0\0", b"\7" * 12 + b"\1\0\0\0"

    def record(name: bytes, **changes: Any) -> bytes:
        row = {
            "creator_job_id": job,
            "creator_actor_id": controller,
            "creator_actor_dead": True,
            "state": PlacementGroupTableData.CREATED,
            **changes,
        }
        whole: bytes = PlacementGroupTableData(placement_group_id=name * 18, **row).SerializeToString()
        return whole

    table = [
        record(b"a"),
        record(b"b", creator_actor_dead=False),
        record(b"c", state=PlacementGroupTableData.REMOVED),
        record(b"d", creator_job_id=b"\2\0\0\0"),
        record(b"e", creator_actor_id=b"\xff" * 16),  # the driver's own, which has no actor
        record(b"f", state=PlacementGroupTableData.PENDING),
    ]
    found = [
        (group.handle.id.binary()[:1], group.placed, group.creator_dead)
        for group in places_of(table, job.hex())
    ]
    assert found == [(b"a", True, True), (b"b", True, False), (b"f", False, True)]

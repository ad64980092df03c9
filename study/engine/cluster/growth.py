"""Room for trials as nodes come and go while a study runs, and what lost trials leave behind on them."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray import PlacementGroupID, tune
from ray._private import state as ray_state
from ray.core.generated import gcs_pb2
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from study.engine.cluster.nodes import live_nodes, promised_nodes
from study.engine.forecast.capacity import Node, Slots

LOOK_EVERY_S = 1.0
RUNNING = "RUNNING"  # Tune's word for a trial whose process works


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
    left = [
        row
        for row in rows
        if row.creator_actor_dead and row.creator_actor_id.strip(b"\xff") and row.creator_job_id.hex() == job
    ]
    return [
        PlacementGroup(PlacementGroupID(row.placement_group_id)) for row in left if row.state != row.REMOVED
    ]


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

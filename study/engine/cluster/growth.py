"""Room for trials as nodes come and go while a study runs, and what lost trials leave behind on them."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import ray
from ray import PlacementGroupID, tune
from ray._private import state as ray_state
from ray.core.generated import gcs_pb2
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from study.engine.cluster.nodes import live_nodes, promised_nodes
from study.engine.cluster.snapshots import NotInSnapshots
from study.engine.forecast.capacity import Node, Slots

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
WAITING_IS_SAID_S = 60.0
RUNNING = "RUNNING"  # Tune's word for a trial whose process works


class FreeAbandoned(NotInSnapshots, tune.Callback):
    """Removes the placement groups of worker groups whose controller died before it could remove them.

    Ray would keep them, and what they hold of the nodes, until the driver ends.
    """

    def __init__(self) -> None:
        self._looked = 0.0

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Looks once a second; Tune's loop calls this several times a second."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        for group in group_places():
            if group.creator_dead:
                remove_placement_group(group.handle)


@dataclass(frozen=True)
class GroupPlace:
    """The placement group of a trial of several workers, which an actor of Ray Train has made.

    Attributes:
        handle: The group as Ray takes it.
        placed: Whether nodes hold it; else it waits for room.
        creator_dead: Whether the actor that made it has died, so that nobody will remove it.
    """

    handle: PlacementGroup
    placed: bool
    creator_dead: bool


def group_places() -> list[GroupPlace]:
    """The places of the worker groups that trials of this driver have now."""
    table = ray_state.state._connect_and_get_accessor().get_placement_group_table()
    return places_of(table, ray.get_runtime_context().get_job_id())


def places_of(table: Iterable[bytes], job: str) -> list[GroupPlace]:
    """The placement groups that actors of a job have made and that are not removed.

    Args:
        table: Ray's own record of each placement group.
        job: Id of the job.
    """
    record_type = gcs_pb2.PlacementGroupTableData  # type: ignore[attr-defined]  # protobuf makes it at import
    groups = []
    for row in table:
        record = record_type.FromString(row)
        made_by_actor = bool(record.creator_actor_id.strip(b"\xff"))
        if made_by_actor and record.state != record.REMOVED and record.creator_job_id.hex() == job:
            handle = PlacementGroup(PlacementGroupID(record.placement_group_id))
            placed = record.state == record.CREATED
            groups.append(GroupPlace(handle, placed=placed, creator_dead=record.creator_actor_dead))
    return groups


class Growth(NotInSnapshots, tune.Callback):
    """Room for trials as nodes come and go, and requests for more nodes, which an autoscaler sees.

    A request is a placement group that waits. It ends with this process, unlike `request_resources`, which
    would keep machines that are paid for after a study was killed. There is no request while a node is
    free, or while the worker group of a trial waits, since it would take the place of a trial there.

    Args:
        slots: What a trial gets.
        num_left: Number of trials that were not started yet.
        nodes: The nodes of this moment.
        promised: Kinds of nodes that the autoscaler may start.
        groups: The places of the worker groups of trials.
    """

    def __init__(
        self,
        slots: Slots,
        num_left: Callable[[], int],
        nodes: Callable[[], list[Node]] = live_nodes,
        promised: Callable[[], list[Node]] = promised_nodes,
        groups: Callable[[], list[GroupPlace]] = group_places,
    ) -> None:
        self._slots, self._num_left = slots, num_left
        self._nodes, self._promised, self._groups = nodes, promised, groups
        self._requests: list[PlacementGroup] = []
        self._room, self._running, self._looked = slots.concurrent, 0, 0.0
        self._waits_since: float | None = None  # when a trial was first seen without its place; then infinite

    def room(self) -> int:
        """Trials that may run at a time now."""
        self._look()
        return self._room

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Counts the running trials; Tune's loop calls this several times a second."""
        if self._slots.elastic:
            self._running = sum(trial.status == RUNNING for trial in trials)
            self._look()

    def on_experiment_end(self, trials: list[Trial], **info: object) -> None:
        """Removes all requests with the end of the search."""
        self._request(0)

    def _look(self) -> None:
        if not self._slots.elastic or time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        self._room = self._slots.room(self._nodes())
        all_taken = self._running >= self._room and self._all_placed()
        self._request(self._num_wanted() if all_taken else 0)

    def _all_placed(self) -> bool:
        """Whether each running trial has its place.

        Tune counts a trial of several workers as running as soon as the small process starts that asks for
        their group.
        """
        if self._slots.workers == 1:
            return True
        placed = sum(group.placed and not group.creator_dead for group in self._groups())
        if placed >= self._running:
            self._waits_since = None
            return True
        now = time.monotonic()
        self._waits_since = self._waits_since or now
        if now - self._waits_since >= WAITING_IS_SAID_S:
            waited, self._waits_since = now - self._waits_since, math.inf
            each = " and ".join(f"{number:g} {kind}" for kind, number in self._slots.bundle.items())
            LOG.warning(
                "A trial has waited %.0f s for %d workers with %s each. `ray status` shows who holds them.",
                waited,
                self._slots.workers,
                each,
            )
        return False

    def _num_wanted(self) -> int:
        """Number of requests that are worth making.

        There is one for each trial that the promised nodes hold beyond the live ones. Where no node is
        promised, nobody knows how many may come, and there is one request.
        """
        most = self._slots.room(self._promised()) or self._room + 1
        if self._slots.limit is not None:
            most = min(most, self._slots.limit)
        return max(0, min(most - self._room, self._num_left()))

    def _request(self, num: int) -> None:
        """Makes or removes requests until there are so many, each for one trial."""
        while len(self._requests) > num:
            remove_placement_group(self._requests.pop())
        while len(self._requests) < num:
            self._requests.append(placement_group([self._slots.bundle] * self._slots.workers))

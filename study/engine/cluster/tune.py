"""Ray Tune drives the plan.

A searcher hands out the orders, a scheduler asks which trials are to stop, and callbacks tell how trials
ended.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.engine.cluster.connection import require_own_cluster
from study.engine.cluster.growth import FreeAbandoned, Growth
from study.engine.cluster.snapshots import NotInSnapshots
from study.engine.cluster.trainer import STOP_REQUESTS, Common, StopRequests, trainable
from study.engine.forecast.capacity import Slots
from study.engine.orders.messages import EndMessage, EpochMessage
from study.engine.search.conductor import Conductor
from study.evidence.records import Outcome


class _Orders(NotInSnapshots, Searcher):
    """Tune's searcher: gives the conductor's orders as configurations.

    Args:
        conductor: Has the orders.
        growth: Knows how many trials may run.
    """

    def __init__(self, conductor: Conductor, growth: Growth) -> None:
        super().__init__(metric="value", mode="max")
        self._conductor, self._growth = conductor, growth

    def suggest(self, trial_id: str) -> Any:  # Ray's own type leaves out FINISHED, which is a text
        if len(self._conductor.orders) >= self._growth.room():
            return None
        order = self._conductor.next()
        if order is None:  # a trial that runs now may come back: its process or its node may die
            return Searcher.FINISHED if self._conductor.plan.done else None
        return {"order": order.to_json()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, object] | None = None, error: bool = False
    ) -> None:
        """Does nothing: `_Endings` tells the conductor, since it knows the text of the error."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the records are the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: the records are the memory."""


class _Stopping(NotInSnapshots, FIFOScheduler):
    """Tune's scheduler: stops the trials that the conductor stops.

    Args:
        conductor: Has the orders.
        one_worker: Whether a trial is one process. Its last message ends it then, which saves a round to its
            process and back. A worker group must be left to end by itself.
    """

    def __init__(self, conductor: Conductor, *, one_worker: bool) -> None:
        super().__init__()
        self._conductor, self._one_worker = conductor, one_worker

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, object]) -> str:
        epoch = EpochMessage.unpack(result)
        if epoch is None:
            return TrialScheduler.STOP if self._one_worker else TrialScheduler.CONTINUE
        stops = self._conductor.epoch(key_of(trial), epoch.record, judged=epoch.judged)
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE


class _Endings(NotInSnapshots, tune.Callback):
    """Tune's callback: tells the conductor how each trial ended."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        self._conductor.ended(key_of(trial), EndMessage.unpack(trial.last_result or {}))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Takes the error of a process or a node; what a training raises is a result of the trial."""
        error = trial.get_error()
        text = str(error).strip() if error else "the trial's process ended"
        memory = isinstance(error, OutOfMemoryError) or "OutOfMemoryError" in text
        outcome = Outcome.OUT_OF_MEMORY if memory else Outcome.ERROR
        self._conductor.lost(key_of(trial), outcome, text.splitlines()[-1])


class _Heartbeat(NotInSnapshots, tune.Callback):
    """Tune's callback: ends the search with the cluster of this machine, where Tune would wait for ever."""

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        require_own_cluster()


def key_of(trial: Trial) -> str:
    """The key of a Tune trial's order."""
    key: str = json.loads(trial.config["order"])["key"]
    return key


def run_plan(conductor: Conductor, slots: Slots, tune_folder: str, stopping: Callable[[], None]) -> None:
    """Runs the plan to its end, or until Ctrl-C; what is unfinished then stays pending.

    Args:
        conductor: The plan with its records.
        slots: What each trial gets, and how many trials run at a time.
        tune_folder: Where Tune keeps its own snapshots, which nothing here reads; the end of the
            search deletes them.
        stopping: Called at once on Ctrl-C.

    Raises:
        ClusterError: The cluster on this machine has died.
    """
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    try:
        _tuner(conductor, slots, tune_folder, name).fit()
    except KeyboardInterrupt:
        stopping()
    finally:
        shutil.rmtree(f"{tune_folder}/{name}", ignore_errors=True)


def _tuner(conductor: Conductor, slots: Slots, tune_folder: str, name: str) -> tune.Tuner:
    growth = Growth(slots, lambda: conductor.plan.num_left)
    callbacks: list[tune.Callback] = [_Heartbeat(), _Endings(conductor), growth]
    one_worker = slots.workers == 1
    if one_worker:
        resources = {"cpu": slots.cpus_per_worker, "gpu": slots.gpus_per_worker}
    else:  # the process of the trial only waits for its worker group
        resources = {"cpu": 0.05}
        callbacks.append(FreeAbandoned())
    common = Common(
        site=conductor.site.to_json(),
        workers=slots.workers,
        cpus_per_worker=slots.cpus_per_worker,
        gpus_per_worker=slots.gpus_per_worker,
        train_storage=f"{tune_folder}/{name}/train",  # deleted with the rest of the folder
    )
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, common=asdict(common)), resources),
        tune_config=tune.TuneConfig(
            search_alg=_Orders(conductor, growth),
            scheduler=_Stopping(conductor, one_worker=one_worker),
            num_samples=-1,  # the searcher says when it is done: an order may come back
            reuse_actors=one_worker,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=key_of,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=tune_folder,
            verbose=0,
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def group_stopper() -> Callable[[str], None]:
    """Starts the actor that trials of several workers ask, and gives the function that stops a trial.

    Returns:
        Takes the key of a trial.
    """
    # On this node: the end of another one must not end the study.
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0)(StopRequests)
    requests = actor.options(name=STOP_REQUESTS, get_if_exists=True, scheduling_strategy=this_node).remote()

    def stop(key: str) -> None:
        ray.get(requests.stop.remote(key))

    return stop

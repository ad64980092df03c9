"""Ray Tune drives the plan: a searcher that hands out its orders, a scheduler that asks it whom to stop, a witness that records."""

import json
from collections.abc import Callable
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
from study.engine.cluster.growth import Growth, Orphans
from study.engine.cluster.trainer import STOP_REQUESTS, StopRequests, trainable
from study.engine.forecast.capacity import Slots
from study.engine.search.conductor import Conductor


class _Orders(Searcher):
    """Tune's searcher: the conductor's orders as configurations."""

    def __init__(self, conductor: Conductor, shared: dict[str, Any], growth: Growth) -> None:
        super().__init__(metric="value", mode="max")
        self._conductor, self._shared, self._growth = conductor, shared, growth

    def suggest(self, trial_id: str) -> Any:
        if len(self._conductor.orders) >= self._growth.room():
            return None
        order = self._conductor.next()
        if order is None:  # what runs now may come back: its process or its node may die
            return Searcher.FINISHED if self._conductor.plan.done else None
        return {**self._shared, "order": json.dumps(order.dump())}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The witness tells the conductor; it knows the error's text."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the records are the memory."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


class _Stopping(FIFOScheduler):
    """Tune's scheduler: whom the conductor stops, Tune stops."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        stops = self._conductor.result(key_of(trial), result)
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


class _Witness(tune.Callback):
    """Tune's callback: how each trial ended, with the error's text."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._conductor.ended(key_of(trial), dict(trial.last_result or {}))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        error = (
            trial.get_error()
        )  # of the process or the node: what a training raises is a result of the trial
        text = str(error).strip() if error else "the trial's process ended"
        memory = isinstance(error, OutOfMemoryError) or "OutOfMemoryError" in text
        self._conductor.lost(key_of(trial), "out_of_memory" if memory else "error", text.splitlines()[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


class _Heartbeat(tune.Callback):
    """Tune's callback: ends the search with the cluster of this machine, where Tune would wait for ever."""

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        require_own_cluster()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


def key_of(trial: Trial) -> str:
    """The order's key of a Tune trial."""
    key: str = json.loads(trial.config["order"])["key"]
    return key


def run_plan(conductor: Conductor, slots: Slots, tune_folder: str, stopping: Callable[[], None]) -> None:
    """Runs the plan to its end, or until Ctrl-C; what is unfinished then stays pending.

    Args:
        conductor: the plan with its records.
        slots: what each trial gets and how many run at a time.
        tune_folder: where Tune keeps its own snapshots, which nothing here reads.
        stopping: called at once on Ctrl-C.

    Raises:
        ClusterError: the cluster on this machine has died.
    """
    shared = {
        "site": json.dumps(vars(conductor.site)),
        "workers": slots.workers,
        "cpus_per_worker": slots.cpus_per_worker,
        "gpus_per_worker": slots.gpus_per_worker,
        "train_storage": f"{tune_folder}/train",
    }
    alone, growth = slots.workers == 1, Growth(slots, lambda: conductor.plan.num_left)
    resources = {"cpu": slots.cpus_per_worker, "gpu": slots.gpus_per_worker} if alone else {"cpu": 0.05}
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=_Orders(conductor, shared, growth),
            scheduler=_Stopping(conductor),
            num_samples=-1,  # the searcher says when it is done: an order may come back
            reuse_actors=alone,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=key_of,
        ),
        run_config=tune.RunConfig(
            name=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f"),
            storage_path=tune_folder,
            verbose=0,
            callbacks=[_Heartbeat(), _Witness(conductor), growth, *([] if alone else [Orphans()])],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )
    try:
        tuner.fit()
    except KeyboardInterrupt:
        stopping()


def group_stopper() -> Callable[[str], None]:
    """Starts the actor that trials of several workers ask, and gives the function that tells it."""
    here = NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )  # no other node's end must end the study
    stop_requests = StopRequests.options(
        name=STOP_REQUESTS, get_if_exists=True, scheduling_strategy=here
    ).remote()  # type: ignore[attr-defined]
    return lambda key: ray.get(stop_requests.stop.remote(key))

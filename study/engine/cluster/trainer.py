"""A trial as Ray runs it, by Ray Train: in this process for one worker, as a worker group for several.

The modules that train are imported in the functions that call them: the process that only waits for a worker
group starts in half the time without them.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import ray
import torch
from ray import train, tune
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model
from ray.tune.integration.ray_train import TuneReportCallback
from torch import nn

from study.engine.orders.messages import Ending, EndMessage, EpochMessage
from study.engine.orders.trial_order import Site, TrialOrder
from study.engine.training.workers import WorkerGroup

Config = dict[str, Any]  # plain data, as Tune and Train hand it to a process
STOP_REQUESTS = "stop_requests"
GROUP_DID_NOT_START = "WorkerGroupStartup"  # how the names of Ray's own errors begin
STARTS = 10  # of a worker group; each waits for room, a minute at most


@dataclass(frozen=True, kw_only=True)
class Common:
    """What all trials of a search are given; Ray keeps it once, and not with each of its trials.

    Attributes:
        site: JSON text of the site.
        workers: Number of processes that train the network together.
        cpus_per_worker: CPU cores of each process.
        gpus_per_worker: GPUs of each process.
        train_storage: Folder where Ray Train keeps its own snapshots, which nothing reads.
    """

    site: str
    workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    train_storage: str


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Common):
    """What the process of a trial is given.

    Attributes:
        order: JSON text of the order.
    """

    order: str


class StopRequests:
    """Which trials of several workers are to stop.

    An actor: the search notes a stop here, and the trials ask for it after each epoch.
    """

    def __init__(self) -> None:
        self._stopped: set[str] = set()

    @ray.method
    def stop(self, key: str) -> None:
        """Notes that a trial is to stop."""
        self._stopped.add(key)

    @ray.method
    def is_stopped(self, key: str) -> bool:
        """Whether a trial is to stop."""
        return key in self._stopped


def trainable(config: Config, common: Config) -> None:
    """A Tune function trial.

    With one worker the training shares this process, which goes on with the next trial, so torch and the
    data are loaded once. Tune ends a pruned trial by ending its thread inside `tune.report`, and no group
    must be cleaned up. The workers of a group ask instead whether they are to stop, and return by
    themselves: a group that is killed would keep its place in the cluster.

    Args:
        config: The trial's own part of a `TrialConfig`, as plain data.
        common: The other part.
    """
    trial = TrialConfig(**config, **common)
    whole = asdict(trial)
    if trial.workers == 1:
        TorchTrainer(_alone, train_loop_config=whole, scaling_config=ScalingConfig(num_workers=0)).fit()
        return
    resources = {"CPU": trial.cpus_per_worker}
    if trial.gpus_per_worker:
        resources["GPU"] = trial.gpus_per_worker
    reason: str | None = None
    for _ in range(STARTS):
        trainer = TorchTrainer(
            _in_group,
            train_loop_config=whole,
            scaling_config=ScalingConfig(
                num_workers=trial.workers, use_gpu=trial.gpus_per_worker > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                name=json.loads(trial.order)["key"],
                storage_path=trial.train_storage,
                callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # Ray's own example does this
                # A controller does not free the workers that survive a start in which another one dies: its
                # next start would wait for their place, which `FreeAbandoned` frees when the controller ends.
                failure_config=FailureConfig(controller_failure_limit=0),  # type: ignore[call-arg]
            ),
        )
        reason = _failure_of_start(trainer)
        if reason is None:
            return
    tune.report(EndMessage(Ending.NOT_STARTED, message=str(reason)).pack())


def _failure_of_start(trainer: TorchTrainer) -> str | None:
    """Trains; why the worker group did not start, None where it did."""
    try:
        trainer.fit()
    except ControllerError as error:
        failure = error.controller_failure
        if not type(failure).__name__.startswith(GROUP_DID_NOT_START):
            raise
        return str(failure).split(". ")[0]
    return None


def _alone(config: Config) -> None:
    from study.engine.training.trial import run_order

    trial = TrialConfig(**config)
    _set_threads(trial)
    on_gpu = trial.gpus_per_worker > 0 and torch.cuda.is_available()
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")

    def report(epoch: EpochMessage) -> bool:
        tune.report(epoch.pack())
        return False

    order, site = TrialOrder.from_json(trial.order), Site.from_json(trial.site)
    tune.report(run_order(order, site, report, device).pack())


def _in_group(config: Config) -> None:
    from study.engine.training.trial import run_order

    trial = TrialConfig(**config)
    _set_threads(trial)
    context = train.get_context()
    group = WorkerGroup(context.get_world_rank(), context.get_world_size())
    order, site = TrialOrder.from_json(trial.order), Site.from_json(trial.site)
    stop_requests = ray.get_actor(STOP_REQUESTS)

    def report(epoch: EpochMessage) -> bool:
        train.report(epoch.pack())
        return bool(ray.get(stop_requests.is_stopped.remote(order.key)))

    last = run_order(order, site, report, train.torch.get_device(), group, _in_parallel)
    train.report(last.pack())


def _set_threads(trial: TrialConfig) -> None:
    torch.set_num_threads(max(1, int(trial.cpus_per_worker)))


def _in_parallel(net: nn.Module) -> nn.Module:
    """The network as one of several copies that are trained as one.

    On GPUs the copies also share their batch statistics. torch has no such layer for CPUs, where each copy
    sees the statistics of its own part of a batch.
    """
    on_gpu = next(net.parameters()).is_cuda
    if on_gpu:
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    # A metric loss leaves the head without gradient, which data parallelism must know.
    parallel: nn.Module = prepare_model(net, parallel_strategy_kwargs={"find_unused_parameters": True})
    return parallel

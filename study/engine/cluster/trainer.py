"""A trial as Ray runs it: Ray Train's TorchTrainer, in this process for one device, as a worker group for several.

What trains is imported where it is called: the process of a worker group's trial only waits, and starts in half the time without.
"""

import gc
import json
from typing import Any

import ray
import torch
from ray import train, tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model
from ray.tune.integration.ray_train import TuneReportCallback
from torch import nn

from study.engine.orders.trial_order import Site, TrialOrder
from study.engine.training.workers import WorkerGroup

Config = dict[str, Any]
STOP_REQUESTS = "stop_requests"


@ray.remote(num_cpus=0)
class StopRequests:
    """Which trials of several workers are to stop: the search says so here, and they ask after each epoch."""

    def __init__(self) -> None:
        self._stopped: set[str] = set()

    def stop(self, key: str) -> None:
        """Notes that a trial is to stop."""
        self._stopped.add(key)

    def is_stopped(self, key: str) -> bool:
        """Whether a trial is to stop."""
        return key in self._stopped


def trainable(config: Config) -> None:
    """A Tune function trial.

    In local mode the training shares this process, which lives on for the next trial, so torch and the data are loaded
    once. Tune ends a pruned trial by ending its thread inside `tune.report`; there is no group to clean up. A worker
    group instead asks for the verdict and returns by itself: a killed one would keep its place in the cluster.

    Args:
        config: JSON texts `order` and `site`; `workers`, `cpus_per_worker`, `gpus_per_worker`.
    """
    if config["workers"] == 1:
        TorchTrainer(_alone, train_loop_config=config, scaling_config=ScalingConfig(num_workers=0)).fit()
        return
    key = json.loads(config["order"])["key"]
    resources = {
        "CPU": config["cpus_per_worker"],
        **({"GPU": config["gpus_per_worker"]} if config["gpus_per_worker"] else {}),
    }
    TorchTrainer(
        _in_group,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=config["workers"],
            use_gpu=config["gpus_per_worker"] > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=key,
            storage_path=config["train_storage"],
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # Ray's own example does this
        ),
    ).fit()


def _alone(config: Config) -> None:
    from study.engine.training.trial import run_order

    if gc.get_freeze_count() == 0:
        gc.freeze()  # the modules stay, so looking for what the last trial left need not pass over their objects each time
    torch.set_num_threads(max(1, int(config["cpus_per_worker"])))
    device = (
        torch.device("cuda", 0)
        if config["gpus_per_worker"] and torch.cuda.is_available()
        else torch.device("cpu")
    )

    def report(row: dict[str, Any]) -> bool:
        tune.report({"state": "running", **row})
        return False

    tune.report(
        run_order(
            TrialOrder(**json.loads(config["order"])), Site(**json.loads(config["site"])), report, device
        )
    )


def _in_group(config: Config) -> None:
    from study.engine.training.trial import run_order

    torch.set_num_threads(max(1, int(config["cpus_per_worker"])))
    context = train.get_context()
    group = WorkerGroup(context.get_world_rank(), context.get_world_size())
    order = TrialOrder(**json.loads(config["order"]))
    stop_requests = ray.get_actor(STOP_REQUESTS)

    def report(row: dict[str, Any]) -> bool:
        train.report({"state": "running", **row})
        return bool(ray.get(stop_requests.is_stopped.remote(order.key)))

    last = run_order(
        order,
        Site(**json.loads(config["site"])),
        report,
        train.torch.get_device(),
        group,
        _in_parallel,
    )
    train.report(last)


def _in_parallel(net: nn.Module) -> nn.Module:
    """The network as one of several copies that are trained as one, batch statistics included where there are GPUs."""
    if next(
        net.parameters()
    ).is_cuda:  # torch has no such layer for CPUs, where each copy sees the statistics of its own part
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    # A metric loss leaves the head without gradient, which data parallelism must be told.
    parallel: nn.Module = prepare_model(net, parallel_strategy_kwargs={"find_unused_parameters": True})
    return parallel

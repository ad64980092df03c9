"""The cluster: joined or started on this machine, quietly, and left clean."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
import torch

from study.spec.errors import StudyError
from study.spec.study_file import ResourcesSpec

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing about a study leaves the machine
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_worker_niceness": "0",  # Ray's own default starves trials on a shared machine
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # one report a poll: the default would cost 2 s an epoch
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "-1",
    "PYTHONWARNINGS": "ignore",
    "MALLOC_ARENA_MAX": "1",  # a trial process trains network after network: what one freed, the next must find
}


class ClusterError(StudyError):
    """The cluster cannot be joined or cannot run a trial."""


@dataclass(frozen=True)
class Slots:
    """What a trial gets and how many run at a time.

    Attributes:
        workers: processes of one trial.
        cpus_per_worker: CPU cores of each.
        gpus_per_worker: GPUs of each.
        concurrent: trials at a time.
    """

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    concurrent: int


@contextmanager
def connected(address: str, workers: int, log: Path) -> Iterator[None]:
    """Joins the cluster, or starts one on this machine that ends with the block.

    Args:
        address: `local`, `auto` or `host:port`.
        workers: processes of one trial.
        log: file for what Ray says.

    Raises:
        ClusterError: nothing answers at the address.
    """
    os.environ.update({key: value for key, value in QUIET.items() if key not in os.environ})
    if address not in ("local", "auto"):
        _require_listener(address)
    # Train's placement groups of worker groups are cleaned up through the dashboard's state API; one-device trials have none.
    dashboard = workers > 1 if address == "local" else None
    with _logging_to(log):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(address, str(error).splitlines()[0]) from None
        try:
            yield
        finally:
            ray.shutdown()


def _require_listener(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, reason: str) -> ClusterError:
    return ClusterError(f"`resources.address`: must be `local`, `auto` or the address of a running cluster, got `{address}`: {reason}")


def has_gpu(address: str) -> bool:
    """Whether the cluster has a GPU; for one on this machine, whether the machine has."""
    return torch.cuda.is_available() if address == "local" else bool(ray.cluster_resources().get("GPU", 0) > 0)


def slots(resources: ResourcesSpec) -> Slots:
    """What a trial gets on the connected cluster.

    Raises:
        ClusterError: not even one trial fits.
    """
    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    wanted_gpus = resources.gpus_per_worker if resources.gpus_per_worker is not None else (1.0 if gpus else 0.0)
    wanted_cpus = resources.cpus_per_worker
    if wanted_cpus is None:
        by_gpu = gpus / wanted_gpus if wanted_gpus else cpus
        wanted_cpus = max(1.0, float(int(cpus / max(1.0, by_gpu))))
    fits = cpus / (wanted_cpus * resources.workers)
    if wanted_gpus:
        fits = min(fits, gpus / (wanted_gpus * resources.workers))
    if fits < 1:
        raise ClusterError(
            f"`resources`: the cluster must hold one trial of {resources.workers} workers with {wanted_cpus:g} CPUs "
            f"and {wanted_gpus:g} GPUs each, got {cpus:g} CPUs and {gpus:g} GPUs. Ask for less, or add nodes."
        )
    if resources.workers > 1:
        wanted_cpus = max(0.1, wanted_cpus - 0.1)  # leaves room for the trial's own small driver process
    return Slots(resources.workers, wanted_cpus, wanted_gpus, min(resources.concurrent or int(fits), int(fits)))


@contextmanager
def _logging_to(log: Path) -> Iterator[None]:
    """Sends what Ray, Tune and Optuna log to a file instead of the console."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "optuna", "torch")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()

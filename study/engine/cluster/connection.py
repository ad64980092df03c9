"""The cluster: joined or started on this machine, quietly, privately, and left clean."""

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.engine.cluster.token import keep_token_private, token_path
from study.spec.errors import ClusterError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing about a study leaves the machine
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_worker_niceness": "0",  # Ray's own default starves trials on a shared machine
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # one report a poll: the default would cost 2 s an epoch
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # what is unfinished stays pending anyway, so Ctrl-C need not wait for it
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the plan takes the values, not Tune
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # the search itself asks for no more trials than there is room for
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "-1",
    "PYTHONWARNINGS": "ignore",
    "MALLOC_ARENA_MAX": "1",  # a trial process trains network after network: what one freed, the next must find
}
DRIVER = "driver.pid"
FIRST_NODE_WAIT_S = 1200.0  # a machine of a cloud with its environment takes five to ten minutes

Say = Callable[[str], None]
Answer = TypeVar("Answer")


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
    # Under `uv run` Ray would send the whole project to every worker process and start each through uv; the environment is there already.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    keep_token_private(token_path())
    with _logging_to(log):
        if address == "local":
            with _on_this_machine(workers):
                yield
            return
        if address != "auto":
            _require_listener(address)
        _init(address)
        try:
            yield
        finally:
            ray.shutdown()


def alive() -> list[dict[str, Any]]:
    """Ray's own description of each live node."""
    return [node for node in ray.nodes() if node["Alive"]]


def require_own_cluster() -> None:
    """The raylet of a cluster that this process started lives; with a dead one Ray would wait for another machine.

    Raises:
        ClusterError: it has ended.
    """
    node = ray_worker._global_node
    dead: list[tuple[str, subprocess.Popen[bytes]]] = [] if node is None else node.dead_processes()
    for name, process in dead:
        if name == ray_constants.PROCESS_TYPE_RAYLET:
            raise ClusterError(
                f"`resources.address`: the cluster on this machine must live until the study ends, got the end of its process "
                f"`{name}` (code {process.returncode}), as when the machine has no memory left. Finished trials are kept, "
                "and the same command goes on."
            )


def ask_each_node(question: Callable[[], Answer], wait_s: float = 60.0) -> dict[str, Answer | ClusterError]:
    """Runs a function on every live node, also on one whose cores are taken.

    Args:
        question: importable on the nodes.
        wait_s: longest wait for all of them.

    Returns:
        By the node's address and port what it says, or why it says nothing.
    """
    task = ray.remote(num_cpus=0)(question)
    asked = {}
    for node in alive():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"] = task.options(
            scheduling_strategy=there
        ).remote()
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=wait_s)
    return {node: _answer(reference, wait_s) for node, reference in asked.items()}


def _answer(reference: Any, wait_s: float) -> Any:
    try:
        return ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return ClusterError(f"no answer within {wait_s:g} s")
    except ray.exceptions.RayError as error:
        return ClusterError(str(error).strip().splitlines()[-1])


def await_true(there: Callable[[], bool], what: str, say: Say, wait_s: float = FIRST_NODE_WAIT_S) -> None:
    """Waits for nodes, which an autoscaler starts only when they are needed.

    Args:
        there: asked every second.
        what: is waited for, as the console names it.
        say: told once, when there is something to wait for.
        wait_s: longest wait.

    Raises:
        ClusterError: nothing came.
    """
    if there():
        return
    say(f"waiting for the cluster to start {what}, up to {wait_s / 60:.0f} minutes; Ctrl-C ends")
    until = time.monotonic() + wait_s
    while not there():
        if time.monotonic() > until:
            raise ClusterError(
                f"`resources`: the cluster must start {what} within {wait_s / 60:.3g} minutes, got {len(alive())} nodes without it. "
                "`ray status` on the head says why; ask for less, or raise max_workers."
            )
        time.sleep(1.0)


@contextmanager
def _on_this_machine(workers: int) -> Iterator[None]:
    """A cluster of this machine alone: its ports on loopback, its sockets and logs in a folder that only its owner can enter."""
    # Train's placement groups of worker groups are cleaned up through the dashboard's state API; one-device trials have none.
    dashboard = workers > 1
    everywhere = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = (
        False  # Ray's own switch for desktops: without other machines it binds to loopback
    )
    parent = Path(os.environ.get("RAY_TMPDIR", "/tmp"))
    _delete_leftover_folders(parent)
    folder = Path(tempfile.mkdtemp(prefix="study-", dir=parent))  # short: a socket's path has 107 letters
    (folder / DRIVER).write_text(str(os.getpid()))
    try:
        _init("local", include_dashboard=dashboard, _temp_dir=str(folder / "ray"))
        yield
    finally:
        ray.shutdown()
        ray_constants.ENABLE_RAY_CLUSTER = everywhere
        shutil.rmtree(folder, ignore_errors=True)


def _delete_leftover_folders(parent: Path) -> None:
    """Deletes the logs and sockets that killed drivers have left of their clusters."""
    for file in parent.glob(f"study-*/{DRIVER}"):
        with suppress(OSError, ValueError):  # another user's, or one that is just being made
            driver = int(file.read_text())
            try:
                os.kill(driver, 0)
            except ProcessLookupError:
                shutil.rmtree(file.parent, ignore_errors=True)


def _init(address: str, **more: Any) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except Exception as error:  # a bare one where a process of the cluster has ended while it started
        raise _no_cluster(address, (str(error).splitlines() or [type(error).__name__])[0]) from None


def _require_listener(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, reason: str) -> ClusterError:
    if address == "local":
        return ClusterError(
            f"`resources.address`: a cluster must start on this machine, got: {reason} `python -m study.doctor` looks why."
        )
    return ClusterError(
        f"`resources.address`: must be `local`, `auto` or the address of a running cluster, got `{address}`: {reason}"
    )


@contextmanager
def _logging_to(log: Path) -> Iterator[None]:
    """Sends what Ray, Tune and Optuna log to a file instead of the console."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "optuna", "torch")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    printed = ray_worker.print_to_stdstream
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    # Ray prints these itself; as errors, since `_init` lets nothing less through.
    ray_worker.print_to_stdstream = lambda data, ignore_prefix: loggers[0].error("\n".join(data["lines"]))
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = printed
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()

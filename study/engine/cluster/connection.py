"""Joins a cluster, or starts a private one on this machine that leaves nothing behind."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread
from traceback import walk_tb
from typing import TypedDict, TypeVar

import ray
from ray import ObjectRef
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray._private.node import Node as RayProcesses
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.engine.cluster.logs import logging_to
from study.engine.cluster.ping import why_not_joined
from study.engine.cluster.token import show_ray_the_token
from study.spec.errors import ClusterError

LOG = logging.getLogger(__name__)
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing about a study leaves the machine
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_worker_niceness": "0",  # Ray's own default starves trials on a shared machine
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # one report a poll: the default would cost 2 s an epoch
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # unfinished trials stay pending, so Ctrl-C need not wait for them
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the plan takes the values, not Tune
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # the search asks for no more trials than there is room for
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "-1",
    "PYTHONWARNINGS": "ignore",
    "MALLOC_ARENA_MAX": "1",  # a process trains network after network, each in the memory of the last
}
HEAD_START = {"RAY_gcs_server_port_wait_time_s": "120"}  # Ray's own 30 s are short on a loaded machine
TIMED_OUT = "timed out during startup"  # Ray's words for a node that is not there after 30 s, a fixed time
DRIVER_FILE = "driver.pid"
MOST_LETTERS = 400  # of what Ray says: the versions that differ stand on later lines of its message
FIRST_NODE_WAIT_S = 1200.0  # a machine of a cloud with its environment takes five to ten minutes

Say = Callable[[str], None]
Answer = TypeVar("Answer")


class RayNode(TypedDict):
    """The part of Ray's own description of a node that is read."""

    NodeID: str
    NodeManagerAddress: str
    NodeManagerPort: int
    Resources: dict[str, float]


@contextmanager
def connected(address: str, workers: int, log: Path) -> Iterator[None]:
    """Joins the cluster, or starts one on this machine that ends with the block.

    Args:
        address: `local`, `auto` or `host:port`.
        workers: Number of processes of one trial.
        log: File for what Ray says.

    Raises:
        ClusterError: Nothing answers at the address, or no cluster starts on this machine.
    """
    _set_unless_given(RAY_SETTINGS)
    # Under `uv run` Ray would send the whole project to every worker process and start each one through uv,
    # although the environment is there already.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    show_ray_the_token()
    with logging_to(log):
        if address == "local":
            with _on_this_machine(workers):
                yield
            return
        where = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
        if where != "auto" and (reason := why_not_joined(where)):
            raise _no_cluster(where, f"{reason}.")
        _init(address)
        try:
            yield
        finally:
            ray.shutdown()


def alive() -> list[RayNode]:
    """Ray's own description of each live node."""
    return [node for node in ray.nodes() if node["Alive"]]


def require_own_cluster() -> None:
    """Checks that the raylet of a cluster that this process started still runs.

    Without it Ray would wait for another machine for ever.

    Raises:
        ClusterError: The raylet has ended.
    """
    node = ray_worker._global_node
    dead: list[tuple[str, subprocess.Popen[bytes]]] = [] if node is None else node.dead_processes()
    for name, process in dead:
        if name == ray_constants.PROCESS_TYPE_RAYLET:
            raise ClusterError(
                "`resources.address`: the cluster on this machine must live until the study ends, "
                f"got the end of its process `{name}` (code {process.returncode}), as when the machine has "
                "no memory left. Finished trials are kept, and the same command goes on."
            )


def ask_each_node(question: Callable[[], Answer], wait_s: float = 60.0) -> dict[str, Answer | ClusterError]:
    """Runs a function on every live node, also on one whose cores are all taken.

    Args:
        question: A function that can be imported on the nodes.
        wait_s: Seconds to wait for all of them at most.

    Returns:
        What each node answers, or why it does not, by the node's address and port.
    """
    task = ray.remote(num_cpus=0)(question)
    references = {}
    for node in alive():
        on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
        references[name] = task.options(scheduling_strategy=on_node).remote()
    ray.wait(list(references.values()), num_returns=len(references), timeout=wait_s)
    answers: dict[str, Answer | ClusterError] = {}
    for name, reference in references.items():
        answer = _answer(reference, wait_s)
        answers[name] = answer
    return answers


def _answer(reference: "ObjectRef[Answer]", wait_s: float) -> Answer | ClusterError:
    try:
        return ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return ClusterError(f"no answer within {wait_s:g} s")
    except ray.exceptions.RayError as error:
        return ClusterError(str(error).strip().splitlines()[-1])


def wait_until(holds: Callable[[], bool], what: str, say: Say, wait_s: float = FIRST_NODE_WAIT_S) -> None:
    """Waits for nodes, which an autoscaler starts only when they are needed.

    Args:
        holds: Whether the nodes are there; asked every second.
        what: Name of what is waited for, for the console.
        say: Prints a line; called once, when there is something to wait for.
        wait_s: Seconds to wait at most.

    Raises:
        ClusterError: Nothing came in that time.
    """
    if holds():
        return
    say(f"waiting for the cluster to start {what}, up to {wait_s / 60:.0f} minutes; Ctrl-C ends")
    until = time.monotonic() + wait_s
    while not holds():
        if time.monotonic() > until:
            raise ClusterError(
                f"`resources`: the cluster must start {what} within {wait_s / 60:.3g} minutes, "
                f"got {len(alive())} nodes without it. `ray status` on the head says why; ask for less, "
                "or raise max_workers."
            )
        time.sleep(1.0)


@contextmanager
def _on_this_machine(workers: int) -> Iterator[None]:
    """A cluster of this machine alone.

    Its ports are on loopback; its sockets and logs lie in a folder that only its owner can enter.
    """
    # The placement groups of worker groups are cleaned up through the dashboard's state API. Trials of one
    # worker have no placement group.
    dashboard = workers > 1
    _set_unless_given(HEAD_START)
    several_machines = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray's switch for desktops: alone, it binds to loopback
    parent = Path(os.environ.get("RAY_TMPDIR", "/tmp"))
    _delete_leftover_folders(parent)
    folder = Path(tempfile.mkdtemp(prefix="study-", dir=parent))  # short: a socket's path has 107 letters
    (folder / DRIVER_FILE).write_text(str(os.getpid()))
    try:
        _init("local", dashboard=dashboard, folder=folder / "ray")
        yield
    finally:
        ray.shutdown()
        ray_constants.ENABLE_RAY_CLUSTER = several_machines
        shutil.rmtree(folder, ignore_errors=True)


def _set_unless_given(settings: dict[str, str]) -> None:
    """Sets environment variables that the user has not set."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _delete_leftover_folders(parent: Path) -> None:
    """Deletes the logs and sockets that killed drivers have left of their clusters."""
    for file in parent.glob(f"study-*/{DRIVER_FILE}"):
        with suppress(OSError, ValueError):  # another user's folder, or one that is just being made
            driver = int(file.read_text())
            try:
                os.kill(driver, 0)
            except ProcessLookupError:
                shutil.rmtree(file.parent, ignore_errors=True)


def _init(address: str, *, dashboard: bool | None = None, folder: Path | None = None) -> None:
    """Joins or starts a cluster; a start that took too long is tried once more.

    Args:
        address: As for `connected`.
        dashboard: Whether a cluster that is started here has a dashboard.
        folder: Where that cluster has its sockets and logs.
    """
    init = partial(
        ray.init,
        address=address,
        include_dashboard=dashboard,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(folder) if folder else None,
    )
    for tries_left in (1, 0):
        try:
            with _sigterm_kept():
                init()
            return
        except Exception as error:  # a bare one where a process of the cluster ended while it started
            timed_out = TIMED_OUT in str(error)
            if timed_out:
                _end_processes(error)
            if not timed_out or not tries_left:
                words = " ".join(str(error).split()) or type(error).__name__
                raise _no_cluster(address, words[:MOST_LETTERS]) from None
            LOG.warning("the cluster on this machine was not up in time and is started once more")


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keeps what this process does on SIGTERM, where it does anything; Ray would print a stack and abort."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(handler) and current_thread() is main_thread():
            signal.signal(signal.SIGTERM, handler)


def _end_processes(error: Exception) -> None:
    """Ends the processes of a cluster that did not start; Ray itself leaves them until this process ends."""
    for frame, _ in walk_tb(error.__traceback__):
        started = frame.f_locals.get("self")
        if isinstance(started, RayProcesses):
            started.kill_all_processes(check_alive=False)
            return


def _no_cluster(address: str, reason: str) -> ClusterError:
    if address == "local":
        return ClusterError(
            f"`resources.address`: a cluster must start on this machine, got: {reason} "
            "`python -m study.doctor` looks why."
        )
    return ClusterError(
        "`resources.address`: must be `local`, `auto` or the address of a running cluster, "
        f"got `{address}`: {reason}"
    )

"""A cluster of several raylets on this machine: nodes come and go, and a study loses and doubles nothing."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.engine.orders.pending_orders import PendingOrders
from study.evidence.store import Store

ROOT = Path(__file__).parents[2]
TRIALS = 6
STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 64},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 40, "patience": 40, "warmup_epochs": 0},
    "search": {"trials": TRIALS, "startup": 2, "pruner": "none"},
    "resources": {"cpus_per_worker": 1},
}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_health_check_failure_threshold": "2"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without room for trials; nodes are added by the test."""
    for key, value in QUIET.items():
        monkeypatch.setenv(key, value)
    from ray.cluster_utils import Cluster  # reads the environment

    Path("/tmp/ray").mkdir(exist_ok=True)  # Ray's helper notes the address here, whatever folder the head has
    with tempfile.TemporaryDirectory(prefix="nodes-", dir="/tmp") as folder:  # a socket's path is short
        args = {
            "num_cpus": 0,
            "include_dashboard": False,
            "dashboard_port": None,
            "temp_dir": folder,
            "object_store_memory": 10**8,
        }
        nodes = Cluster(initialize_head=True, head_node_args=args)
        try:
            yield nodes
        finally:
            nodes.shutdown()


def add(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=10**8, wait=False)


@pytest.mark.slow
@pytest.mark.promise
def test_the_doctor_finds_the_node_with_another_library(cluster: Any, tmp_path: Path) -> None:
    def doctor() -> "subprocess.CompletedProcess[str]":
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(STUDY))
        address = f"resources.address={cluster.address}"
        command = [sys.executable, "-m", "study.doctor", "small.yaml", "--set", address]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=900,
        )

    assert "this machine's Python, libraries and code on all 1\n" in doctor().stdout
    other = tmp_path / "other" / "optuna-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: optuna\nVersion: 0.1\n")
    cluster.add_node(num_cpus=1, object_store_memory=10**8, env_vars={"PYTHONPATH": str(other.parent)})
    said = doctor()
    assert said.returncode == 1
    (problem,) = [line for line in said.stdout.splitlines() if line.startswith("problem")]
    assert f": optuna 0.1 (here {version('optuna')})  -> uv sync --locked there" in problem


def start(folder: Path, address: str) -> "subprocess.Popen[bytes]":
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    command = [sys.executable, "-m", "study.run", str(path), "--address", address]
    environment = {**os.environ, "STUDY_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)


def is_search(key: str) -> bool:
    return key.startswith("search-")


def wait(holds: Callable[[], bool], process: "subprocess.Popen[bytes]", said: Path) -> None:
    until = time.monotonic() + 900
    while not holds():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < until, said.read_text()
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.promise
def test_nodes_come_and_one_is_killed(cluster: Any, tmp_path: Path) -> None:
    process, said = start(tmp_path, cluster.address), tmp_path / "said"
    store = Store(tmp_path / "runs" / "small")
    pending = PendingOrders(store)

    def any_finished() -> bool:
        return any(map(is_search, store.keys()))

    wait(lambda: "waiting for the cluster to start its first worker" in said.read_text(), process, said)
    first = add(cluster)
    wait(any_finished, process, said)
    assert len(pending.orders()) <= 1
    add(cluster)
    add(cluster)
    wait(lambda: len(pending.orders()) == 3, process, said)
    cluster.remove_node(first, allow_graceful=False)
    process.wait(timeout=1200)
    assert process.returncode == 0, said.read_text()
    trials, epochs = store.read("trial"), store.read("epochs")
    search = trials[trials["role"] == "search"]
    assert sorted(search["number"]) == list(range(TRIALS))
    assert set(search["state"]) == {"complete"}, said.read_text()
    assert trials["trial"].is_unique
    assert not epochs.duplicated(["trial", "epoch"]).any()
    assert set(epochs.groupby("trial")["epoch"].count()) == {STUDY["training"]["epochs"]}
    assert pending.orders() == []

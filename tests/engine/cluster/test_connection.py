import os
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
import ray
from ray._private import worker
from ray._private.node import Node as RayProcesses

from study.engine.cluster.connection import DRIVER_FILE, connected, require_own_cluster, wait_until
from study.spec.errors import ClusterError


def test_a_cluster_that_does_not_start_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def init(**settings: object) -> NoReturn:
        raise Exception("The GCS server ended.\nmore")

    monkeypatch.setattr(ray, "init", init)
    message = (
        r"a cluster must start on this machine, got: The GCS server ended\. more `python -m study\.doctor`"
    )
    with (
        pytest.raises(ClusterError, match=message),
        connected("local", 1, tmp_path / "ray.log"),
    ):
        pytest.fail("there is no cluster")


class SlowMachine(RayProcesses):
    """Processes of a cluster that do not start in time, as `ray.init` makes them.

    Args:
        fails: Whether they do not start in time.
        ended: Takes itself when its processes are ended.
    """

    def __init__(self, fails: bool, ended: "list[SlowMachine]") -> None:
        self.ended = ended
        if fails:
            raise Exception(
                "The current node timed out during startup. This could happen because some of the raylet "
                "failed to startup or the GCS has become overloaded."
            )

    def kill_all_processes(
        self, check_alive: bool = True, allow_graceful: bool = False, wait: bool = False
    ) -> None:
        self.ended.append(self)


@pytest.mark.parametrize(("slow_starts", "starts"), [(0, 1), (1, 2), (2, 2)])
def test_a_start_that_takes_too_long_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    slow_starts: int,
    starts: int,
) -> None:
    tried: list[dict[str, object]] = []
    ended: list[SlowMachine] = []

    def init(**settings: object) -> None:
        tried.append(settings)
        SlowMachine(len(tried) <= slow_starts, ended)

    monkeypatch.setattr(ray, "init", init)
    refused = (
        pytest.raises(ClusterError, match="timed out during startup") if slow_starts == 2 else nullcontext()
    )
    with refused, connected("local", 1, tmp_path / "ray.log"):
        assert slow_starts < 2
    assert len(tried) == starts
    assert all(settings == tried[0] for settings in tried)
    assert len(ended) == slow_starts  # nothing is left of a start that failed
    assert ("started once more" in caplog.text) == (starts > 1)


def test_what_raylets_print_goes_to_the_log(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ray, "init", lambda logging_level, **settings: caplog.set_level(logging_level, "ray"))
    before = worker.print_to_stdstream
    with connected("local", 1, tmp_path / "ray.log"):
        worker.print_to_stdstream({"lines": ["a node", "is gone"]}, ignore_prefix=False)
    assert worker.print_to_stdstream is before
    assert "ERROR ray: a node\nis gone" in (tmp_path / "ray.log").read_text()
    assert capsys.readouterr().out == ""


def test_only_a_dead_raylet_ends_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    dead: list[tuple[str, SimpleNamespace]] = [("log_monitor", SimpleNamespace(returncode=1))]
    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(dead_processes=lambda: dead))
    require_own_cluster()
    dead.append(("raylet", SimpleNamespace(returncode=-9)))
    with pytest.raises(ClusterError, match=r"got the end of its process `raylet` \(code -9\)"):
        require_own_cluster()


def test_the_folders_of_killed_drivers_are_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray, "init", lambda **settings: None)
    ended = subprocess.Popen(["true"])
    ended.wait()
    drivers = {
        "study-killed": str(ended.pid),
        "study-alive": str(os.getpid()),
        "study-starting": "",
        "other": str(ended.pid),
    }
    for name, driver in drivers.items():
        (tmp_path / name / "ray").mkdir(parents=True)
        (tmp_path / name / DRIVER_FILE).write_text(driver)
    with connected("local", 1, tmp_path / "ray.log"):
        (own,) = {p.name for p in tmp_path.glob("study-*")} - drivers.keys()
        assert (tmp_path / own / DRIVER_FILE).read_text() == str(os.getpid())
        assert not (tmp_path / "study-killed").exists()
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {"study-alive", "study-starting", "other"}


def test_waiting_is_said_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.engine.cluster.connection.alive", lambda: [{}])
    monkeypatch.setattr("study.engine.cluster.connection.time.sleep", lambda s: None)
    said: list[str] = []
    answers = iter([False, False, True])
    wait_until(lambda: next(answers), "a node", said.append)
    assert len(said) == 1
    assert "waiting for the cluster to start a node" in said[0]
    with pytest.raises(ClusterError, match=r"must start a node within 0 minutes, got 1 nodes without it"):
        wait_until(lambda: False, "a node", said.append, wait_s=0.0)

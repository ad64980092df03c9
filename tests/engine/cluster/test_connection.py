import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import ray
from ray._private import worker

from study.engine.cluster.connection import DRIVER, connected, require_own_cluster
from study.spec.errors import ClusterError


def test_a_cluster_that_does_not_start_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def init(**settings: Any) -> NoReturn:
        raise Exception("The current node timed out during startup.\nmore")

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(
            ClusterError,
            match=r"a cluster must start on this machine, got: The current node timed out during startup\. `py",
        ),
        connected("local", 1, tmp_path / "ray.log"),
    ):
        pytest.fail("there is no cluster")


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
        (tmp_path / name / DRIVER).write_text(driver)
    with connected("local", 1, tmp_path / "ray.log"):
        (own,) = {p.name for p in tmp_path.glob("study-*")} - drivers.keys()
        assert (tmp_path / own / DRIVER).read_text() == str(os.getpid())
        assert not (tmp_path / "study-killed").exists()
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {"study-alive", "study-starting", "other"}

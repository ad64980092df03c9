"""Ctrl-C, kills of driver, trial, worker and cluster, a second driver: nothing is lost, no process stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from study.engine.orders.driver_lock import driving
from study.engine.orders.pending_orders import PendingOrders
from study.evidence.store import Store

STUDY = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 32},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 3, "warmup_epochs": 0},
    "search": {"trials": 4, "startup": 2, "pruner": "none"},
    "resources": {"concurrent": 1, "cpus_per_worker": 1},
}
ROOT = Path(__file__).parents[2]
OUTPUT = "output.txt"


def start(folder: Path, *settings: str, options: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    command = [
        sys.executable,
        "-m",
        "study.run",
        str(path),
        *options,
        *(w for s in settings for w in ("--set", s)),
    ]
    environment = {
        **os.environ,
        "STUDY_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
        "STUDY_MARK": str(folder),
    }
    # A file, not a pipe: Ray's processes inherit it, so a pipe would have no end before they are gone.
    with (folder / OUTPUT).open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=hear_ctrl_c,
        )


def hear_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so do its children, such as these tests'."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def said(folder: Path) -> str:
    """What all commands in the folder have said."""
    return (folder / OUTPUT).read_text()


def end_of(process: "subprocess.Popen[bytes]", folder: Path, within_s: float) -> int:
    """Exit code of a command that ends by itself."""
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"no end after {within_s:g} s: {said(folder)}")


def is_search(key: str) -> bool:
    return key.startswith("search-")


def wait_for_trials(folder: Path, num: int, process: "subprocess.Popen[bytes]") -> None:
    """Waits until the search has published that many trials."""
    until = time.monotonic() + 900
    store = Store(folder / "runs" / "small")
    while sum(map(is_search, store.keys())) < num:
        assert process.poll() is None, said(folder)
        assert time.monotonic() < until, said(folder)
        time.sleep(0.2)


def processes(folder: Path) -> dict[int, str]:
    """Command lines of processes that have this run's environment and still live, by their id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"STUDY_MARK={folder}".encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line}


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that still live two minutes after the command's end.

    The agents of Ray look for their parent only now and then.
    """
    until = time.monotonic() + 900
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.2)
    return list(processes(folder).values())


def kill_one(folder: Path, name: str, process: "subprocess.Popen[bytes]", beside: str = "") -> None:
    """Kills a process of the run by its name, as soon as it and one with the other name are there."""
    until = time.monotonic() + 900
    while True:
        alive = processes(folder)
        found = [pid for pid, line in alive.items() if name in line]
        if found and any(beside in line for line in alive.values()):
            break
        assert process.poll() is None, said(folder)
        assert time.monotonic() < until, said(folder)
        time.sleep(0.1)
    os.kill(found[0], signal.SIGKILL)


def ends_of(folder: Path) -> dict[str, datetime]:
    """When each finished trial ended, by its key."""
    trials = Store(folder / "runs" / "small").read("trial")
    return dict(zip(trials["trial"], trials["ended"], strict=True))


def require_whole(folder: Path) -> None:
    """Every trial of the search is there once and complete, and each of its epochs once."""
    store = Store(folder / "runs" / "small")
    trials, epochs = store.read("trial"), store.read("epochs")
    assert store.problems == []
    assert sorted(trials[trials["role"] == "search"]["number"]) == [0, 1, 2, 3], said(folder)
    assert set(trials["state"]) == {"complete"}, said(folder)
    assert not epochs[["trial", "epoch"]].duplicated().any()
    assert PendingOrders(store).orders() == []
    assert left_behind(folder) == []


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(tmp_path: Path, sent: signal.Signals) -> None:
    longer = "training.epochs=40"  # so that trials are left when the signal arrives
    first = start(tmp_path, longer)
    wait_for_trials(tmp_path, 1, first)
    first.send_signal(sent)
    assert end_of(first, tmp_path, 900) == 130, said(tmp_path)
    assert "stopping: finished trials are kept" in said(tmp_path)
    assert "the same command goes on" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert left_behind(tmp_path) == []
    store = Store(tmp_path / "runs" / "small")
    before = ends_of(tmp_path)

    assert end_of(start(tmp_path, longer), tmp_path, 900) == 0, said(tmp_path)
    trials = store.read("trial")
    assert sorted(trials[trials["role"] == "search"]["number"]) == [0, 1, 2, 3]
    assert before.items() <= ends_of(tmp_path).items()
    assert PendingOrders(store).orders() == []


@pytest.mark.slow
@pytest.mark.promise
def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    with driving(Store(tmp_path / "runs" / "small")):
        for again in ((), ("--fresh",)):
            assert end_of(start(tmp_path, options=again), tmp_path, 900) == 2, said(tmp_path)
            last = said(tmp_path).rpartition("error")[2]
            assert (
                f"a run has one driver at a time, got a second one beside process {os.getpid()}"
                in " ".join(last.split())
            )
            (tmp_path / OUTPUT).unlink()
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / "runs" / "small"]


@pytest.mark.slow
@pytest.mark.promise
def test_a_killed_driver_loses_nothing_and_its_trial_goes_on(tmp_path: Path) -> None:
    first = start(tmp_path)
    wait_for_trials(tmp_path, 1, first)
    first.kill()
    first.wait(600)
    store = Store(tmp_path / "runs" / "small")
    interrupted = {order.key: order.params for order in PendingOrders(store).orders()}
    before = ends_of(tmp_path)
    assert left_behind(tmp_path) == []  # Ray's processes notice that their driver is gone

    assert end_of(start(tmp_path), tmp_path, 900) == 0, said(tmp_path)
    trials = store.read("trial")
    assert sorted(trials[trials["role"] == "search"]["number"]) == [0, 1, 2, 3]
    assert before.items() <= ends_of(tmp_path).items()
    stored = dict(zip(trials["trial"], trials["params"], strict=True))
    for key, params in interrupted.items():
        assert json.loads(stored[key]) == params


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.parametrize(
    ("workers", "name", "beside"),
    [(1, "ray::ImplicitFunc", ""), (2, "RayTrainWorker", ""), (2, "ray::ImplicitFunc", "RayTrainWorker")],
    ids=["alone", "worker", "trial as its workers start"],
)
def test_a_killed_trial_goes_on_by_itself(tmp_path: Path, workers: int, name: str, beside: str) -> None:
    process = start(
        tmp_path, f"resources.workers={workers}", "resources.cpus_per_worker=0.9", "training.epochs=12"
    )
    kill_one(tmp_path, name, process, beside)
    assert end_of(process, tmp_path, 1500) == 0, said(tmp_path)
    require_whole(tmp_path)


@pytest.mark.slow
@pytest.mark.promise
def test_a_killed_raylet_ends_the_study_which_goes_on_with_the_next_start(tmp_path: Path) -> None:
    settings = ("training.epochs=40", "training.patience=40")
    first = start(tmp_path, *settings)
    wait_for_trials(tmp_path, 1, first)
    kill_one(tmp_path, "/raylet/raylet ", first)
    assert end_of(first, tmp_path, 900) == 2, said(tmp_path)
    assert said(tmp_path).count("error") == 1
    assert "got the end of its process `raylet` (code -9)" in " ".join(said(tmp_path).split())
    assert "raylet)" not in said(tmp_path)  # Ray itself would print the raylet's log
    assert "Traceback" not in said(tmp_path)
    assert left_behind(tmp_path) == []
    before = ends_of(tmp_path)
    assert "baseline-untrained" not in before

    assert end_of(start(tmp_path, *settings), tmp_path, 900) == 0, said(tmp_path)
    require_whole(tmp_path)
    assert before.items() <= ends_of(tmp_path).items()


@pytest.mark.slow
@pytest.mark.promise
def test_two_workers_train_one_network(tmp_path: Path) -> None:
    process = start(tmp_path, "resources.workers=2", "resources.cpus_per_worker=0.9", "search.trials=2")
    assert end_of(process, tmp_path, 1500) == 0, said(tmp_path)
    trials = Store(tmp_path / "runs" / "small").read("trial")
    trials = trials[trials["role"] != "ensemble"]  # two trials may be better together
    assert sorted(trials["trial"]) == ["baseline-prior", "baseline-untrained", "search-00000", "search-00001"]
    assert set(trials["state"]) == {"complete"}
    assert left_behind(tmp_path) == []

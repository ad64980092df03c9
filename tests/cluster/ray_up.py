"""A real `ray up` of cluster.local.yaml: two machines behind sshd, a study on both, its Parquet, `ray down`.

    sudo .venv/bin/python tests/cluster/ray_up.py [LOG]

The machines are those of `lab.py`, which says what they need.
"""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.evidence.store import Store
from tests.cluster.lab import (
    PROJECT,
    Lab,
    await_port,
    await_that,
    lab_folder,
    main,
    use_this_environment,
)

MACHINES = {"head": "10.77.0.2", "worker": "10.77.0.3"}
JOBS = "http://127.0.0.1:8265"
STUDY: dict[str, Any] = {
    "study": "small",
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 64},
    "model": {"backbone": "tiny"},
    "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
    "training": {"epochs": 4, "warmup_epochs": 0},
    "search": {"trials": 6, "startup": 2, "pruner": "none"},
    "resources": {"cpus_per_worker": len(os.sched_getaffinity(0))},  # one trial a machine
}


def inside(log: str | None) -> None:
    """The test itself, in namespaces of its own."""
    with lab_folder() as folder:
        lab = Lab(folder, "10.77.0.1/24", {"RAY_UP_enable_autoscaler_v2": "0"})
        key, file = lab.make_key("key"), folder / "cluster.local.yaml"
        try:
            for name, address in MACHINES.items():
                lab.start_machine(name, address, key.with_suffix(".pub").read_text())
            for name, address in MACHINES.items():
                await_port(address, 22, partial(lab.log, name))
            _write_cluster_file(file, key)
            _bring_up(lab, file, key)
            _run_study(lab, file)
            _check_records(lab, file, key)
            _take_down(lab, file, key)
        finally:
            if log:
                Path(log).write_text("\n".join(lab.transcript))
    print("PASSED ray up: two machines, a study on both, its Parquet back, none of Ray left")


def _write_cluster_file(file: Path, key: Path) -> None:
    """The project's file with these machines and this environment."""
    cluster = yaml.safe_load((PROJECT / "cluster.local.yaml").read_text())
    cluster["provider"] |= {"head_ip": MACHINES["head"], "worker_ips": [MACHINES["worker"]]}
    cluster["auth"]["ssh_private_key"] = str(key)
    cluster["min_workers"] = cluster["max_workers"] = 1
    use_this_environment(cluster)
    file.write_text(yaml.safe_dump(cluster))


def _bring_up(lab: Lab, file: Path, key: Path) -> None:
    lab.make_token()
    assert "problem" not in lab.run("python", "-m", "study.doctor", str(file))
    lab.run("ray", "up", str(file), "-y", "--no-config-cache")
    cores = len(MACHINES) * len(os.sched_getaffinity(0))
    await_that(
        lambda: f"/{cores}.0 CPU" in lab.run("ray", "exec", str(file), "ray status"), lambda: "the worker"
    )
    listening = lab.on(MACHINES["head"], key, "ss -ltnH '( sport = :8265 )'").split()
    assert "127.0.0.1:8265" in listening, listening
    with pytest.raises(ConnectionRefusedError, match="refused"):  # the dashboard answers on loopback only
        socket.create_connection((MACHINES["head"], 8265), timeout=5)
    assert lab.on(MACHINES["head"], key, "stat -c %a ~/.ray/auth_token") == "600\n"


def _run_study(lab: Lab, file: Path) -> None:
    (lab.shared / "small.yaml").write_text(yaml.safe_dump(STUDY))
    run = f"python -m study.run {lab.shared}/small.yaml --address auto --storage {lab.shared}/runs"
    command = f"cd ~/eyepair-study && {run}"
    tunnel = subprocess.Popen(
        ["ray", "dashboard", str(file)], cwd=PROJECT, env=lab.environment, stdout=subprocess.DEVNULL
    )
    try:
        await_port("127.0.0.1", 8265)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{JOBS}/api/jobs/", timeout=20)
        said = lab.run("ray", "job", "submit", "--address", JOBS, "--", "bash", "-c", command, timeout_s=1200)
        assert "succeeded" in said
    finally:
        tunnel.terminate()
        tunnel.wait()
    # The same command again answers at once.
    assert "(6 done)" in lab.run("ray", "exec", str(file), command)


def _check_records(lab: Lab, file: Path, key: Path) -> None:
    back = lab.folder / "back"
    back.mkdir()
    lab.run("ray", "rsync-down", str(file), f"{lab.shared}/runs/small/", f"{back}/")
    trials = Store(back).read("trial")
    search = trials[trials["role"] == "search"]
    assert sorted(search["number"]) == list(range(STUDY["search"]["trials"]))
    assert set(search["state"]) == {"complete"}
    assert set(search["host"]) == set(MACHINES), search[["trial", "host"]]  # both machines trained
    for machine, address in MACHINES.items():  # decoded once, by itself
        assert len(lab.on(address, key, "ls --ignore=logs ~/.cache/eyepair-study").split()) == 1, machine
    lab.transcript.append(search[["trial", "state", "value", "host"]].to_string(index=False) + "\n")
    print(lab.transcript[-1])


def _take_down(lab: Lab, file: Path, key: Path) -> None:
    lab.run("ray", "down", str(file), "-y")
    await_that(
        lambda: not any(lab.on(address, key, "pgrep 'raylet|gcs_server'") for address in MACHINES.values()),
        lambda: "the end of Ray on both machines",
    )


if __name__ == "__main__":
    sys.exit(main(inside))

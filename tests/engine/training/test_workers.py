"""Several workers train one network with the result of one worker, and give everything back when stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import distributed, nn
from torch.multiprocessing.spawn import start_processes

from study.data.cohort import open_cohort
from study.engine.orders.messages import Ending
from study.engine.orders.trial_order import TrialOrder
from study.engine.training.trial import run_order
from study.engine.training.workers import WorkerGroup
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, site_of, train_whole

ROOT = Path(__file__).parents[3]
# Batch norm sees the samples of its own worker alone, so the part that is trained must not have any.
SPEC: dict[str, Any] = {
    "data": {
        "dataset": "odir5k",
        "phantom_patients": 94,
        "image_px": 32,
        "augmentation": {
            "flip": False,
            "rotate_deg": 0,
            "scale": 0,
            "brightness": 0,
            "contrast": 0,
            "saturation": 0,
        },
    },
    "model": {"backbone": {"name": "tiny", "freeze": "all"}, "embedding": {"dim": 16}},
    "training": {"epochs": 3, "batch_size": 34, "warmup_epochs": 0},
    "optimiser": {"lr": 1e-2},
}
EARLY_STOPS = """
import json, sys, time
import ray
from ray.util import placement_group_table
from study import run
from study.engine.search.suggestions import Suggestions

Suggestions.report = lambda self, number, epoch, value: number != 0  # all but the first stop
run_plan = run.run_plan

def watched(*args):
    before = ray.cluster_resources()
    run_plan(*args)
    until = time.monotonic() + 300
    while (ray.available_resources().get("CPU") != before["CPU"] or groups()) and time.monotonic() < until:
        time.sleep(0.5)
    print("AFTER", json.dumps([before["CPU"], ray.available_resources().get("CPU"), groups()]))

def groups():
    return [group["state"] for group in placement_group_table().values() if group["state"] != "REMOVED"]

run.run_plan = watched
sys.exit(run.main(sys.argv[1:]))
"""


def order() -> TrialOrder:
    return order_of(TrialSpec.read(SPEC))


def work(rank: int, size: int, run: Path, cache: Path, meeting: Path) -> None:
    """One worker of a group, as Ray Train starts it, but without Ray."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)

    def wrap(net: nn.Module) -> nn.Module:
        return nn.parallel.DistributedDataParallel(net, find_unused_parameters=True)

    site = site_of(run, cache, open_cohort(TrialSpec.read(SPEC).data, cache))
    group = WorkerGroup(rank, size)
    end = run_order(order(), site, lambda epoch: False, torch.device("cpu"), group, wrap)
    distributed.destroy_process_group()
    assert end.ending is Ending.COMPLETE, end


@pytest.mark.slow
@pytest.mark.promise
def test_two_workers_give_the_result_of_one(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert (
        len(open_cohort(TrialSpec.read(SPEC).data, cache).rows("train")) % SPEC["training"]["batch_size"] == 0
    )  # equal batches for all
    train_whole(order(), tmp_path / "one", cache)
    start_processes(work, (2, tmp_path / "two", cache, tmp_path / "meeting"), nprocs=2, start_method="spawn")
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    for column in ("train_loss", "val_loss", "value", "lr"):
        np.testing.assert_allclose(
            two.read("epochs")[column], one.read("epochs")[column], rtol=1e-4, atol=1e-5
        )
    losses = one.read("epochs")["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]  # something was learned, or equality would mean nothing
    assert two.keys() == one.keys() == ["search-00000"]
    a, b = (
        store.read("predictions").sort_values(["head", "setting", "split", "sample"]) for store in (one, two)
    )
    network = (a["head"] == "network").to_numpy()
    assert a["sample"].tolist() == b["sample"].tolist()
    np.testing.assert_allclose(
        np.stack(b["score"][network].tolist()), np.stack(a["score"][network].tolist()), rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_early_stops_of_worker_groups_give_everything_back(tmp_path: Path) -> None:
    study = {
        "study": "small",
        "data": {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32},
        "model": {"backbone": "tiny"},
        "optimiser": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
        "training": {"epochs": 4, "warmup_epochs": 0},
        "search": {"trials": 4, "startup": 2},
        "resources": {"workers": 2, "cpus_per_worker": 0.5, "concurrent": 1},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STUDY_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", EARLY_STOPS, "small.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trials = Store(tmp_path / "runs" / "small").read("trial").set_index("trial")
    assert trials.loc[[f"search-{n:05d}" for n in range(4)], "state"].tolist() == [
        "complete",
        "pruned",
        "pruned",
        "pruned",
    ]
    before, after, groups = json.loads(done.stdout.partition("AFTER")[2].splitlines()[0])
    assert after == before
    assert groups == []

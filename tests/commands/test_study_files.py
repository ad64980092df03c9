"""Each study file goes through on its phantom, from the file to the tables of its paper."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from study.evidence.store import Store
from study.reporting.papers import published
from study.spec.resolve import resolve
from tests.engine.one_trial import order_of, train_whole

ROOT = Path(__file__).parents[2]
TABLES = {
    "dmsnet": ["dmsnet_table3"],
    "dmsnet_frozen": ["dmsnet_table3"],
    "odir_cpu": [],
    "odir_frozen": [],
    "svk_ma": ["svkma_table3", "svkma_table6", "svkma_figure16", "svkma_table7"],
    "bfpc": ["li_headline"],
    "binocular": [],
    "mirror": ["fang_retrieval", "fang_grades"],
}
# One trained network fills these: their rows are values of K and classifiers on its embeddings.
OF_ONE_NETWORK = {
    "svkma_table6": ["k1", "k2", "k10"],
    "svkma_table7": ["knn", "svm", "svm_unscaled", "random_forest", "gradient_boosting", "gaussian_nb"],
}
PROFILES = {"odir_cpu": "full", "odir_frozen": "drawn", "dmsnet_frozen": "drawn"}  # the others: laptop
NO_NETWORK = ["--set", "model.backbone=tiny"]  # the file's own backbones want weights from the net


def test_every_study_file_is_listed() -> None:
    assert set(TABLES) == {path.stem for path in (ROOT / "search_spaces").glob("*.yaml")}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_study_file_goes_from_its_phantom_to_its_tables(name: str, tmp_path: Path) -> None:
    file = ROOT / "search_spaces" / f"{name}.yaml"
    command = [
        sys.executable,
        "-m",
        "study.run",
        str(file),
        "--profile",
        PROFILES.get(name, "laptop"),
    ]
    command += ["--set", f"storage={tmp_path / 'runs'}", *(NO_NETWORK if name == "odir_cpu" else [])]
    environment = {**os.environ, "STUDY_CACHE": str(tmp_path / "cache")}
    environment = {key: value for key, value in environment.items() if not key.startswith("STUDY_ROOT_")}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "SYNTHETIC" in ended.stdout
    spec = resolve(file, {}, PROFILES.get(name, "laptop"), has_gpu=False).spec
    trials = Store(str(tmp_path / "runs" / name)).read("trial")
    failed = trials[trials["state"] == "failed"]
    assert failed.empty, failed[["trial", "message"]].to_string()
    assert (trials["role"] == "search").sum() == spec.search.trials
    for table in TABLES[name]:
        rows = pd.read_csv(tmp_path / "runs" / name / "report" / "tables" / f"{table}.csv", index_col=0)
        expected = OF_ONE_NETWORK.get(table) or list(spec.ablations[published(table).ablation].variants)
        measures = rows.drop(columns=["row.1", "line", "synthetic"])
        assert measures.notna().any(axis=1)[expected].all(), rows.to_string()


@pytest.mark.slow
def test_the_metric_loss_of_dmsnet_learns_and_neighbours_stand_for_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STUDY_ROOT_ODIR5K", raising=False)
    study = resolve(ROOT / "search_spaces" / "dmsnet.yaml", {}, "laptop", has_gpu=False).spec
    margin = "bundles.loss.contrastive.loss.margin"
    assert {margin, "bundles.loss.contrastive.model.embedding.dim"} <= study.holes().keys()
    spec = study.preset({"bundles.loss": "contrastive", margin: 1.0, "optimiser.lr": 3e-3})
    assert (spec.loss.name, spec.model.embedding.dim, spec.model.embedding.l2norm) == (
        "contrastive",
        64,
        True,
    )
    train_whole(order_of(spec), tmp_path / "run", tmp_path / "cache")
    store = Store(tmp_path / "run")
    trial = store.read("trial").iloc[0]
    assert trial["head"] == "knn"
    target = np.stack(list(store.read("predictions", filters={"split": "val", "head": "knn"})["target"]))
    prior = target.mean(axis=0).mean()  # average precision of one score for everyone
    assert prior < 0.2
    assert trial["value"] > 0.75

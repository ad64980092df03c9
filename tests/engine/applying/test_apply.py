"""A stored trial, built again from its record and its weights, gives the scores that it gave."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.backbones import build_backbone
from study.data.cohort import Cohort, open_cohort
from study.engine.applying.apply import chosen_trial, predict
from study.engine.training.kept_weights import read_weights
from study.evidence.store import WEIGHTS, Store
from study.spec.errors import StorageError
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_whole

SPEC: dict[str, Any] = {
    "data": {
        "dataset": "odir5k",
        "phantom_patients": 120,
        "image_px": 32,
        "split": {"val": 0.3, "test": 0.3},
    },
    "model": {"backbone": "tiny"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
    "optimiser": {"lr": 3e-3},
}
POWERSET = {
    "model": {"backbone": "tiny", "head": "powerset"},
    "loss": "cross_entropy",
    "training": {**SPEC["training"], "eye_weight": 0.5},
}
SHARED = {"model": {"backbone": "tiny", "context": {"name": "osim_per_eye", "share": True}}}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run_and_predict(
    folder: Path, cache: Path, changes: dict[str, Any], *, trains: bool = True
) -> tuple[dict[str, Tensor], Cohort]:
    """Runs a trial, checks that predicting repeats its test scores, and gives the kept tensors and data."""
    spec = TrialSpec.read({**SPEC, **changes})
    cohort = open_cohort(spec.data, cache)
    train_whole(order_of(spec, trains=trains), folder / "run", cache)
    store = Store(folder / "run")
    again, _, _ = predict(store, chosen_trial(store, None), cohort.pairs, cache)
    scores = dict(zip(again.sample, again.score, strict=True))
    stored = store.read("predictions", filters={"head": "network", "split": "test"})
    expected = np.stack(stored["score"].tolist())
    found = np.stack([scores[sample] for sample in stored["sample"]])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return load_file(store.fetch("search-00000", WEIGHTS, folder)), cohort


@pytest.mark.parametrize("trains", [True, False], ids=["trained", "untrained"])
def test_a_powerset_head_keeps_the_label_sets_of_its_training_split(
    tmp_path: Path, cache: Path, trains: bool
) -> None:
    kept, cohort = run_and_predict(tmp_path, cache, POWERSET, trains=trains)
    targets = cohort.pairs.targets
    in_training = {tuple(row) for row in targets[cohort.rows("train")].tolist()}
    everywhere = {tuple(row) for row in targets.tolist()}
    assert {tuple(row) for row in kept["head.sets"].tolist()} == in_training
    assert len(in_training) < len(everywhere)  # a set that only other samples carry cannot be predicted


def test_parts_that_share_their_weights_are_kept_twice(tmp_path: Path, cache: Path) -> None:
    kept, _ = run_and_predict(tmp_path, cache, SHARED)
    assert torch.equal(kept["context.left.reduce.weight"], kept["context.right.reduce.weight"])


@pytest.mark.parametrize("freeze", ["all", 2])
def test_trials_share_the_file_of_a_pretrained_frozen_backbone(
    freeze: str | int, tmp_path: Path, cache: Path
) -> None:
    weights = tmp_path / "tiny.pth"
    whole = build_backbone("tiny", image_px=32)
    torch.save(whole.net.state_dict(), weights)
    backbone = {"name": "tiny", "weights": str(weights), "freeze": freeze}
    spec = TrialSpec.read({**SPEC, "model": {"backbone": backbone}})
    store = Store(tmp_path / "run")
    for i in range(2):
        train_whole(order_of(spec, f"search-{i:05d}"), tmp_path / "run", cache)
    (shared,) = (tmp_path / "run" / "backbones").iterdir()
    frozen = load_file(shared)
    own = load_file(store.fetch("search-00001", WEIGHTS, tmp_path))
    assert not frozen.keys() & own.keys()
    assert any(name.startswith("backbone.") for name in own) == (freeze != "all")
    for name, tensor in frozen.items():
        torch.testing.assert_close(tensor, whole.state_dict()[name.removeprefix("backbone.")])

    read = read_weights(store, "search-00001")
    assert read.keys() == frozen.keys() | own.keys()
    shared.unlink()
    weights.unlink()  # a run needs no file beside its own
    with pytest.raises(StorageError, match=r"backbones/.*must exist"):
        read_weights(store, "search-00001")


def test_a_run_with_a_frozen_backbone_predicts_without_its_file(tmp_path: Path, cache: Path) -> None:
    weights = tmp_path / "tiny.pth"
    torch.save(build_backbone("tiny", image_px=32).net.state_dict(), weights)
    model = {"backbone": {"name": "tiny", "weights": str(weights), "freeze": "all"}}
    spec = TrialSpec.read({**SPEC, "model": model})
    train_whole(order_of(spec), tmp_path / "run", cache)
    weights.unlink()
    store, cohort = Store(tmp_path / "run"), open_cohort(spec.data, cache)
    again, _, _ = predict(store, chosen_trial(store, None), cohort.pairs, cache)
    stored = store.read("predictions", filters={"head": "network", "split": "test"})
    scores = dict(zip(again.sample, again.score, strict=True))
    found = np.stack([scores[sample] for sample in stored["sample"]])
    np.testing.assert_allclose(found, np.stack(stored["score"].tolist()), rtol=1e-3, atol=1e-4)

"""Frozen backbones run before the first trial, and the console says so."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from study.data.source import open_dataset
from study.engine.start.announcement import announcement
from study.engine.start.keeping import run_frozen_backbones
from study.engine.start.start import open_store, start
from study.spec.errors import ResourceError
from study.spec.resolve import resolve
from study.spec.resources import ResourcesSpec
from study.spec.study_file import StudySpec

STILL = {"rotate_deg": 0, "scale": 0, "brightness": 0, "contrast": 0, "saturation": 0}
STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32, "augmentation": STILL},
    "model": {
        "backbone": {
            "name": "tiny",
            "freeze": {"type": "categorical", "choices": ["all", 2, "none"]},
        },
        "fusion": {"type": "categorical", "choices": ["concat", "difference", "casfm"]},
    },
}


def ignore(done: int, total: int) -> None:
    """Takes a progress and shows nothing."""


def test_features_are_made_before_the_first_trial(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (tmp_path / "a.yaml").write_text(json.dumps({**STUDY, "storage": str(tmp_path)}))
    resolved = resolve(tmp_path / "a.yaml", {}, "full", has_gpu=False)
    seen: list[tuple[int, int]] = []
    ready = start(
        resolved, open_store(resolved), "{}", tmp_path, ignore, ignore, lambda *done: seen.append(done)
    )
    assert [backbone.name for backbone in ready.prepared.frozen] == [
        "tiny at 32 px, frozen",
        "tiny at 32 px, 2 stages frozen",
    ]
    assert all(backbone.num_bytes for backbone in ready.prepared.frozen)
    sets = list(tmp_path.glob("features-*/features.npy"))
    assert len(sets) == 3  # vectors and maps of the whole, maps of its first stages
    assert seen.count((120, 120)) == 2  # vectors are taken from the maps
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(announcement(resolved, ready))
    said = console.export_text()
    assert "tiny at 32 px, frozen: run once for each image, 225 KiB of features" in said


def test_on_a_cluster_each_machine_makes_them(tmp_path: Path) -> None:
    trials = StudySpec.read(STUDY).corners()
    pairs = open_dataset(trials[0].data)
    resources = ResourcesSpec(address="auto")
    assert len(run_frozen_backbones(trials, pairs, tmp_path, resources, ignore)) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_backbone_that_runs_in_every_epoch_says_why(tmp_path: Path) -> None:
    data = {**STUDY["data"], "augmentation": {"rotate_deg": 5}}
    trials = StudySpec.read({**STUDY, "data": data}).corners()
    pairs = open_dataset(trials[0].data)
    whole, leading = run_frozen_backbones(trials, pairs, tmp_path, ResourcesSpec(), ignore)
    assert str(whole).startswith("tiny at 32 px, frozen: run for each image in every epoch, since")
    assert "by rotate_deg, scale, brightness, contrast, saturation; set these to 0, or" in whole.reason
    assert leading.num_bytes == 0
    (bounded, _) = run_frozen_backbones(
        StudySpec.read(STUDY).corners(), pairs, tmp_path, ResourcesSpec(features_gb=0), ignore
    )
    assert "more than `resources.features_gb`" in bounded.reason
    bank = StudySpec.read(
        {
            **STUDY,
            "data": data,
            "model": {"backbone": {"name": "tiny", "freeze": "all"}},
            "training": {"feature_bank": 8},
        }
    )
    with pytest.raises(ResourceError, match=r"`training.feature_bank`: must fit"):
        run_frozen_backbones(bank.corners(), pairs, tmp_path, ResourcesSpec(features_gb=1e-6), ignore)

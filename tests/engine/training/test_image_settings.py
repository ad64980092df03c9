"""The image settings of a trial hold in its training, its evaluation and its use on new pairs alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from study.data.cohort import open_cohort
from study.engine.applying.apply import chosen_trial, predict
from study.engine.orders.messages import Ending, EndMessage
from study.engine.start.preparing import _one_of_each_image_setting
from study.engine.training.session import TrainingSession
from study.engine.training.workers import WorkerGroup
from study.evidence.store import Store
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_alone

CPU = torch.device("cpu")
ALL: dict[str, Any] = {
    "data": {
        "dataset": {"name": "phantom", "variant": "grades", "num_patients": 80, "size_px": 40},
        "image_px": 32,
        "illumination": {"name": "clahe_lab", "tiles": 4},
        "align": "flip_right",
        "augmentation": {
            "flip_vertical": True,
            "crop": 0.5,
            "cutmix": {"kind": "standard", "probability": 1.0, "box": "per_eye"},
        },
    },
    "model": {"backbone": "tiny", "head": "softmax"},
    "loss": "cross_entropy",
    "training": {"epochs": 2, "batch_size": 16, "sampling": "class_balanced", "eye_weight": 0.3},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(spec: TrialSpec, folder: Path, cache: Path) -> tuple[EndMessage, Store]:
    return train_alone(order_of(spec), folder, cache), Store(folder)


def test_a_trial_with_everything_on_is_trained_and_used_again(tmp_path: Path, cache: Path) -> None:
    spec = TrialSpec.read(ALL)
    last, store = run(spec, tmp_path / "run", cache)
    assert last.ending is Ending.COMPLETE, last
    record = chosen_trial(store, None)
    cohort = open_cohort(spec.data, cache)
    again, _, pairs = predict(store, record, cohort.pairs, cache)
    stored = store.read("predictions", filters={"head": "network", "split": "test"}).set_index("sample")[
        "score"
    ]
    assert len(stored) > 5
    by_name = dict(zip(pairs.table["sample"], again.score, strict=True))
    for sample, score in stored.items():
        assert by_name[sample] == pytest.approx(np.asarray(score), abs=1e-5)


def test_evaluation_sees_aligned_eyes_and_nothing_else_changed(cache: Path) -> None:
    seen: list[torch.Tensor] = []
    for align in ("none", "flip_right"):
        session = TrainingSession.from_spec(
            TrialSpec.read({**ALL, "data": {**ALL["data"], "align": align}}), cache, CPU
        )
        session.net.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        session.embed("val")
    plain, aligned = (torch.cat(seen[i::2]).unflatten(0, (-1, 2)) for i in (0, 1))
    assert torch.equal(aligned[:, 0], plain[:, 0])
    assert torch.equal(aligned[:, 1], plain[:, 1].flip(-1))
    assert not torch.equal(aligned[:, 1], plain[:, 1])


def test_training_sees_aligned_eyes_after_all_other_changes(cache: Path) -> None:
    batches = []
    for align in ("none", "flip_right"):
        session = TrainingSession.from_spec(
            TrialSpec.read({**ALL, "data": {**ALL["data"], "align": align}}), cache, CPU
        )
        batches.append(next(iter(session.image_batches(WorkerGroup()))))
    plain, aligned = batches
    assert torch.equal(aligned.images, torch.stack([plain.images[:, 0], plain.images[:, 1].flip(-1)], dim=1))
    assert torch.equal(aligned.targets, plain.targets)
    assert torch.equal(aligned.view_targets, plain.view_targets)
    assert ((plain.targets > 0) & (plain.targets < 1)).any()


def test_a_combination_that_no_check_before_the_study_met_is_a_labelled_failure(
    tmp_path: Path, cache: Path
) -> None:
    data = {**ALL["data"], "dataset": {"name": "phantom", "num_patients": 80, "size_px": 40}}
    spec = TrialSpec.read(
        {**ALL, "data": data, "loss": "focal", "model": {"backbone": "tiny"}, "training": {"epochs": 1}}
    )
    last, _ = run(spec, tmp_path / "run", cache)
    assert last.ending is Ending.FAILED
    assert "`standard` mixes labels, got the loss `focal`" in last.message


def test_images_are_prepared_for_every_setting_of_a_search() -> None:
    choices = {"type": "categorical", "choices": ["none", "graham", {"name": "graham", "fill": 0}]}
    study = {
        "study": "a",
        "data": {"dataset": "eyepacs", "illumination": choices},
        "model": {"backbone": "tiny"},
        "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2}},
    }
    fillings = StudySpec.read(study).corners()
    assert len(fillings) > 3
    assert [str(filling.data.illumination) for filling in _one_of_each_image_setting(fillings)] == [
        "none",
        "graham",
        "graham(fill=0)",
    ]


@pytest.mark.parametrize("kind", ["same_label", "standard"])
def test_a_training_never_shows_a_pixel_of_validation_or_test(kind: str, tmp_path: Path) -> None:
    for i in range(60):
        Image.new("RGB", (16, 16), (4 * i + 10, 100, 100)).save(tmp_path / f"{i}.png")
    rows = [
        {"left": f"{i}.png", "right": f"{i}.png", "patient": f"p{i}", "a": i % 2, "b": i % 3 == 0}
        for i in range(60)
    ]
    pd.DataFrame(rows).astype({"b": int}).to_csv(tmp_path / "eyes.csv", index=False)
    unchanged = dict.fromkeys(("brightness", "contrast", "saturation", "rotate_deg", "scale"), 0)
    cutmix = {"kind": kind, "probability": 1}
    data = {
        "dataset": {"name": "table", "labels": ["a", "b"], "patient": "patient"},
        "root": str(tmp_path / "eyes.csv"),
        "image_px": 16,
        "crop": "none",
        "normalise": "half",
        "augmentation": {"flip_vertical": True, **unchanged, "cutmix": cutmix},
        "split": {"group_duplicates": False},
    }
    spec = TrialSpec.read({"data": data, "model": {"backbone": "tiny"}})
    session = TrainingSession.from_spec(spec, tmp_path / "cache", CPU)
    batches = session.image_batches(WorkerGroup())
    seen: set[int] = set()
    mixed = 0
    for epoch in range(12):
        batches.set_epoch(epoch)
        for batch in batches:
            red = ((batch.images[:, :, 0] * 0.5 + 0.5) * 255).round().long()
            seen |= set(((red - 10) // 4).unique().tolist())
            mixed += sum(len(sample.unique()) > 1 for sample in red)
    keys = [int(name.removesuffix(".png")) for name in session.cohort.pairs.table["left"]]
    pictures = {
        split: {keys[row] for row in session.cohort.rows(split)} for split in ("train", "val", "test")
    }
    assert mixed > 100
    assert seen == pictures["train"]
    assert not seen & (pictures["val"] | pictures["test"])

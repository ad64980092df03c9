"""The facts and pictures that a study keeps of its samples before the first trial."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from study.data.findings import findings_of
from study.engine.start.examples import PICTURE_PX, example_rows
from study.engine.start.start import Started, open_store, start
from study.evidence.run_tables import table_of_run
from study.spec.resolve import resolve

CORRECTIONS = ["none", "clahe_lab", "graham"]
STUDY: dict[str, Any] = {
    "study": "a",
    "data": {
        "dataset": "odir5k",
        "phantom_patients": 80,
        "image_px": 16,
        "illumination": {"type": "categorical", "choices": CORRECTIONS},
        "augmentation": {"cutmix": {"kind": "same_label"}},
    },
    "model": {"backbone": "tiny"},
    "search": {"trials": 1},
}


def started(folder: Path, **data: Any) -> Started:
    file = folder / "study.yaml"
    content = {**STUDY, "storage": str(folder / "runs"), "data": {**STUDY["data"], **data}}
    file.write_text(json.dumps(content))
    resolved = resolve(file, {}, "full", has_gpu=False)
    store = open_store(resolved)
    return start(resolved, store, "{}", folder.parent / "cache", lambda *_: None, lambda *_: None)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Started:
    return started(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def examples(ready: Started) -> pd.DataFrame:
    return table_of_run(ready.store, "examples")


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_the_facts_of_every_sample_are_kept(ready: Started) -> None:
    kept, cohort = table_of_run(ready.store, "samples"), ready.prepared.cohort
    table = cohort.pairs.table
    assert kept["sample"].tolist() == table["sample"].tolist()
    assert kept["split"].tolist() == cohort.assignment["split"].tolist()
    pd.testing.assert_series_equal(kept["age"], table["age"])
    assert kept["age"].isna().any()
    assert kept["sex"].fillna("").tolist() == table["sex"].tolist()
    assert [None if pd.isna(found) else found for found in kept["findings"]] == findings_of(cohort.pairs)
    assert np.array_equal(np.stack(kept["target"].tolist()), cohort.pairs.targets)
    assert kept["synthetic"].all()


def test_each_label_has_one_training_sample_at_every_stage(ready: Started, examples: pd.DataFrame) -> None:
    cohort = ready.prepared.cohort
    train = cohort.pairs.table["sample"].iloc[cohort.rows("train")].tolist()
    assert set(examples["sample"]) | set(examples["partner"].dropna()) <= set(train)
    assert list(dict.fromkeys(examples["label"])) == list(cohort.pairs.labels)
    light = [("illumination", correction) for correction in CORRECTIONS[1:]]
    stages = [("raw", ""), *light, ("cutmix", "same_label")]
    targets = dict(zip(cohort.pairs.table["sample"], cohort.pairs.targets.tolist(), strict=True))
    for label, rows in examples.groupby("label"):
        assert list(zip(rows["stage"], rows["setting"], strict=True)) == stages
        (sample,) = set(rows["sample"])
        assert targets[sample][cohort.pairs.labels.index(str(label))] == 1
        partner = rows["partner"].iloc[-1]
        assert partner != sample
        assert targets[partner] == targets[sample]


def test_cutmix_changes_one_rectangle_of_the_corrected_picture(examples: pd.DataFrame) -> None:
    of_label = examples[examples["label"] == "D"]
    images = dict(zip(of_label["setting"], of_label["images"], strict=True))
    for view in (0, 1):
        before, after = (pixels(images[setting][view]) for setting in ("clahe_lab", "same_label"))
        assert before.shape == (PICTURE_PX, PICTURE_PX, 3)
        difference = np.abs(before - after).max(axis=2)
        y, x = (np.flatnonzero((difference > 20).any(axis=axis)) for axis in (1, 0))
        assert 0 < len(y) * len(x) < 0.9 * PICTURE_PX**2
        outside = np.ones_like(difference, dtype=bool)
        outside[y[0] : y[-1] + 1, x[0] : x[-1] + 1] = False
        assert difference[outside].mean() < 1  # of JPEG alone


def test_the_same_study_keeps_the_same_pictures(ready: Started, examples: pd.DataFrame) -> None:
    again = example_rows(ready.prepared.cohort, ready.prepared.trials)
    assert [row["images"] for row in again] == [list(images) for images in examples["images"]]


def test_stages_that_the_study_does_not_have_are_left_out(tmp_path: Path) -> None:
    plain = started(tmp_path, illumination="none", augmentation={})
    assert set(table_of_run(plain.store, "examples")["stage"]) == {"raw"}


def test_pictures_are_made_once(tmp_path: Path) -> None:
    first = started(tmp_path, illumination="none")
    first.store.write_bytes("examples.parquet", b"mark")
    assert started(tmp_path, illumination="none").store.read_bytes("examples.parquet") == b"mark"


def test_single_images_have_one_picture(tmp_path: Path) -> None:
    single = started(tmp_path, dataset="folders", illumination="none")
    found = table_of_run(single.store, "examples")
    assert {len(images) for images in found["images"]} == {1}
    assert table_of_run(single.store, "samples")[["age", "sex", "findings"]].isna().all(axis=None)

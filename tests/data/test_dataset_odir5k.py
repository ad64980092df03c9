from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from study.data.datasets.odir5k import Odir5k
from study.spec.errors import DataError

Row: TypeAlias = tuple[str | float, ...]
ROWS: list[Row] = [
    (1, 57, "Male", "1_left.jpg", "1_right.jpg", "normal fundus", "normal fundus", 1, 0, 0, 0, 0, 0, 0, 0),
    (
        2,
        42,
        "Female",
        "2_left.jpg",
        "2_right.jpg",
        "laser spot，mild nonproliferative retinopathy",
        "drusen",
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        1,
    ),
    (30, 1, "Male", "30_left.jpg", "30_right.jpg", "lens dust", "cataract", 0, 0, 0, 1, 0, 0, 0, 0),
]
KEYWORDS = ["Left-Diagnostic Keywords", "Right-Diagnostic Keywords"]
COLUMNS = ["ID", "Patient Age", "Patient Sex", "Left-Fundus", "Right-Fundus", *KEYWORDS, *"NDGCAHMO"]


def official(
    root: Path,
    rows: Sequence[Row] = ROWS,
    images: Sequence[str] = ("1_left", "1_right", "2_left", "2_right", "30_right"),
    columns: list[str] = COLUMNS,
) -> Path:
    (root / "Training Images").mkdir(parents=True)
    pd.DataFrame(rows, columns=columns).to_excel(
        root / "ODIR-5K_Training_Annotations(Updated)_V2.xlsx", index=False
    )
    for name in images:
        (root / "Training Images" / f"{name}.jpg").touch()
    return root


def test_official_layout(tmp_path: Path) -> None:
    pairs = Odir5k(official(tmp_path)).read()
    assert (pairs.kind, pairs.num_views, pairs.synthetic, pairs.labels) == (
        "multilabel",
        2,
        False,
        tuple("NDGCAHMO"),
    )
    assert pairs.table["sample"].tolist() == pairs.table["patient"].tolist() == ["1", "2", "30"]
    assert pairs.keys == [
        ("1_left.jpg", "1_right.jpg"),
        ("2_left.jpg", "2_right.jpg"),
        (None, "30_right.jpg"),
    ]
    assert pairs.targets[1].tolist() == [0, 1, 0, 0, 0, 0, 0, 1]
    assert pairs.view_targets[1, 1].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert (pairs.view_targets[2, 0] == -1).all()
    assert pairs.table["age"].tolist() == [57.0, 42.0, 1.0]
    assert pairs.table["sex"].tolist() == ["Male", "Female", "Male"]


def test_kaggle_layout_has_a_row_for_each_eye(tmp_path: Path) -> None:
    (tmp_path / "preprocessed_images").mkdir()
    frame = pd.DataFrame([ROWS[0], ROWS[0], ROWS[1]], columns=COLUMNS)
    frame["filename"] = ["1_left.jpg", "1_right.jpg", "2_right.jpg"]
    for name in frame["filename"]:
        (tmp_path / "preprocessed_images" / name).touch()
    frame.to_csv(tmp_path / "full_df.csv", index=False)
    pairs = Odir5k(tmp_path).read()
    assert pairs.keys == [("1_left.jpg", "1_right.jpg"), (None, "2_right.jpg")]
    assert np.array_equal(pairs.targets, Odir5k(official(tmp_path / "other")).read().targets[:2])


def test_a_patient_without_any_file_keeps_both_names_so_that_the_cache_reports_them(tmp_path: Path) -> None:
    pairs = Odir5k(official(tmp_path, images=("1_left", "1_right"))).read()
    assert pairs.keys[1] == ("2_left.jpg", "2_right.jpg")


def test_an_image_that_appears_changes_the_fingerprint(tmp_path: Path) -> None:
    root = official(tmp_path)
    before = Odir5k(root).read().fingerprint
    assert before == Odir5k(root).read().fingerprint
    (root / "Training Images" / "30_left.jpg").touch()
    assert before != Odir5k(root).read().fingerprint


def test_missing_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    columns = [{"Patient Age": "Age of Patient", "H": "Hyp"}.get(c, c) for c in COLUMNS]
    with pytest.raises(DataError, match=r"`Patient Age` \(did you mean `Age of Patient`\?\), `H`"):
        Odir5k(official(tmp_path, columns=columns)).read()


@pytest.mark.parametrize("value", [2, "yes", 0.5])
def test_a_label_out_of_range_names_row_and_column(tmp_path: Path, value: str | float) -> None:
    wrong = (*ROWS[1][:9], value, *ROWS[1][10:])
    with pytest.raises(DataError, match=rf"row 3, column `G`: a label must be 0 or 1, got .*{value}"):
        Odir5k(official(tmp_path, rows=[ROWS[0], wrong])).read()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold ODIR-5K as one .xlsx sheet beside `Training Images/`"):
        Odir5k(tmp_path).read()


def test_a_sheet_that_is_no_sheet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Training Images").mkdir()
    (tmp_path / "sheet.xlsx").write_text("not a workbook")
    with pytest.raises(DataError, match=r"must be a readable .xlsx sheet"):
        Odir5k(tmp_path).read()

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from study.data.datasets.eyepacs import Eyepacs
from study.spec.errors import DataError


def written(root: Path, rows: Sequence[tuple[str, float]], images: list[str], folder: str = "train") -> Path:
    (root / folder).mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=["image", "level"]).to_csv(root / "trainLabels.csv", index=False)
    for name in images:
        (root / folder / f"{name}.jpeg").touch()
    return root


@pytest.mark.parametrize("folder", ["train", "."])
def test_the_patient_has_the_higher_grade(tmp_path: Path, folder: str) -> None:
    rows = [("10_left", 0), ("10_right", 3), ("13_right", 1), ("13_left", 1), ("7_left", 4)]
    pairs = Eyepacs(
        written(tmp_path, rows, ["10_left", "10_right", "13_left", "13_right", "7_left"], folder)
    ).read()
    assert pairs.kind == "grades"
    assert pairs.table["sample"].tolist() == ["10", "13", "7"]
    assert pairs.keys == [
        ("10_left.jpeg", "10_right.jpeg"),
        ("13_left.jpeg", "13_right.jpeg"),
        ("7_left.jpeg", None),
    ]
    assert pairs.targets.argmax(1).tolist() == [3, 1, 4]
    assert pairs.view_targets[0].argmax(1).tolist() == [0, 3]
    assert (pairs.view_targets[2, 1] == -1).all()


def test_a_file_that_is_not_there_is_a_missing_eye_but_two_are_bad_images(tmp_path: Path) -> None:
    rows = [("1_left", 0), ("1_right", 0), ("2_left", 0), ("2_right", 0)]
    pairs = Eyepacs(written(tmp_path, rows, ["1_right"])).read()
    assert pairs.keys == [(None, "1_right.jpeg"), ("2_left.jpeg", "2_right.jpeg")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("2_left", 5), r"row 3, column `level`: a grade must be 0, 1, 2, 3 or 4, got .*5"),
        (("2_left", 1.5), r"row 3, column `level`: .* got .*1\.5"),
        (("2_middle", 1), "row 3: `image` must be `<patient>_left` or `<patient>_right`, got '2_middle'"),
        (("1_left", 1), "row 3: each image must stand once, got `1_left` again"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, row: tuple[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Eyepacs(written(tmp_path, [("1_left", 0), row], [])).read()


def test_without_the_sheet(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"trainLabels.csv`: must be a CSV, Parquet or Excel file, got no such file"
    ):
        Eyepacs(tmp_path).read()

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from study.data.datasets.table import Table
from study.spec.components import parse
from study.spec.errors import DataError, SpecError

FRAME = pd.DataFrame(
    {
        "os": ["a/1.png", "a/2.png", ""],
        "od": ["b/1.png", "b/2.png", "b/3.png"],
        "who": ["007", "007", "8"],
        "years": [50, None, 61],
        "dr": [1, 0, None],
        "amd": [0, 1, None],
    }
)
PAIRED: dict[str, Any] = {"left": "os", "right": "od", "labels": ["dr", "amd"]}


def written(root: Path, frame: pd.DataFrame = FRAME, name: str = "sheet.csv") -> Path:
    path = root / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["sheet.csv", "sheet.parquet"])
def test_pairs_with_patients(tmp_path: Path, name: str) -> None:
    pairs = Table(written(tmp_path, name=name), **PAIRED, patient="who", age="years").read()
    assert pairs.keys == [("a/1.png", "b/1.png"), ("a/2.png", "b/2.png"), (None, "b/3.png")]
    assert pairs.table["patient"].tolist() == ["007", "007", "8"]
    assert pairs.table["sample"].tolist() == ["007-1", "007-2", "8-1"]
    assert pairs.targets.tolist() == [[1, 0], [0, 1], [-1, -1]]
    assert (pairs.view_targets == -1).all()
    assert pairs.table["age"].fillna(-1).tolist() == [50, -1, 61]


def test_without_a_patient_column_each_row_is_one(tmp_path: Path) -> None:
    assert Table(written(tmp_path), **PAIRED).read().table["patient"].tolist() == ["2", "3", "4"]


def test_single_images_with_a_column_of_names(tmp_path: Path) -> None:
    path = written(tmp_path, FRAME.assign(grade=["mild", "none", "mild"]))
    pairs = Table(
        path, left="od", right=None, labels=["none", "mild"], label_column="grade", kind="grades"
    ).read()
    assert (pairs.num_views, pairs.kind) == (1, "grades")
    assert pairs.targets.tolist() == pairs.view_targets[:, 0].tolist() == [[0, 1], [1, 0], [0, 1]]
    with pytest.raises(
        DataError, match=r"row 2, column `grade`: must be one of the labels, got 'mild'. Did you mean `milt`"
    ):
        Table(
            path, left="od", right=None, labels=["none", "milt"], label_column="grade", kind="grades"
        ).read()


def test_a_table_without_labels_can_be_predicted(tmp_path: Path) -> None:
    pairs = Table(written(tmp_path), left="os", right="od", labels=[]).read()
    assert pairs.targets.shape == (3, 0)


@pytest.mark.parametrize("path", ["../secret.png", "a/../../secret.png", "/etc/secret.png"])
def test_paths_stay_within_the_folder(tmp_path: Path, path: str) -> None:
    frame = FRAME.assign(od=["b/1.png", path, "b/3.png"])
    with pytest.raises(DataError, match=r"row 3: a path must stay within"):
        Table(written(tmp_path, frame), **PAIRED).read()


def test_paths_start_at_the_image_folder(tmp_path: Path) -> None:
    frame = FRAME.assign(od=["b/../b/1.png", str(tmp_path / "shots/b/2.png"), "b/3.png"])
    pairs = Table(written(tmp_path, frame), **PAIRED, image_folder="shots").read()
    assert [right for _, right in pairs.keys] == ["b/1.png", "b/2.png", "b/3.png"]


def test_missing_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`wo` \(did you mean `who`\?\)"):
        Table(written(tmp_path), **PAIRED, patient="wo").read()


def test_labels_must_be_given_and_typed() -> None:
    with pytest.raises(SpecError, match=r"data.dataset.table.labels`: must be given"):
        parse("dataset", "table", "data.dataset")


def test_an_empty_or_broken_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold at least one row"):
        Table(written(tmp_path, FRAME[:0]), **PAIRED).read()
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(DataError, match=r"must be a readable .parquet sheet"):
        Table(tmp_path / "broken.parquet", **PAIRED).read()
    (tmp_path / "broken.csv").write_bytes(b"os,od\n\xff\xfe\x00,1,2,3\n")
    with pytest.raises(DataError, match=r"must be UTF-8, got bytes that are not"):
        Table(tmp_path / "broken.csv", **PAIRED).read()

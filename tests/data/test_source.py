"""A study reads the data set of its root, else that of the environment, else a stand-in that says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.data.source import open_dataset
from study.spec.data_section import DataSpec
from study.spec.errors import DataError


def data(dataset: str | dict[str, Any], root: Path | None = None, **settings: Any) -> DataSpec:
    return DataSpec.model_validate({"dataset": dataset, "root": root, **settings})


@pytest.fixture(autouse=True)
def no_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ODIR5K", "EYEPACS", "FOLDERS", "TABLE"):
        monkeypatch.delenv(f"STUDY_ROOT_{name}", raising=False)


@pytest.mark.parametrize(
    ("name", "kind", "views"),
    [("odir5k", "multilabel", 2), ("eyepacs", "grades", 2), ("folders", "classes", 1)],
)
def test_without_a_root_the_phantom_stands_in_and_says_so(name: str, kind: str, views: int) -> None:
    pairs = open_dataset(data(name, phantom_patients=20))
    assert (pairs.dataset, pairs.synthetic, pairs.root) == ("phantom", True, "")
    assert (pairs.kind, pairs.num_views) == (kind, views)
    assert pairs.table["patient"].nunique() == 20


def test_the_stand_in_has_the_labels_of_the_real_set(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    (tmp_path / "trainLabels.csv").write_text("image,level\n1_left,0\n1_right,2\n")
    write_image(tmp_path / "1_left.jpeg")
    real, drawn = open_dataset(data("eyepacs", tmp_path)), open_dataset(data("eyepacs"))
    assert real.labels == drawn.labels
    assert (real.synthetic, drawn.synthetic) == (False, True)


def test_each_eye_is_a_sample_where_the_study_says_so() -> None:
    pairs, eyes = (open_dataset(data("eyepacs", unit=unit)) for unit in ("pair", "eye"))
    assert (pairs.num_views, eyes.num_views) == (2, 1)
    assert len(eyes) == 2 * len(pairs)


def test_the_environment_names_a_root_and_a_given_root_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        for folder in ("x", "y"):
            (tmp_path / name / f"{folder}{name}").mkdir(parents=True)
            (tmp_path / name / f"{folder}{name}" / "1.png").touch()
    monkeypatch.setenv("STUDY_ROOT_FOLDERS", str(tmp_path / "a"))
    assert open_dataset(data("folders")).labels == ("xa", "ya")
    assert open_dataset(data("folders", tmp_path / "b")).labels == ("xb", "yb")
    monkeypatch.setenv("STUDY_ROOT_FOLDERS", str(tmp_path / "gone"))
    with pytest.raises(DataError, match="`STUDY_ROOT_FOLDERS`: must be an existing file or folder"):
        open_dataset(data("folders"))


@pytest.mark.parametrize(
    ("dataset", "root", "message"),
    [
        ("odir5k", "gone", "`data.root`: must be an existing file or folder, got `.*gone`"),
        ("odir5k", "", "must hold ODIR-5K as one .xlsx sheet"),
        ("odir5k", "file.csv", "`data.root`: must be a folder for `odir5k`"),
        ({"name": "table", "labels": ["x"]}, "", "`data.root`: must be a file for `table`"),
        ("phantom", "", "the phantom is drawn and has no root"),
    ],
)
def test_a_root_that_is_given_but_wrong_is_never_replaced(
    tmp_path: Path, dataset: str | dict[str, Any], root: str, message: str
) -> None:
    (tmp_path / "file.csv").touch()
    with pytest.raises(DataError, match=message):
        open_dataset(data(dataset, tmp_path / root))


def test_a_table_needs_a_root() -> None:
    message = (
        r"must be given for `table`, got nothing. Give it there or in the environment as STUDY_ROOT_TABLE"
    )
    with pytest.raises(DataError, match=message):
        open_dataset(data({"name": "table", "labels": []}))

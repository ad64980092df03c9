from pathlib import Path

import pytest

from study.data.datasets.folders import Folders
from study.spec.errors import DataError


def written(root: Path) -> Path:
    for name in (
        "dots/p1_a.png",
        "dots/p1_b.PNG",
        "membrane/p2_a.jpg",
        "membrane/notes.txt",
        ".hidden/p3_a.png",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    return root


def test_folders_are_classes_of_single_images(tmp_path: Path) -> None:
    pairs = Folders(written(tmp_path)).read()
    assert (pairs.labels, pairs.kind, pairs.num_views) == (("dots", "membrane"), "classes", 1)
    assert pairs.keys == [("dots/p1_a.png",), ("dots/p1_b.PNG",), ("membrane/p2_a.jpg",)]
    assert pairs.targets.tolist() == pairs.view_targets[:, 0].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert pairs.table["patient"].nunique() == 3


@pytest.mark.parametrize("pattern", [r"^(p\d)_", r"p\d"])
def test_the_pattern_names_the_patient(tmp_path: Path, pattern: str) -> None:
    assert Folders(written(tmp_path), patient=pattern).read().table["patient"].tolist() == ["p1", "p1", "p2"]


def test_a_pattern_that_is_wrong_or_not_found(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be a regular expression, got '\('"):
        Folders(written(tmp_path), patient="(").read()
    with pytest.raises(DataError, match=r"must be found in each file's name, got 'p1' and 'p2_a.jpg'"):
        Folders(tmp_path, patient="p1").read()


def test_fewer_than_two_classes(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.png").touch()
    with pytest.raises(
        DataError, match=r"at least two folders with images, one for each class, got 1 \(only\)"
    ):
        Folders(tmp_path).read()

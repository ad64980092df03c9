from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study.data.datasets.phantom import Phantom
from study.data.findings import findings_of
from study.data.keywords import LABELS, eye_labels
from study.data.pairs import Pairs, single_eyes

NORMAL = "normal fundus"
CASES = {
    (NORMAL, NORMAL): "normal",
    (NORMAL, "drusen"): "asymmetric",
    ("drusen", "drusen，lens dust"): "symmetric",
    ("drusen", "epiretinal membrane"): "symmetric",  # both are O
    ("cataract", "cataract，drusen"): "asymmetric",
    ("mild nonproliferative retinopathy", "severe proliferative diabetic retinopathy"): "symmetric",
    ("lens dust", "drusen"): None,
    ("lens dust", "low image quality"): None,
}


@pytest.fixture
def pairs(make_pairs: Callable[..., Pairs]) -> Pairs:
    """One patient for each pair of keywords."""
    views = np.array([[eye_labels(eye) for eye in eyes] for eyes in CASES])
    return make_pairs(views.max(axis=1), view_targets=views, labels=LABELS, normal="N")


def test_the_keywords_say_whether_the_eyes_differ(pairs: Pairs) -> None:
    assert findings_of(pairs) == list(CASES.values())


def test_one_label_that_differs_is_enough_where_others_are_unknown(pairs: Pairs) -> None:
    views = pairs.view_targets[:1].repeat(2, axis=0)
    views[:, :, LABELS.index("O")] = -1
    views[0, 1, LABELS.index("D")] = 1
    two = replace(pairs.subset(np.array([0, 1])), view_targets=views)
    assert findings_of(two) == ["asymmetric", None]


def test_a_missing_eye_does_not_agree_with_the_other_one(pairs: Pairs) -> None:
    table = pairs.table.copy()
    table.loc[0, "right"] = None
    assert findings_of(replace(pairs, table=table))[:2] == [None, "asymmetric"]


def test_single_images_and_unknown_eyes_have_no_findings(
    pairs: Pairs, make_pairs: Callable[..., Pairs], tmp_path: Path
) -> None:
    assert set(findings_of(single_eyes(pairs))) == {None}
    unknown = make_pairs([[1, 0], [0, 1]], view_targets=np.full((2, 2, 2), -1, dtype=np.int8))
    assert findings_of(unknown) == [None, None]


def test_grades_without_disease_are_normal() -> None:
    pairs = Phantom(None, variant="grades", num_patients=40).read()
    grades = pairs.view_targets.argmax(axis=2)
    expected = [
        "asymmetric" if left != right else "symmetric" if left else "normal"
        for left, right in grades.tolist()
    ]
    assert findings_of(pairs) == expected
    assert set(expected) == {"asymmetric", "symmetric", "normal"}

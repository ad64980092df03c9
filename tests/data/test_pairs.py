from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.data.datasets.phantom import Phantom
from study.data.pairs import Pairs, fingerprint, one_hot, pairs_table, single_eyes
from study.spec.errors import DataError

TABLE = pairs_table(["a", "b"], ["p", "q"], ["a.png", None], ["b.png", "c.png"])


def test_subset_by_mask_and_by_positions_agree_and_change_the_fingerprint(
    make_pairs: Callable[..., Pairs],
) -> None:
    pairs = make_pairs([[1, 0], [0, 1], [1, 1]])
    by_mask, by_position = pairs.subset(np.array([True, False, True])), pairs.subset(np.array([0, 2]))
    assert by_mask.table["sample"].tolist() == ["s0", "s2"]
    assert by_mask.targets.tolist() == [[1, 0], [1, 1]]
    assert by_mask.fingerprint == by_position.fingerprint != pairs.fingerprint
    assert by_mask.keys == [("s0_left.png", "s0_right.png"), ("s2_left.png", "s2_right.png")]


def test_missing_eye_is_none_among_the_keys(make_pairs: Callable[..., Pairs]) -> None:
    assert make_pairs([[1], [0]], table=TABLE).keys == [("a.png", "b.png"), (None, "c.png")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": TABLE.assign(sample=["a", "a"])}, "each sample must stand once, got 'a'"),
        ({"table": TABLE.assign(patient=["p", ""])}, "sample and patient must be non-empty text"),
        (
            {"table": pairs_table(["a", "b"], ["p", "q"], [None, None], ["b.png", None])},
            "each sample must name an image, got none for 'b'",
        ),
        ({"table": TABLE.drop(columns="age")}, "got none named age"),
        ({"targets": np.array([[0], [3]], dtype=np.int8)}, "must be 0, 1 or -1 .unknown., got 3 for 's1'"),
        ({"table": TABLE, "targets": [[1], [0], [1]]}, r"must have the shape \(2, 1\)"),
        ({"labels": ("x", "x"), "targets": np.zeros((2, 2), dtype=np.int8)}, "labels must differ"),
        (
            {"num_views": 1, "view_targets": np.zeros((2, 1, 1), dtype=np.int8)},
            "single images must leave `right` empty",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    make_pairs: Callable[..., Pairs], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make_pairs(**{"targets": [[1], [0]], **changes})


def test_classes_need_exactly_one_label_or_none_known(make_pairs: Callable[..., Pairs]) -> None:
    pairs = make_pairs([[1, 0], [-1, -1]], kind="classes")
    with pytest.raises(
        DataError, match="exactly one label a sample where the kind is `grades`, got 2 for 's1'"
    ):
        replace(pairs, kind="grades", targets=np.array([[1, 0], [1, 1]], dtype=np.int8))


def test_one_hot_of_unknown_is_unknown() -> None:
    assert one_hot(np.array([[2, -1]]), 3).tolist() == [[[0, 0, 1], [-1, -1, -1]]]


def test_fingerprint_follows_files_and_labels(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    first = fingerprint(tmp_path, ["a", None, "absent"], np.array([0, 1]))
    assert first == fingerprint(tmp_path, ["a", "absent"], np.array([0, 1]))
    assert first != fingerprint(tmp_path, ["a", "absent"], np.array([1, 1]))
    (tmp_path / "absent").write_text("here now")
    assert first != fingerprint(tmp_path, ["a", "absent"], np.array([0, 1]))


def test_eyes_become_samples_of_their_patient() -> None:
    pairs = Phantom(None, variant="grades", num_patients=20).read()
    eyes = single_eyes(pairs)
    assert (eyes.num_views, len(eyes)) == (1, 40)
    assert eyes.table["sample"].tolist()[:2] == ["0-left", "0-right"]
    assert eyes.keys[1] == (pairs.keys[0][1],)
    assert (eyes.targets == pairs.view_targets.reshape(40, -1)).all()
    assert eyes.table["patient"].value_counts().eq(2).all()
    assert single_eyes(eyes) is eyes


def test_eyes_without_image_or_label_are_left_out() -> None:
    pairs = Phantom(None, variant="grades", num_patients=20).read()
    pairs.table.loc[3, "right"] = None
    pairs.view_targets[5, 0] = -1
    eyes = single_eyes(pairs)
    assert len(eyes) == 38
    assert not {"3-right", "5-left"} & set(eyes.table["sample"])

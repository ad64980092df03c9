import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from study.evidence.decisions import decide, tune_thresholds


def test_many_labels_need_more_than_the_threshold() -> None:
    score = np.array([[0.5, 0.51], [0.2, 0.9]])
    assert decide(score, "multilabel").tolist() == [[False, True], [False, True]]
    assert decide(score, "multilabel", np.array([0.1, 0.95])).tolist() == [[True, False], [True, False]]


def test_classes_take_the_first_of_the_greatest_scores() -> None:
    score = np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    assert decide(score, "classes").tolist() == [[True, False, False], [False, False, True]]
    assert decide(score, "grades").sum(axis=1).tolist() == [1, 1]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=25).filter(
        lambda rows: any(t for t, _ in rows)
    )
)
def test_no_threshold_has_a_better_f1_than_the_tuned_one(rows: list[tuple[bool, int]]) -> None:
    target = np.array([[t] for t, _ in rows]).astype(np.int8)
    score = np.array([[s / 6] for _, s in rows])
    tuned = tune_thresholds(target, score)
    best = max(f1_score(target[:, 0], score[:, 0] >= t, zero_division=0) for t in np.unique(score))
    assert f1_score(target[:, 0], score[:, 0] > tuned[0]) == pytest.approx(best)


def test_the_tuned_threshold_lies_midway_between_two_scores() -> None:
    target = np.array([[1], [1], [0], [0]], dtype=np.int8)
    assert tune_thresholds(target, np.array([[0.9], [0.6], [0.2], [0.1]])) == pytest.approx(0.4)


def test_a_label_without_a_positive_keeps_one_half() -> None:
    target = np.array([[0, 1], [0, 0]], dtype=np.int8)
    assert tune_thresholds(target, np.array([[0.9, 0.3], [0.1, 0.1]])).tolist() == pytest.approx([0.5, 0.2])

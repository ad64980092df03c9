import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from study.evidence.decisions import decide, decide_validation, tune_thresholds
from study.spec.task import ThresholdRule

Rows = list[tuple[bool, int]]  # whether a sample carries the label, and its score in sixths
SAMPLES = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=25)


def arrays(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Target and score of one label."""
    return np.array([[carries] for carries, _ in rows]).astype(np.int8), np.array([[s / 6] for _, s in rows])


def has_positive(rows: Rows) -> bool:
    return any(carries for carries, _ in rows)


def has_both(rows: Rows) -> bool:
    return has_positive(rows) and not all(carries for carries, _ in rows)


def test_many_labels_need_more_than_the_threshold() -> None:
    score = np.array([[0.5, 0.51], [0.2, 0.9]])
    assert decide(score, "multilabel", 0.5).tolist() == [[False, True], [False, True]]
    assert decide(score, "multilabel", np.array([0.1, 0.95])).tolist() == [[True, False], [True, False]]


def test_classes_take_the_first_of_the_greatest_scores() -> None:
    score = np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    target = np.array([[0, 1, 0], [0, 0, 1]])
    assert decide(score, "classes", 0.5).tolist() == [[True, False, False], [False, False, True]]
    assert decide(score, "grades", 0.5).sum(axis=1).tolist() == [1, 1]
    for rule in ("f1", "youden", "half"):
        assert (decide_validation(target, score, "classes", rule) == decide(score, "classes", 0.5)).all()


@settings(deadline=None, max_examples=50)
@given(SAMPLES.filter(has_positive))
def test_no_threshold_has_a_better_f1_than_the_tuned_one(rows: Rows) -> None:
    target, score = arrays(rows)
    tuned = tune_thresholds(target, score, "f1")
    best = max(f1_score(target[:, 0], score[:, 0] >= t, zero_division=0) for t in np.unique(score))
    assert f1_score(target[:, 0], score[:, 0] > tuned[0]) == pytest.approx(best)


@settings(deadline=None, max_examples=50)
@given(SAMPLES.filter(has_both))
def test_no_threshold_has_a_better_youden_index_than_the_tuned_one(rows: Rows) -> None:
    target, score = arrays(rows)
    (tuned,) = tune_thresholds(target, score, "youden")
    carries = target[:, 0] > 0

    def index(called: np.ndarray) -> float:
        return float(called[carries].mean() + (~called)[~carries].mean() - 1)

    candidates = [*np.unique(score), 2.0]  # at 2 nothing is called
    best = max(index(score[:, 0] >= t) for t in candidates)
    assert index(score[:, 0] > tuned) == pytest.approx(best)
    assert 2 * balanced_accuracy_score(carries, score[:, 0] > tuned) - 1 == pytest.approx(best)
    highest = max(t for t in candidates if index(score[:, 0] >= t) == pytest.approx(best))
    assert ((score[:, 0] > tuned) == (score[:, 0] >= highest)).all()


@settings(deadline=None, max_examples=50)
@given(SAMPLES)
def test_tuned_f1_on_validation_is_never_below_that_at_one_half(rows: Rows) -> None:
    target, score = arrays(rows)
    at_half, tuned = (
        f1_score(target[:, 0], decide_validation(target, score, "multilabel", rule)[:, 0], zero_division=0)
        for rule in ("half", "f1")
    )
    assert tuned >= at_half


def test_the_tuned_threshold_lies_midway_between_two_scores() -> None:
    target = np.array([[1], [1], [0], [0]], dtype=np.int8)
    score = np.array([[0.9], [0.6], [0.2], [0.1]])
    assert tune_thresholds(target, score, "f1") == pytest.approx(0.4)
    assert tune_thresholds(target, score, "youden") == pytest.approx(0.4)
    assert tune_thresholds(target, score, "half") == 0.5


def test_the_rules_differ_where_positives_are_rare() -> None:
    target = np.zeros((10, 1), dtype=np.int8)
    target[[0, 4]] = 1
    score = np.linspace(0.95, 0.05, 10)[:, None]
    # F1: 2/3 with the first sample called, 4/7 with five. Youden: 1/2, and 1 - 3/8.
    assert tune_thresholds(target, score, "f1") == pytest.approx((0.95 + 0.85) / 2)
    assert tune_thresholds(target, score, "youden") == pytest.approx((0.55 + 0.45) / 2)


@pytest.mark.parametrize(("rule", "called"), [("f1", True), ("youden", False), ("half", False)])
def test_scores_that_are_all_equal_are_all_called_or_none(rule: ThresholdRule, called: bool) -> None:
    """As those of the class prior: Youden's index is 0 either way, and the higher threshold is taken."""
    target, score = np.array([[1], [0], [0]], dtype=np.int8), np.full((3, 1), 0.3)
    assert decide_validation(target, score, "multilabel", rule).tolist() == [[called]] * 3


def test_a_label_that_cannot_be_tuned_keeps_one_half() -> None:
    target = np.array([[0, 1], [0, 0]], dtype=np.int8)
    score = np.array([[0.9, 0.3], [0.1, 0.1]])
    assert tune_thresholds(target, score, "f1").tolist() == pytest.approx([0.5, 0.2])
    assert tune_thresholds(target, score, "youden").tolist() == pytest.approx([0.5, 0.2])
    everyone = np.ones_like(target)
    assert tune_thresholds(everyone, score, "youden").tolist() == [0.5, 0.5]
    assert tune_thresholds(everyone, score, "f1").tolist() == pytest.approx([0.05, 0.05])

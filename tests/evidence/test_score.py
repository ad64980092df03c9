from itertools import product
from typing import Any

import numpy as np
import pytest

from study.evidence.arrow_tables import schema_table
from study.evidence.baselines import prior_predictions
from study.evidence.decisions import tune_thresholds
from study.evidence.metrics import metric_values, metrics_of
from study.evidence.score import score_rows, tuned_thresholds
from study.spec.task import ThresholdRule
from tests.evidence.fakes import LABELS, fake_predictions


def find(rows: list[dict[str, Any]], **wanted: str) -> float:
    """The value of the one row that has the wanted columns."""
    (found,) = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    return float(found["value"])


def test_every_metric_of_every_split_label_and_decision_has_one_row() -> None:
    splits = [fake_predictions(split="val", seed=1), fake_predictions(split="test", seed=2)]
    rows = score_rows(splits, "multilabel", LABELS, "f1")
    assert len(schema_table("scores", rows)) == len(rows)
    assert all(row["chosen"] and row["head"] == "network" and row["synthetic"] for row in rows)
    expected = set()
    for metric in metrics_of("multilabel").values():
        decisions = ("none",) if metric.needs == "score" else ("half", "tuned")
        for split, decision, label in product(
            ("val", "test"), decisions, LABELS if metric.per_label else [""]
        ):
            expected.add((split, decision, metric.name, label))
    assert {(r["split"], r["decision"], r["metric"], r["label"]) for r in rows} == expected
    assert len(rows) == len(expected)


def test_thresholds_tuned_on_validation_decide_the_test_split() -> None:
    val, test = fake_predictions(split="val", seed=1), fake_predictions(split="test", seed=2)
    rows = score_rows([test, val], "multilabel", LABELS, "f1")
    thresholds = tune_thresholds(val.target, val.score, "f1")
    tuned = metric_values("multilabel", test.target, test.score, test.score > thresholds)
    half = metric_values("multilabel", test.target, test.score, test.score > 0.5)
    assert find(rows, split="test", decision="tuned", metric="f1", label="D") == tuned["f1"][1]
    assert find(rows, split="test", decision="half", metric="odir_final") == half["odir_final"][0]
    assert find(rows, split="test", decision="none", metric="macro_auc") == half["macro_auc"][0]
    with pytest.raises(ValueError, match="thresholds must be tuned on the validation split, got `test`"):
        tuned_thresholds(test, "f1")


@pytest.mark.parametrize("rule", ["f1", "youden", "half"])
def test_the_rule_of_the_study_decides_the_tuned_rows(rule: ThresholdRule) -> None:
    val, test = fake_predictions(split="val", seed=1), fake_predictions(split="test", seed=2)
    rows = score_rows([val, test], "multilabel", LABELS, rule)
    called = test.score > tuned_thresholds(val, rule)
    expected = metric_values("multilabel", test.target, test.score, called)
    for metric in ("exact_match", "macro_f1", "odir_kappa"):
        assert find(rows, split="test", decision="tuned", metric=metric) == expected[metric][0]
    at_half = find(rows, split="test", decision="half", metric="exact_match")
    assert (expected["exact_match"][0] == at_half) == (rule == "half")


def test_the_class_prior_is_decided_at_its_own_thresholds() -> None:
    """Its best F1 on validation calls every label; at one half it calls none that is rare."""
    samples = fake_predictions(split="test")
    target = samples.target
    splits = [
        prior_predictions(
            trial="baseline-prior",
            train_target=target,
            split=split,
            sample=samples.sample,
            patient=samples.patient,
            target=target,
            synthetic=False,
        )
        for split in ("val", "test")
    ]
    rows = score_rows(splits, "multilabel", LABELS, "f1")
    share = target.mean(axis=0)
    assert (share < 0.5).all()
    assert find(rows, split="test", decision="half", metric="macro_f1") == 0
    tuned = find(rows, split="test", decision="tuned", metric="macro_f1")
    assert tuned == pytest.approx((2 * share / (1 + share)).mean())


def test_without_validation_nothing_is_tuned() -> None:
    rows = score_rows([fake_predictions(split="test")], "multilabel", LABELS, "f1")
    assert {row["decision"] for row in rows} == {"half", "none"}


def test_classes_are_decided_by_the_greatest_score() -> None:
    rows = score_rows(
        [fake_predictions(split="val", kind="classes"), fake_predictions(split="test", kind="classes")],
        "classes",
        ["a", "b", "c"],
        "f1",
    )
    assert {row["decision"] for row in rows} == {"argmax", "none"}
    assert find(rows, split="test", metric="accuracy") > 1 / 3


def test_samples_with_unknown_labels_are_left_out() -> None:
    some, nothing = fake_predictions(split="test"), fake_predictions(split="new")
    some.target[0] = -1
    nothing.target[:] = -1
    rows = score_rows([some, nothing], "multilabel", LABELS, "f1")
    assert {row["split"] for row in rows} == {"test"}
    expected = metric_values("multilabel", some.target[1:], some.score[1:], some.score[1:] > 0.5)
    assert find(rows, metric="exact_match") == expected["exact_match"][0]


def test_the_prior_says_the_training_share_of_each_label() -> None:
    train = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.int8)
    target = np.array([[1, 0], [0, 1]], dtype=np.int8)
    prior = prior_predictions(
        trial="baseline-prior",
        train_target=train,
        split="test",
        sample=["a", "b"],
        patient=["a", "b"],
        target=target,
        synthetic=False,
    )
    assert prior.head == "prior"
    assert prior.score.tolist() == [[0.75, 0.25]] * 2
    rows = score_rows([prior], "classes", ["x", "y"], "f1")
    assert find(rows, metric="accuracy") == 0.5
    assert find(rows, metric="macro_auc") == 0.5

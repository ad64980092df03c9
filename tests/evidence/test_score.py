import numpy as np
import pytest

from study.evidence.baselines import prior_predictions
from study.evidence.conform import conform
from study.evidence.decisions import tune_thresholds
from study.evidence.metrics import metrics_of, values
from study.evidence.score import score_rows, tuned_thresholds


def find(rows, **wanted):
    found = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    assert len(found) == 1, found
    return found[0]["value"]


def test_every_metric_of_every_split_label_and_decision_has_one_row(predictions):
    splits = [predictions(split="val", seed=1), predictions(split="test", seed=2)]
    rows = score_rows(splits, "multilabel", ["N", "D", "G"])
    assert len(conform("scores", rows)) == len(rows)
    assert all(row["chosen"] and row["head"] == "network" and row["synthetic"] for row in rows)
    metrics = metrics_of("multilabel").values()
    expected = {
        (split, decision, m.name, label)
        for split in ("val", "test")
        for m in metrics
        for decision in (("none",) if m.needs == "score" else ("half", "tuned"))
        for label in (["N", "D", "G"] if m.per_label else [""])
    }
    assert {(r["split"], r["decision"], r["metric"], r["label"]) for r in rows} == expected
    assert len(rows) == len(expected)


def test_thresholds_tuned_on_validation_decide_the_test_split(predictions):
    val, test = predictions(split="val", seed=1), predictions(split="test", seed=2)
    rows = score_rows([test, val], "multilabel", ["N", "D", "G"])
    thresholds = tune_thresholds(val.target, val.score)
    tuned = values("multilabel", test.target, test.score, test.score > thresholds)
    half = values("multilabel", test.target, test.score, test.score > 0.5)
    assert find(rows, split="test", decision="tuned", metric="f1", label="D") == tuned["f1"][1]
    assert find(rows, split="test", decision="half", metric="odir_final") == half["odir_final"][0]
    assert find(rows, split="test", decision="none", metric="macro_auc") == half["macro_auc"][0]
    with pytest.raises(ValueError, match="thresholds must be tuned on the validation split, got `test`"):
        tuned_thresholds(test)


def test_without_validation_nothing_is_tuned(predictions):
    rows = score_rows([predictions(split="test")], "multilabel", ["N", "D", "G"])
    assert {row["decision"] for row in rows} == {"half", "none"}


def test_classes_are_decided_by_the_greatest_score(predictions):
    rows = score_rows(
        [predictions(split="val", kind="classes"), predictions(split="test", kind="classes")],
        "classes",
        ["a", "b", "c"],
    )
    assert {row["decision"] for row in rows} == {"argmax", "none"}
    assert find(rows, split="test", metric="accuracy") > 1 / 3


def test_samples_with_unknown_labels_are_left_out(predictions):
    some, nothing = predictions(split="test"), predictions(split="new")
    some.target[0] = -1
    nothing.target[:] = -1
    rows = score_rows([some, nothing], "multilabel", ["N", "D", "G"])
    assert {row["split"] for row in rows} == {"test"}
    expected = values("multilabel", some.target[1:], some.score[1:], some.score[1:] > 0.5)
    assert find(rows, metric="exact_match") == expected["exact_match"][0]


def test_the_prior_says_the_training_share_of_each_label():
    train = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.int8)
    target = np.array([[1, 0], [0, 1]], dtype=np.int8)
    prior = prior_predictions("baseline-prior", train, "test", ["a", "b"], ["a", "b"], target, False)
    assert prior.head == "prior"
    assert prior.score.tolist() == [[0.75, 0.25]] * 2
    rows = score_rows([prior], "classes", ["x", "y"])
    assert find(rows, metric="accuracy") == 0.5
    assert find(rows, metric="macro_auc") == 0.5

from collections.abc import Sequence

import numpy as np
import pytest

from study.evidence.decisions import tune_thresholds
from study.evidence.further_objectives import further_values, smaller_is_better
from study.evidence.heads import fit_heads
from study.evidence.metrics import metric_value, metric_values
from study.evidence.objective import Judge, read_objective
from study.evidence.predictions import Embeddings
from study.evidence.retrieval import rank_references, retrieval_rows
from study.evidence.score import score_rows
from study.spec.errors import SpecError
from study.spec.task import ClassificationSpec, LabelKind, RetrievalSpec, Task, ThresholdRule
from tests.evidence.fakes import LABELS, fake_embeddings, fake_predictions

CLASSIFICATION, RETRIEVAL = ClassificationSpec(), RetrievalSpec()


def judge(
    name: str,
    kind: LabelKind = "multilabel",
    *,
    task: Task = CLASSIFICATION,
    trains_head: bool = True,
    heads: Sequence[str] = ("knn", "gaussian_nb"),
    thresholds: ThresholdRule = "f1",
) -> Judge:
    return Judge(
        objective=read_objective(name, kind, task),
        kind=kind,
        trains_head=trains_head,
        heads=tuple(heads),
        retrieval=RETRIEVAL,
        thresholds=thresholds,
    )


def never() -> Embeddings:
    raise AssertionError("the training samples are not needed")


@pytest.mark.parametrize(
    ("name", "kind", "task", "message"),
    [
        (
            "macro_f2",
            "multilabel",
            CLASSIFICATION,
            r"`objective`: must be a metric of multilabel data, got `macro_f2`. Did you mean `macro_f1`",
        ),
        ("best_head.acuracy", "classes", CLASSIFICATION, r"got `acuracy`. Did you mean `accuracy`"),
        ("hamming_loss", "multilabel", CLASSIFICATION, r"greater values are better, got `hamming_loss`"),
        (
            "best_head.hamming_loss",
            "multilabel",
            CLASSIFICATION,
            r"greater values are better, got `best_head.hamming_loss`",
        ),
        ("macro_mhr@10", "grades", CLASSIFICATION, r"`macro_mhr@10` needs `task: retrieval`"),
        (
            "macro_mhr@7",
            "grades",
            RETRIEVAL,
            r"must be a measure of retrieval, got `macro_mhr@7`. Did you mean `macro_mhr@",
        ),
        (
            None,
            "multilabel",
            RETRIEVAL,
            r"`task`: retrieval needs one class or grade a sample, got multilabel data",
        ),
    ],
)
def test_what_is_no_objective_is_said(name: str | None, kind: LabelKind, task: Task, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_objective(name, kind, task)


def test_names_are_read() -> None:
    assert read_objective(None, "grades", RETRIEVAL).name == "macro_map_possible@10"
    assert read_objective(None, "grades", CLASSIFICATION).measure == "quadratic_kappa"
    best = read_objective("best_head.macro_auc", "multilabel", CLASSIFICATION)
    assert (best.measure, best.by) == ("macro_auc", "best_head")
    assert read_objective("accuracy", "grades", RETRIEVAL).by == "own_head"


def test_a_trained_head_needs_no_training_samples() -> None:
    val = fake_embeddings("val")
    score = np.random.default_rng(0).random(val.target.shape)
    found = judge("macro_auc").value(score, val, never)
    assert found == metric_value("macro_auc", "multilabel", val.target, score, "f1")
    assert judge("macro_auc").choose_head(score, val, {}).head == "network"


@pytest.mark.parametrize("rule", ["f1", "youden", "half"])
def test_an_objective_that_decides_takes_the_thresholds_of_the_study(rule: ThresholdRule) -> None:
    val = fake_embeddings("val")
    score = 0.4 * np.random.default_rng(0).random(val.target.shape) * (1 + val.target)
    expected = metric_values(
        "multilabel", val.target, score, score > tune_thresholds(val.target, score, rule)
    )
    assert judge("macro_f1", thresholds=rule).value(score, val, never) == expected["macro_f1"][0]


@pytest.mark.parametrize("trains_head", [True, False])
def test_the_best_head_wins_and_is_named(trains_head: bool) -> None:
    train, val = fake_embeddings("train"), fake_embeddings("val")
    found = judge("best_head.macro_auc", trains_head=trains_head)
    fitted = fit_heads(train, [val], "multilabel", LABELS, found.heads, found.chooser, "f1")
    best = max(fitted.best.values(), key=lambda choice: choice.value)
    bad, good = np.full(val.target.shape, 0.5), val.target * 0.8 + 0.1
    assert found.value(bad, val, lambda: train) == best.value
    assert found.choose_head(bad, val, fitted.best) == best
    chosen = found.choose_head(good, val, fitted.best)
    assert chosen.head == ("network" if trains_head else best.head)


def test_a_loss_without_a_head_is_judged_by_its_neighbours() -> None:
    train, val = fake_embeddings("train"), fake_embeddings("val")
    score = val.target.astype(float)
    found = judge("macro_auc", trains_head=False)
    fitted = fit_heads(train, [val], "multilabel", LABELS, ("knn",), "macro_auc", "f1")
    assert found.value(score, val, lambda: train) == fitted.best["knn"].value
    assert found.choose_head(score, val, fitted.best) == fitted.best["knn"]
    assert judge("best_head.macro_auc", trains_head=False, heads=()).candidates == ("knn",)
    fixed = judge("macro_auc", trains_head=False, heads=("gaussian_nb", "knn k=2", "knn"))
    assert fixed.candidates == ("knn k=2",)


def test_retrieval_is_the_row_of_its_name() -> None:
    train, val = fake_embeddings("train", kind="grades"), fake_embeddings("val", kind="grades")
    found = judge("macro_mrr@5", "grades", task=RETRIEVAL)
    rows = retrieval_rows(rank_references(train, val, RETRIEVAL), val, "cosine", ["a", "b", "c"])
    value = next(row["value"] for row in rows if row["metric"] == "macro_mrr@5")
    assert found.value(val.target * 1.0, val, lambda: train) == value
    assert found.chooser == "quadratic_kappa"


def test_a_network_that_has_diverged_has_no_value() -> None:
    val = fake_embeddings("val")
    val.embedding[0, 0] = np.nan
    assert np.isnan(judge("best_head.macro_auc").value(val.target * 1.0, val, never))


def test_further_objectives_are_metrics_by_the_trials_head_and_costs() -> None:
    names = ["macro_auc", "hamming_loss", "num_parameters"]
    assert smaller_is_better(names, "multilabel") == [False, True, True]
    predictions = fake_predictions(split="val")
    scores = score_rows([predictions], "multilabel", LABELS, "f1")
    found = further_values(names, {"num_parameters": 7}, "network", scores)
    target, score = predictions.target, predictions.score
    assert found["macro_auc"] == metric_value("macro_auc", "multilabel", target, score, "f1")
    assert found["hamming_loss"] == metric_value("hamming_loss", "multilabel", target, score, "f1")
    assert found["num_parameters"] == 7
    assert np.isnan(further_values(["macro_auc"], {}, "knn", scores)["macro_auc"])
    with pytest.raises(SpecError, match=r"metrics of multilabel data or costs, got `num_parametres`"):
        smaller_is_better(["num_parametres"], "multilabel")

import numpy as np
import pytest

from study.evidence.heads import fit_heads
from study.evidence.judging import Judge, read_objective
from study.evidence.metrics import objective
from study.evidence.retrieval import Gallery, rank_references, retrieval_rows
from study.spec.errors import SpecError


def judge(name, kind="multilabel", *, retrieves=False, trains_head=True, heads=("knn", "gaussian_nb")):
    return Judge(read_objective(name, kind, retrieves), kind, trains_head, heads, Gallery())


def never():
    raise AssertionError("the training side is not needed")


@pytest.mark.parametrize(
    ("name", "kind", "retrieves", "message"),
    [
        (
            "macro_f2",
            "multilabel",
            False,
            r"`objective`: must be a metric of multilabel data, got `macro_f2`. Did you mean `macro_f1`",
        ),
        ("best_head.acuracy", "classes", False, r"got `acuracy`. Did you mean `accuracy`"),
        ("hamming_loss", "multilabel", False, r"greater values are better, got `hamming_loss`"),
        (
            "best_head.hamming_loss",
            "multilabel",
            False,
            r"greater values are better, got `best_head.hamming_loss`",
        ),
        ("macro_mhr@10", "grades", False, r"`macro_mhr@10` needs `task: retrieval`"),
        (
            "macro_mhr@7",
            "grades",
            True,
            r"must be a measure of retrieval, got `macro_mhr@7`. Did you mean `macro_mhr@",
        ),
        (
            None,
            "multilabel",
            True,
            r"`task`: retrieval needs one class or grade a sample, got multilabel data",
        ),
    ],
)
def test_what_is_no_objective_is_said(name, kind, retrieves, message):
    with pytest.raises(SpecError, match=message):
        read_objective(name, kind, retrieves)


def test_names_are_read():
    assert read_objective(None, "grades", True).name == "macro_map_possible@10"
    assert read_objective(None, "grades", False).measure == "quadratic_kappa"
    best = read_objective("best_head.macro_auc", "multilabel", False)
    assert (best.measure, best.by) == ("macro_auc", "best_head")
    assert read_objective("accuracy", "grades", True).by == "own_head"


def test_a_trained_head_needs_no_training_side(embeddings):
    val = embeddings("val")
    score = np.random.default_rng(0).random(val.target.shape)
    found = judge("macro_auc").value(score, val, never)
    assert found == objective("macro_auc", "multilabel", val.target, score)
    assert judge("macro_auc").pick(score, val, {}).head == "network"


@pytest.mark.parametrize("trains_head", [True, False])
def test_the_best_head_wins_and_is_named(embeddings, trains_head):
    train, val = embeddings("train"), embeddings("val")
    found = judge("best_head.macro_auc", trains_head=trains_head)
    fitted = fit_heads(train, [val], "multilabel", ["N", "D", "G"], found.heads, found.chooser)
    value, head, setting = max((value, head, setting) for head, (setting, value) in fitted.best.items())
    bad, good = np.full(val.target.shape, 0.5), val.target * 0.8 + 0.1
    assert found.value(bad, val, lambda: train) == value
    picked = found.pick(bad, val, fitted.best)
    assert (picked.head, picked.setting, picked.value) == (head, setting, value)
    assert found.pick(good, val, fitted.best).head == ("network" if trains_head else head)


def test_a_loss_without_a_head_is_judged_by_its_neighbours(embeddings):
    train, val = embeddings("train"), embeddings("val")
    score = val.target.astype(float)
    found = judge("macro_auc", trains_head=False)
    fitted = fit_heads(train, [val], "multilabel", ["N", "D", "G"], ("knn",), "macro_auc")
    assert found.value(score, val, lambda: train) == fitted.best["knn"][1]
    assert found.pick(score, val, fitted.best).setting == fitted.best["knn"][0]
    assert judge("best_head.macro_auc", trains_head=False, heads=()).candidates == ("knn",)


def test_retrieval_is_the_row_of_its_name(embeddings):
    train, val = embeddings("train", kind="grades"), embeddings("val", kind="grades")
    found = judge("macro_mrr@5", "grades", retrieves=True)
    rows = retrieval_rows(rank_references(train, val), val, "cosine", ["a", "b", "c"])
    value = next(r["value"] for r in rows if r["metric"] == "macro_mrr@5")
    assert found.value(val.target * 1.0, val, lambda: train) == value
    assert found.chooser == "quadratic_kappa"


def test_a_network_that_has_diverged_has_no_value(embeddings):
    val = embeddings("val")
    val.embedding[0, 0] = np.nan
    assert np.isnan(judge("best_head.macro_auc").value(val.target * 1.0, val, never))

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from study.evidence.decisions import decide, decide_validation
from study.evidence.evaluation import Evaluation
from study.evidence.metrics import DEFAULT_OBJECTIVE, metric_value, metric_values, metrics_of
from study.evidence.ranking import rank_labels, rank_metrics
from study.spec.errors import SpecError
from study.spec.task import LabelKind

Labels = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Target, score and decision."""


def many_labels(seed: int = 0) -> Labels:
    num_samples, num_labels = 120, 8
    rng = np.random.default_rng(seed)
    target = (rng.random((num_samples, num_labels)) < 0.2).astype(np.int8)
    target[:num_labels] |= np.eye(num_labels, dtype=np.int8)
    score = (rng.random((num_samples, num_labels)) * 0.6 + 0.3 * target).round(2)  # rounding makes ties
    return target, score, score > 0.5


def one_class() -> Labels:
    num_samples, num_labels = 90, 4
    rng = np.random.default_rng(0)
    target = np.eye(num_labels, dtype=np.int8)[rng.integers(0, num_labels, num_samples)]
    score = rng.dirichlet(np.ones(num_labels), num_samples) + 0.5 * target
    return target, score, decide(score, "classes", 0.5)


def test_many_labels_agree_with_scikit_learn() -> None:
    target, score, decision = many_labels()
    found = metric_values("multilabel", target, score, decision)
    flat = (target.ravel(), decision.ravel())
    expected = {
        "odir_kappa": oracle.cohen_kappa_score(*flat),
        "odir_f1": oracle.f1_score(*flat, average="micro"),
        "odir_auc": oracle.roc_auc_score(target.ravel(), score.ravel()),
        "micro_precision": oracle.precision_score(target, decision, average="micro"),
        "micro_recall": oracle.recall_score(target, decision, average="micro"),
        "micro_f1": oracle.f1_score(target, decision, average="micro"),
        "micro_auc": oracle.roc_auc_score(target, score, average="micro"),
        "micro_average_precision": oracle.average_precision_score(target, score, average="micro"),
        "exact_match": oracle.accuracy_score(target, decision),
        "hamming_loss": oracle.hamming_loss(target, decision),
        "sample_jaccard": oracle.jaccard_score(target, decision, average="samples", zero_division=1),
        "macro_precision": oracle.precision_score(target, decision, average="macro", zero_division=0),
        "macro_recall": oracle.recall_score(target, decision, average="macro"),
        "macro_f1": oracle.f1_score(target, decision, average="macro"),
        "macro_auc": oracle.roc_auc_score(target, score, average="macro"),
        "macro_average_precision": oracle.average_precision_score(target, score, average="macro"),
        "macro_kappa": np.mean([oracle.cohen_kappa_score(target[:, j], decision[:, j]) for j in range(8)]),
        "macro_specificity": np.mean(
            [oracle.recall_score(1 - target[:, j], ~decision[:, j]) for j in range(8)]
        ),
    }
    expected["odir_final"] = (expected["odir_kappa"] + expected["odir_f1"] + expected["odir_auc"]) / 3
    per_label = {name for name, metric in metrics_of("multilabel").items() if metric.per_label}
    assert set(found) == set(expected) | per_label
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-12, err_msg=name)


def test_per_label_values_agree_with_scikit_learn() -> None:
    target, score, decision = many_labels(seed=1)
    found = metric_values("multilabel", target, score, decision)
    for j in range(8):
        truth, said = target[:, j], decision[:, j]
        expected = {
            "precision": oracle.precision_score(truth, said, zero_division=0),
            "recall": oracle.recall_score(truth, said),
            "specificity": oracle.recall_score(1 - truth, ~said),
            "f1": oracle.f1_score(truth, said),
            "kappa": oracle.cohen_kappa_score(truth, said),
            "auc": oracle.roc_auc_score(truth, score[:, j]),
            "average_precision": oracle.average_precision_score(truth, score[:, j]),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][j], value, rtol=1e-12, err_msg=name)


def test_classes_and_grades_agree_with_scikit_learn() -> None:
    target, score, decision = one_class()
    truth, said = target.argmax(axis=1), decision.argmax(axis=1)
    found = metric_values("grades", target, score, decision)
    expected = {
        "accuracy": oracle.accuracy_score(truth, said),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, said),
        "cohen_kappa": oracle.cohen_kappa_score(truth, said),
        "quadratic_kappa": oracle.cohen_kappa_score(truth, said, weights="quadratic"),
        "mean_absolute_error": oracle.mean_absolute_error(truth, said),
        "macro_precision": oracle.precision_score(truth, said, average="macro"),
        "macro_f1": oracle.f1_score(truth, said, average="macro"),
        "macro_auc": oracle.roc_auc_score(target, score, average="macro"),
        "macro_average_precision": oracle.average_precision_score(target, score, average="macro"),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-12, err_msg=name)
    assert "odir_final" not in metrics_of("classes")
    assert "quadratic_kappa" not in metrics_of("classes")


def test_multiplicities_weigh_like_repeated_samples() -> None:
    target, score, decision = many_labels()
    weights = np.random.default_rng(2).integers(0, 4, (len(target), 3)).astype(float)
    weighted = Evaluation(target, score, decision, weights)
    for column in range(3):
        rows = np.repeat(np.arange(len(target)), weights[:, column].astype(int))
        repeated = Evaluation(target[rows], score[rows], decision[rows])
        for name, metric in metrics_of("multilabel").items():
            np.testing.assert_allclose(
                metric.compute(weighted)[..., column], metric.compute(repeated)[..., 0], err_msg=name
            )


def test_multiplicities_weigh_like_repeated_samples_of_grades() -> None:
    target, score, decision = one_class()
    weights = np.random.default_rng(2).integers(0, 4, (len(target), 1)).astype(float)
    rows = np.repeat(np.arange(len(target)), weights[:, 0].astype(int))
    for name, metric in metrics_of("grades").items():
        repeated = metric.compute(Evaluation(target[rows], score[rows], decision[rows]))
        np.testing.assert_allclose(
            metric.compute(Evaluation(target, score, decision, weights)), repeated, err_msg=name
        )


def test_an_absent_label_has_no_value_and_is_left_out_of_the_mean() -> None:
    target, score, decision = many_labels()
    target[:, 3] = 0
    found = metric_values("multilabel", target, score, decision)
    present = [j for j in range(8) if j != 3]
    for name, metric in metrics_of("multilabel").items():
        if metric.per_label:
            assert np.isnan(found[name][3]), name
            assert np.isfinite(found[name][present]).all(), name
            np.testing.assert_allclose(found[f"macro_{name}"], found[name][present].mean())


def test_nothing_to_judge_gives_nan_without_a_warning() -> None:
    nothing = np.zeros((5, 2), dtype=np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metric_values("multilabel", nothing, np.zeros((5, 2)), nothing > 0)
    assert np.isnan(found["macro_auc"]).all()
    assert np.isnan(found["odir_kappa"]).all()
    assert found["odir_f1"] == 1


def test_the_class_prior_has_the_published_trivial_scores() -> None:
    counts = [1140, 1128, 215, 212, 164, 103, 174, 979]  # of ODIR-5K's 3,500 patients, N to O
    rng = np.random.default_rng(0)
    target = np.zeros((3500, 8), dtype=np.int8)
    for label, count in enumerate(counts):
        target[rng.choice(3500, count, replace=False), label] = 1
    score = np.tile(target.mean(axis=0), (3500, 1))
    found = metric_values("multilabel", target, score, score > 0.5)
    assert found["odir_kappa"] == 0
    assert found["odir_f1"] == pytest.approx(0.853, abs=5e-4)
    assert found["odir_auc"] == pytest.approx(0.758, abs=5e-4)
    assert found["odir_final"] == pytest.approx(0.537, abs=5e-4)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40))
def test_unweighted_kappa_never_exceeds_accuracy(pairs: list[tuple[int, int]]) -> None:
    truth, said = np.array(pairs).T
    found = metric_values("classes", np.eye(4, dtype=np.int8)[truth], np.eye(4)[said], np.eye(4)[said] > 0)
    assert np.isnan(found["cohen_kappa"][0]) or found["cohen_kappa"][0] <= found["accuracy"][0] + 1e-12


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30).filter(
        lambda rows: len({t for t, _ in rows}) == 2
    )
)
def test_ranking_with_many_ties_agrees_with_the_pairwise_definition(rows: list[tuple[bool, int]]) -> None:
    target = np.array([t for t, _ in rows])
    score = np.array([s / 4 for _, s in rows])
    auc, average_precision = rank_metrics(target, score, np.ones((len(rows), 1)))
    for ours, of_labels in zip(
        (auc, average_precision), rank_labels(target[:, None], score[:, None]), strict=True
    ):
        np.testing.assert_allclose(of_labels, ours)
    wins = [(p > n) + (p == n) / 2 for p in score[target] for n in score[~target]]
    thresholds = sorted(set(score), reverse=True)
    recall = [0.0] + [(target & (score >= t)).sum() / target.sum() for t in thresholds]
    precision = [(target & (score >= t)).sum() / (score >= t).sum() for t in thresholds]
    assert auc[0] == pytest.approx(np.mean(wins))
    assert average_precision[0] == pytest.approx(
        sum((recall[i + 1] - recall[i]) * p for i, p in enumerate(precision))
    )


@pytest.mark.parametrize("kind", ["multilabel", "classes", "grades"])
def test_the_objective_is_the_metric_at_plain_decisions(kind: LabelKind) -> None:
    target, score, _ = many_labels() if kind == "multilabel" else one_class()
    found = metric_values(kind, target, score, decide_validation(target, score, kind, "f1"))
    for name, metric in metrics_of(kind).items():
        if not metric.per_label:
            assert metric_value(name, kind, target, score, "f1") == pytest.approx(found[name][0], nan_ok=True)
    assert DEFAULT_OBJECTIVE[kind] in metrics_of(kind)


def test_an_unknown_objective_names_the_nearest() -> None:
    target, score, _ = many_labels()
    with pytest.raises(
        SpecError,
        match=r"`name`.*got `macro_f2`\. Did you mean `macro_f1`\? Known: .*odir_final",
    ):
        metric_value("macro_f2", "multilabel", target, score, "f1")
    with pytest.raises(SpecError, match="got `f1`"):
        metric_value("f1", "multilabel", target, score, "f1")


def test_better_is_downwards_only_for_losses() -> None:
    downwards = {name for name, metric in metrics_of("grades").items() if not metric.greater_is_better}
    downwards |= {name for name, metric in metrics_of("multilabel").items() if not metric.greater_is_better}
    assert downwards == {"hamming_loss", "mean_absolute_error"}


def test_unknown_targets_and_broken_scores_are_refused() -> None:
    target, score, decision = many_labels()
    target[0, 0] = -1
    with pytest.raises(ValueError, match="`target`: must be 0 or 1"):
        Evaluation(target, score, decision)
    target[0, 0], score[0, 0] = 0, np.nan
    with pytest.raises(ValueError, match="`score`: must be finite"):
        Evaluation(target, score, decision)
    score[0, 0] = 0
    with pytest.raises(ValueError, match="`decision`: is needed"):
        metrics_of("multilabel")["macro_f1"].compute(Evaluation(target, score))


def test_a_diverged_network_has_no_objective() -> None:
    target, score, _ = many_labels()
    score[3, 2] = np.inf
    assert np.isnan(metric_value("macro_auc", "multilabel", target, score, "f1"))


def test_a_resample_without_any_sample_is_undefined_without_a_warning() -> None:
    kinds: dict[LabelKind, Labels] = {"multilabel": many_labels(), "grades": one_class()}
    for kind, (target, score, decision) in kinds.items():
        nobody = Evaluation(target, score, decision, np.zeros((len(target), 2)))
        for name, metric in metrics_of(kind).items():
            assert np.isnan(metric.compute(nobody)).all(), name

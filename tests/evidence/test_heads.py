from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from study.evidence import classifiers
from study.evidence.conform import conform
from study.evidence.heads import POSTHOC_HEADS, fit_heads
from study.evidence.logistic import logistic_path
from study.evidence.metrics import objective
from study.evidence.neighbours import nearest, votes_for_all_k
from study.spec.errors import SpecError

LABELS = ["N", "D", "G"]


@pytest.mark.parametrize("kind", ["multilabel", "classes"])
def test_logistic_regression_is_scikit_learns(embeddings, kind):
    train, test = embeddings("train", 80, kind=kind), embeddings("test", kind=kind)
    features = train.embedding.astype(np.float64)
    centre, spread = features.mean(axis=0), features.std(axis=0)
    for strength, model in logistic_path(features, train.target, (0.01, 0.5), kind == "classes"):
        scaled, new = (features - centre) / spread, (test.embedding - centre) / spread
        if kind == "classes":
            expected = (
                LogisticRegression(C=strength, tol=1e-8)
                .fit(scaled, train.target.argmax(axis=1))
                .predict_proba(new)
            )
        else:
            one = [
                LogisticRegression(C=strength, tol=1e-8)
                .fit(scaled, train.target[:, j])
                .predict_proba(new)[:, 1]
                for j in range(3)
            ]
            expected = np.stack(one, axis=1)
        np.testing.assert_allclose(model.predict(test.embedding), expected, atol=2e-3)


@pytest.mark.parametrize("kind", ["multilabel", "classes"])
@pytest.mark.parametrize("head", POSTHOC_HEADS)
def test_every_head_beats_chance_and_reports_the_choice(embeddings, kind, head):
    train, val, test = (embeddings(split, kind=kind) for split in ("train", "val", "test"))
    found = fit_heads(train, [val, test], kind, LABELS, [head])
    setting, value = found.best[head]
    assert [(p.split, p.head, p.setting) for p in found.predictions] == [
        ("val", head, setting),
        ("test", head, setting),
    ]
    chooser = "macro_average_precision" if kind == "multilabel" else "balanced_accuracy"
    assert objective(chooser, kind, val.target, found.predictions[0].score) == pytest.approx(value)
    assert objective("macro_auc", kind, test.target, found.predictions[1].score) > 0.6
    rows = conform("scores", found.scores).to_pandas()
    assert (rows["head"] == head).all()
    assert set(rows.loc[rows["chosen"], "setting"]) == {setting}
    curve = rows[~rows["chosen"]]
    assert set(curve["metric"]) == {chooser}
    assert set(curve["split"]) == {"val"}
    assert curve["value"].max() <= value
    assert setting not in set(curve["setting"])


def test_the_neighbour_heads_try_every_k_distance_and_vote(embeddings):
    train, val = embeddings("train", 60), embeddings("val")
    found = fit_heads(train, [val], "multilabel", LABELS, ["knn"], curve_metrics=["macro_f1"])
    settings = {row["setting"] for row in found.scores}
    assert settings == {
        f"k={k}, {d}, {v}"
        for k in range(1, 51)
        for d in ("euclidean", "cosine")
        for v in ("uniform", "distance")
    }
    value = {(r["setting"], r["metric"]): r["value"] for r in found.scores if not r["chosen"]}
    votes = votes_for_all_k(nearest(train.embedding, val.embedding, "cosine"), train.target, "uniform")
    setting = "k=9, cosine, uniform"
    assert value[setting, "macro_average_precision"] == objective(
        "macro_average_precision", "multilabel", val.target, votes[8]
    )
    assert value[setting, "macro_f1"] == objective("macro_f1", "multilabel", val.target, votes[8])


def test_a_loss_is_minimised(embeddings):
    train, val = embeddings("train", 60), embeddings("val")
    found = fit_heads(
        train, [val], "multilabel", LABELS, ["logistic_regression"], objective_name="hamming_loss"
    )
    curve = [row["value"] for row in found.scores if not row["chosen"]]
    assert found.best["logistic_regression"][1] <= min(curve)


def test_the_nearest_fifty_are_kept_by_name(embeddings):
    train, val, test = embeddings("train", 60), embeddings("val", 5), embeddings("test", 6)
    found = fit_heads(train, [val, test], "multilabel", LABELS)
    rows = conform("neighbours", found.neighbours).to_pandas()
    metric = "cosine" if "cosine" in found.best["knn"][0] else "euclidean"
    assert rows["split"].tolist() == ["val"] * 5 + ["test"] * 6
    assert set(rows["metric"]) == {metric}
    near = nearest(train.embedding, test.embedding, metric)
    assert rows["neighbour"][7].tolist() == [train.sample[i] for i in near.index[2]]
    np.testing.assert_allclose(rows["distance"][7], near.distance[2], rtol=1e-6)
    assert fit_heads(train, [val], "multilabel", LABELS, ["gaussian_nb"]).neighbours.num_rows == 0


def test_unknown_labels_do_not_teach(embeddings):
    train, val = embeddings("train", 60), embeddings("val")
    expected = fit_heads(train, [val], "multilabel", LABELS).best
    more = embeddings("train", 60)
    more.target[:] = -1
    both = {
        name: np.concatenate([getattr(train, name), getattr(more, name)]) for name in ("target", "embedding")
    }
    names = {name: [*train.sample, *more.sample] for name in ("sample", "patient")}
    assert fit_heads(replace(train, **both, **names), [val], "multilabel", LABELS).best == expected


def test_unknown_labels_in_validation_do_not_choose(embeddings):
    train, val = embeddings("train", 60), embeddings("val")
    val.target[:4] = -1
    found = fit_heads(train, [val], "multilabel", LABELS, ["logistic_regression"])
    assert len(found.predictions[0].sample) == 40
    known = objective("macro_average_precision", "multilabel", val.target[4:], found.predictions[0].score[4:])
    assert found.best["logistic_regression"][1] == pytest.approx(known)


def test_classifiers_are_scikit_learns_one_fit_a_label(embeddings):
    train, test = embeddings("train", 60), embeddings("test")
    scorer = classifiers.fit_scorer(lambda: GaussianNB(), train.embedding, train.target, exclusive=False)
    expected = [
        GaussianNB().fit(train.embedding, train.target[:, j]).predict_proba(test.embedding)[:, 1]
        for j in range(3)
    ]
    np.testing.assert_allclose(scorer(test.embedding), np.stack(expected, axis=1), rtol=1e-5)


def test_the_margin_of_a_support_vector_machine_decides_at_one_half(embeddings):
    train, test = embeddings("train", 60, noise=2.0), embeddings("test", noise=2.0)
    scorer = classifiers.fit_scorer(
        lambda: classifiers.svm(1.0, scaled=False), train.embedding, train.target, exclusive=False
    )
    expected = [SVC(C=1).fit(train.embedding, train.target[:, j]).predict(test.embedding) for j in range(3)]
    np.testing.assert_array_equal(scorer(test.embedding) > 0.5, np.stack(expected, axis=1) > 0)


def test_scaling_matters_to_a_support_vector_machine(embeddings):
    train, test = embeddings("train", 60), embeddings("test")
    train.embedding[:, 0] *= 1e4
    test.embedding[:, 0] *= 1e4
    auc = {}
    for scaled in (True, False):
        scorer = classifiers.fit_scorer(
            lambda s=scaled: classifiers.svm(1.0, s), train.embedding, train.target, exclusive=False
        )
        auc[scaled] = objective("macro_auc", "multilabel", test.target, scorer(test.embedding))
    assert auc[True] > auc[False] + 0.05


@pytest.mark.parametrize("exclusive", [False, True])
def test_labels_that_training_never_or_always_shows_get_a_constant(embeddings, exclusive):
    train = embeddings("train", 60, kind="classes" if exclusive else "multilabel")
    target = np.column_stack([train.target, np.zeros(60, np.int8)])
    scorer = classifiers.fit_scorer(lambda: GaussianNB(), train.embedding, target, exclusive)
    assert (scorer(train.embedding)[:, 3] == 0).all()
    always = np.column_stack([np.ones(60, np.int8), np.zeros(60, np.int8)])
    constant = classifiers.fit_scorer(lambda: GaussianNB(), train.embedding, always, exclusive)(
        train.embedding
    )
    assert constant.tolist() == [[1, 0]] * 60


def test_unknown_heads_metrics_and_a_missing_validation_split_are_refused(embeddings):
    train, val, test = embeddings("train"), embeddings("val"), embeddings("test")
    with pytest.raises(SpecError, match=r"`heads`: must be post-hoc heads, got `knm`\. Did you mean `knn`\?"):
        fit_heads(train, [val], "multilabel", LABELS, ["knm"])
    with pytest.raises(
        SpecError, match="`curve_metrics`: must be a metric of multilabel data, got `acuracy`"
    ):
        fit_heads(train, [val], "multilabel", LABELS, curve_metrics=["acuracy"])
    with pytest.raises(ValueError, match="must hold the validation split"):
        fit_heads(train, [test], "multilabel", LABELS)

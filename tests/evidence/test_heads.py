from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from study.evidence import classifiers
from study.evidence.arrow_tables import schema_table
from study.evidence.heads import FITTERS, FittedHeads, choose_settings, fit_heads
from study.evidence.logistic import logistic_path
from study.evidence.metrics import metric_value
from study.evidence.neighbours import nearest, votes_for_all_k
from study.evidence.predictions import Embeddings
from study.spec.errors import SpecError
from study.spec.task import LabelKind
from tests.evidence.fakes import LABELS, fake_embeddings

AVERAGE_PRECISION = "macro_average_precision"
WAYS = [f"{distance}, {votes}" for distance in ("euclidean", "cosine") for votes in ("uniform", "distance")]


def fit(
    train: Embeddings, *queries: Embeddings, head: str = "knn", chooser: str = AVERAGE_PRECISION
) -> FittedHeads:
    """One head on multilabel data."""
    return fit_heads(train, queries, "multilabel", LABELS, (head,), chooser, "f1")


@pytest.mark.parametrize("num_features", [8, 200], ids=["fewer features", "more features than samples"])
@pytest.mark.parametrize("kind", ["multilabel", "classes"])
def test_logistic_regression_is_scikit_learns(kind: LabelKind, num_features: int) -> None:
    train, test = fake_embeddings("train", 80, kind=kind), fake_embeddings("test", kind=kind)
    mixed = np.random.default_rng(0).normal(size=(train.embedding.shape[1], num_features))
    features, others = (np.tanh(part.embedding.astype(np.float64) @ mixed) for part in (train, test))
    centre, spread = features.mean(axis=0), features.std(axis=0)
    scaled, new = (features - centre) / spread, (others - centre) / spread
    exclusive = kind == "classes"
    for strength, model in logistic_path(features, train.target, (0.01, 0.5), exclusive=exclusive):
        oracle = LogisticRegression(C=strength, tol=1e-8)
        if exclusive:
            expected = oracle.fit(scaled, train.target.argmax(axis=1)).predict_proba(new)
        else:
            one = [oracle.fit(scaled, train.target[:, j]).predict_proba(new)[:, 1] for j in range(3)]
            expected = np.stack(one, axis=1)
        np.testing.assert_allclose(model.predict(others), expected, atol=2e-3)


@pytest.mark.parametrize("kind", ["multilabel", "classes"])
@pytest.mark.parametrize("head", FITTERS)
def test_every_head_beats_chance_and_reports_the_choice(kind: LabelKind, head: str) -> None:
    train, val, test = (fake_embeddings(split, kind=kind) for split in ("train", "val", "test"))
    chooser = AVERAGE_PRECISION if kind == "multilabel" else "balanced_accuracy"
    found = fit_heads(train, [val, test], kind, LABELS, [head], chooser, "f1")
    best = found.best[head]
    assert best.head == head
    assert [(p.split, p.head, p.setting) for p in found.predictions] == [
        ("val", head, best.setting),
        ("test", head, best.setting),
    ]
    assert metric_value(chooser, kind, val.target, found.predictions[0].score, "f1") == pytest.approx(
        best.value
    )
    assert metric_value("macro_auc", kind, test.target, found.predictions[1].score, "f1") > 0.6
    rows = schema_table("scores", found.scores).to_pandas()
    assert (rows["head"] == head).all()
    assert set(rows.loc[rows["chosen"], "setting"]) == {best.setting}
    curve = rows[~rows["chosen"]]
    assert set(curve["metric"]) == {chooser}
    assert set(curve["split"]) == {"val"}
    assert curve["value"].max() <= best.value
    assert best.setting not in set(curve["setting"])


def test_the_settings_can_be_chosen_without_predicting() -> None:
    train, val = fake_embeddings("train"), fake_embeddings("val")
    heads = ("knn", "gaussian_nb")
    fitted = fit_heads(train, [val], "multilabel", LABELS, heads, "macro_auc", "f1")
    assert choose_settings(train, val, "multilabel", heads, "macro_auc", "f1") == fitted.best


def test_the_neighbour_heads_try_every_k_distance_and_vote() -> None:
    train, val = fake_embeddings("train", 60), fake_embeddings("val")
    found = fit(train, val)
    settings = {row["setting"] for row in found.scores}
    assert settings == {f"k={k}, {way}" for k in range(1, 51) for way in WAYS}
    value = {row["setting"]: row["value"] for row in found.scores if not row["chosen"]}
    votes = votes_for_all_k(nearest(train.embedding, val.embedding, "cosine"), train.target, "uniform")
    expected = metric_value(AVERAGE_PRECISION, "multilabel", val.target, votes[8], "f1")
    assert value["k=9, cosine, uniform"] == expected


def test_fixed_settings_are_not_chosen_again() -> None:
    train, val, test = fake_embeddings("train", 60), fake_embeddings("val"), fake_embeddings("test")
    heads = ["knn", "knn k=2", "knn k=2 distance=cosine votes=distance", "svm c=3"]
    found = fit_heads(train, [val, test], "multilabel", LABELS, heads, AVERAGE_PRECISION, "f1")
    assert list(found.best) == heads
    rows = schema_table("scores", found.scores).to_pandas()
    tried = {head: set(group["setting"]) for head, group in rows.groupby("head")}
    assert tried["knn k=2"] == {f"k=2, {way}" for way in WAYS}
    assert tried["knn k=2 distance=cosine votes=distance"] == {"k=2, cosine, distance"}
    assert tried["svm c=3"] == {"c=3"}
    assert len(tried["knn"]) == 200
    at_two = rows[(rows["head"] == "knn") & rows["setting"].str.startswith("k=2,")]
    assert found.best["knn k=2"].value == at_two["value"].max()
    by_cosine = votes_for_all_k(nearest(train.embedding, test.embedding, "cosine"), train.target, "distance")
    (predicted,) = [p for p in found.predictions if p.head == heads[2] and p.split == "test"]
    np.testing.assert_allclose(predicted.score, by_cosine[1], rtol=1e-6)


def test_a_fixed_k_beyond_the_training_samples_takes_them_all() -> None:
    train, val = fake_embeddings("train", 7), fake_embeddings("val")
    found = fit(train, val, head="knn k=9 distance=euclidean votes=uniform")
    (best,) = found.best.values()
    assert best.setting == "k=7, euclidean, uniform"


def test_a_loss_is_minimised() -> None:
    train, val = fake_embeddings("train", 60), fake_embeddings("val")
    found = fit(train, val, head="logistic_regression", chooser="hamming_loss")
    curve = [row["value"] for row in found.scores if not row["chosen"]]
    assert found.best["logistic_regression"].value <= min(curve)


def test_the_nearest_fifty_are_kept_by_name() -> None:
    train, val, test = fake_embeddings("train", 60), fake_embeddings("val", 5), fake_embeddings("test", 6)
    found = fit(train, val, test)
    rows = schema_table("neighbours", found.neighbours).to_pandas()
    cosine = "cosine" in found.best["knn"].setting
    assert rows["split"].tolist() == ["val"] * 5 + ["test"] * 6
    assert set(rows["metric"]) == {"cosine" if cosine else "euclidean"}
    near = nearest(train.embedding, test.embedding, "cosine" if cosine else "euclidean")
    assert rows["neighbour"][7].tolist() == [train.sample[i] for i in near.index[2]]
    np.testing.assert_allclose(rows["distance"][7], near.distance[2], rtol=1e-6)
    assert fit(train, val, head="gaussian_nb").neighbours.num_rows == 0


def test_unknown_labels_do_not_teach() -> None:
    train, val = fake_embeddings("train", 60), fake_embeddings("val")
    unknown = fake_embeddings("train", 60)
    unknown.target[:] = -1
    both = replace(
        train,
        sample=[*train.sample, *unknown.sample],
        patient=[*train.patient, *unknown.patient],
        target=np.concatenate([train.target, unknown.target]),
        embedding=np.concatenate([train.embedding, unknown.embedding]),
    )
    assert fit(both, val).best == fit(train, val).best


def test_unknown_labels_in_validation_do_not_choose() -> None:
    train, val = fake_embeddings("train", 60), fake_embeddings("val")
    val.target[:4] = -1
    found = fit(train, val, head="logistic_regression")
    score = found.predictions[0].score
    assert len(score) == 40
    known = metric_value(AVERAGE_PRECISION, "multilabel", val.target[4:], score[4:], "f1")
    assert found.best["logistic_regression"].value == pytest.approx(known)


def test_classifiers_are_scikit_learns_one_fit_a_label() -> None:
    train, test = fake_embeddings("train", 60), fake_embeddings("test")
    scorer = classifiers.fit_scorer(lambda: GaussianNB(), train.embedding, train.target, exclusive=False)
    expected = [
        GaussianNB().fit(train.embedding, train.target[:, j]).predict_proba(test.embedding)[:, 1]
        for j in range(3)
    ]
    np.testing.assert_allclose(scorer(test.embedding), np.stack(expected, axis=1), rtol=1e-5)


def test_the_margin_of_a_support_vector_machine_decides_at_one_half() -> None:
    train, test = fake_embeddings("train", 60, noise=2.0), fake_embeddings("test", noise=2.0)
    scorer = classifiers.fit_scorer(
        lambda: classifiers.svm(1.0, scaled=False), train.embedding, train.target, exclusive=False
    )
    expected = [SVC(C=1).fit(train.embedding, train.target[:, j]).predict(test.embedding) for j in range(3)]
    np.testing.assert_array_equal(scorer(test.embedding) > 0.5, np.stack(expected, axis=1) > 0)


def test_scaling_matters_to_a_support_vector_machine() -> None:
    train, test = fake_embeddings("train", 60), fake_embeddings("test")
    train.embedding[:, 0] *= 1e4
    test.embedding[:, 0] *= 1e4

    def auc(*, scaled: bool) -> float:
        scorer = classifiers.fit_scorer(
            lambda: classifiers.svm(1.0, scaled=scaled), train.embedding, train.target, exclusive=False
        )
        return metric_value("macro_auc", "multilabel", test.target, scorer(test.embedding), "f1")

    assert auc(scaled=True) > auc(scaled=False) + 0.05


@pytest.mark.parametrize("exclusive", [False, True])
def test_labels_that_training_never_or_always_shows_get_a_constant(exclusive: bool) -> None:
    train = fake_embeddings("train", 60, kind="classes" if exclusive else "multilabel")

    def scores(target: np.ndarray) -> np.ndarray:
        make = classifiers.fit_scorer(lambda: GaussianNB(), train.embedding, target, exclusive=exclusive)
        return make(train.embedding)

    never = np.zeros(60, np.int8)
    assert (scores(np.column_stack([train.target, never]))[:, 3] == 0).all()
    assert scores(np.column_stack([never + np.int8(1), never])).tolist() == [[1, 0]] * 60


def test_unknown_heads_metrics_and_a_missing_validation_split_are_refused() -> None:
    train, val, test = fake_embeddings("train"), fake_embeddings("val"), fake_embeddings("test")
    with pytest.raises(SpecError, match=r"`heads`: must be post-hoc heads, got `knm`\. Did you mean `knn`\?"):
        fit(train, val, head="knm")
    with pytest.raises(SpecError, match="`chooser`: must be a metric of multilabel data, got `acuracy`"):
        fit(train, val, chooser="acuracy")
    with pytest.raises(ValueError, match="must hold the validation split"):
        fit(train, test)

from typing import Any

import numpy as np
import pytest

from study.evidence.baselines import prior_embeddings
from study.evidence.predictions import Embeddings
from study.evidence.retrieval import (
    Ranking,
    average_precision,
    hit_rate,
    rank_references,
    reciprocal_rank,
    retrieval_means,
    retrieval_measures,
    retrieval_rows,
)
from study.spec.task import RetrievalSpec

EUCLIDEAN = RetrievalSpec(distance="euclidean")


@pytest.fixture
def ranking() -> Ranking:
    relevant = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    return Ranking(relevant, np.array([2, 5, 0]), np.array([0, 1, 1]))


def samples(split: str, grades: list[int], places: list[float], patients: list[str]) -> Embeddings:
    """Samples of three grades with embeddings of one number."""
    return Embeddings(
        trial="a",
        split=split,
        sample=[f"{split}{i}" for i in range(len(grades))],
        patient=patients,
        target=np.eye(3, dtype=np.int8)[grades],
        embedding=np.array(places, dtype=np.float32)[:, None],
        synthetic=False,
    )


def test_measures_of_a_ranking_made_by_hand(ranking: Ranking) -> None:
    np.testing.assert_allclose(hit_rate(ranking, 4), [2 / 4, 1 / 4, 0])
    np.testing.assert_allclose(hit_rate(ranking, 2), [1 / 2, 0, 0])
    np.testing.assert_allclose(reciprocal_rank(ranking, 4), [1, 1 / 4, 0])
    np.testing.assert_allclose(reciprocal_rank(ranking, 3), [1, 0, 0])


def test_the_three_normalisations(ranking: Ranking) -> None:
    first, second = 1 + 2 / 3, 1 / 4
    np.testing.assert_allclose(average_precision(ranking, 4, "k"), [first / 4, second / 4, 0])
    np.testing.assert_allclose(average_precision(ranking, 4, "hits"), [first / 2, second, 0])
    np.testing.assert_allclose(average_precision(ranking, 4, "possible"), [first / 2, second / 4, 0])


def test_images_of_the_same_patient_are_left_out() -> None:
    references = samples("train", [0, 1, 0], [0.0, 1.0, 2.0], ["a", "b", "c"])
    queries = samples("test", [0], [0.1], ["a"])
    with_own = rank_references(
        references, queries, RetrievalSpec(distance="euclidean", exclude_same_patient=False)
    )
    assert with_own.relevant.tolist() == [[True, False, True, False]]
    assert with_own.possible.tolist() == [2]
    without = rank_references(references, queries, EUCLIDEAN)
    assert without.relevant.tolist() == [[False, True, False]]
    assert without.possible.tolist() == [1]


def value_of(rows: list[dict[str, Any]], metric: str, label: str = "") -> float:
    (row,) = [r for r in rows if (r["metric"], r["label"]) == (metric, label)]
    return float(row["value"])


def test_a_retriever_of_the_commonest_grade_is_good_over_queries_and_bad_over_grades() -> None:
    train = samples("train", [0] * 9 + [1, 2, 2], [0.0] * 12, list("abcdefghijkl"))
    test = samples("test", [0] * 8 + [1, 2], [0.0] * 10, list("nopqrstuvw"))
    references, queries = (
        prior_embeddings(
            trial="prior",
            train_target=train.target,
            split=split.split,
            sample=split.sample,
            patient=split.patient,
            target=split.target,
            synthetic=False,
        )
        for split in (train, test)
    )
    for task in (RetrievalSpec(), EUCLIDEAN):
        ranking = rank_references(references, queries, task)
        rows = retrieval_rows(ranking, queries, task.distance, ["No", "Mild", "Severe"])
        assert value_of(rows, "mhr@5") == pytest.approx(0.8)
        assert value_of(rows, "macro_mhr@5") == pytest.approx(1 / 3)
        assert value_of(rows, "map_possible@5", "No") == 1
        assert value_of(rows, "mrr@5", "Mild") == 0
        assert {(r["head"], r["setting"], r["decision"], r["chosen"]) for r in rows} == {
            ("retrieval", task.distance, "none", True)
        }


def test_grades_without_queries_are_not_averaged() -> None:
    references = samples("train", [0, 1], [0.0, 1.0], ["a", "b"])
    queries = samples("test", [1], [1.0], ["q"])
    ranking = rank_references(references, queries, EUCLIDEAN)
    rows = retrieval_rows(ranking, queries, "euclidean", ["x", "y", "z"])
    assert {row["label"] for row in rows} == {"", "y"}
    assert value_of(rows, "macro_mrr@5") == value_of(rows, "mrr@5", "y") == 1.0
    assert value_of(rows, "map@5") == pytest.approx(1 / 5)
    assert value_of(rows, "map_possible@5") == 1


def test_every_measure_has_a_row(ranking: Ranking) -> None:
    queries = samples("test", [0, 1, 1], [0.0, 1.0, 2.0], ["a", "b", "c"])
    rows = retrieval_rows(ranking, queries, "cosine", ["x", "y", "z"])
    assert len(rows) == 5 * 4 * (1 + 1 + 2)
    assert {row["metric"] for row in rows} == set(retrieval_measures())
    assert value_of(rows, "map_hits@5", "x") == pytest.approx((1 + 2 / 3) / 2)
    assert value_of(rows, "macro_map_hits@5") == pytest.approx(((1 + 2 / 3) / 2 + (1 / 4 + 0) / 2) / 2)


def test_the_fellow_eye_is_found_only_where_it_is_wanted() -> None:
    references = samples("train", [0, 1, 1], [5.0, 6.0, 7.0], ["a", "b", "c"])
    queries = samples("test", [2, 2, 0], [0.0, 0.1, 0.2], ["q", "q", "other"])
    without = rank_references(references, queries, EUCLIDEAN)
    assert without.possible.tolist() == [0, 0, 1]
    assert not without.relevant[:2].any()
    fellows = rank_references(
        references, queries, RetrievalSpec(distance="euclidean", exclude_same_patient=False)
    )
    assert fellows.possible.tolist() == [1, 1, 1]
    assert fellows.relevant.tolist() == [[True, False, False, False, False, False]] * 3


def test_queries_are_weighted(ranking: Ranking) -> None:
    weights = np.array([[2.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    found = retrieval_means(ranking, "mhr@5", None, weights)
    np.testing.assert_allclose(found, [(2 * 2 + 1) / 3 / 5, 2 / 2 / 5])
    np.testing.assert_allclose(
        retrieval_means(ranking, "macro_mhr@5", None, weights), [(2 + 1) / 2 / 5, (2 + 0) / 2 / 5]
    )
    with pytest.raises(
        ValueError, match=r"must be a measure of retrieval such as macro_map_possible@10, got `mhr@7`"
    ):
        retrieval_means(ranking, "mhr@7")

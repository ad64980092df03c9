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


@pytest.fixture
def ranking():
    relevant = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    return Ranking(relevant, np.array([2, 5, 0]), np.array([0, 1, 1]))


def gallery(split, grades, places, patients):
    names = [f"{split}{i}" for i in range(len(grades))]
    embedding = np.array(places, dtype=np.float32)[:, None]
    return Embeddings("a", split, names, patients, np.eye(3, dtype=np.int8)[grades], embedding, False)


def test_measures_of_a_ranking_made_by_hand(ranking):
    np.testing.assert_allclose(hit_rate(ranking, 4), [2 / 4, 1 / 4, 0])
    np.testing.assert_allclose(hit_rate(ranking, 2), [1 / 2, 0, 0])
    np.testing.assert_allclose(reciprocal_rank(ranking, 4), [1, 1 / 4, 0])
    np.testing.assert_allclose(reciprocal_rank(ranking, 3), [1, 0, 0])


def test_the_three_normalisations(ranking):
    first, second = 1 + 2 / 3, 1 / 4
    np.testing.assert_allclose(average_precision(ranking, 4, "k"), [first / 4, second / 4, 0])
    np.testing.assert_allclose(average_precision(ranking, 4, "hits"), [first / 2, second, 0])
    np.testing.assert_allclose(average_precision(ranking, 4, "possible"), [first / 2, second / 4, 0])


def test_images_of_the_same_patient_are_left_out():
    references = gallery("train", [0, 1, 0], [0.0, 1.0, 2.0], ["a", "b", "c"])
    queries = gallery("test", [0], [0.1], ["a"])
    with_own = rank_references(references, queries, "euclidean", 3, exclude_same_patient=False)
    assert with_own.relevant.tolist() == [[True, False, True]]
    assert with_own.possible.tolist() == [2]
    without = rank_references(references, queries, "euclidean", 3)
    assert without.relevant.tolist() == [[False, True, False]]
    assert without.possible.tolist() == [1]


def value_of(rows, metric, label=""):
    (row,) = [r for r in rows if (r["metric"], r["label"]) == (metric, label)]
    return row["value"]


def test_a_retriever_of_the_commonest_grade_is_good_over_queries_and_bad_over_grades():
    grades = [0] * 8 + [1, 2]
    train = np.eye(3, dtype=np.int8)[[0] * 9 + [1, 2, 2]]
    names = [str(i) for i in range(12)]
    references = prior_embeddings("prior", train, "train", names, names, train, False)
    asked = [f"q{i}" for i in range(10)]
    queries = prior_embeddings("prior", train, "test", asked, asked, np.eye(3, dtype=np.int8)[grades], False)
    for metric in ("cosine", "euclidean"):
        rows = retrieval_rows(
            rank_references(references, queries, metric), queries, metric, ["No", "Mild", "Severe"]
        )
        assert value_of(rows, "mhr@5") == pytest.approx(0.8)
        assert value_of(rows, "macro_mhr@5") == pytest.approx(1 / 3)
        assert value_of(rows, "map_possible@5", "No") == 1
        assert value_of(rows, "mrr@5", "Mild") == 0
        assert {(r["head"], r["setting"], r["decision"], r["chosen"]) for r in rows} == {
            ("retrieval", metric, "none", True)
        }


def test_grades_without_queries_are_not_averaged():
    references = gallery("train", [0, 1], [0.0, 1.0], ["a", "b"])
    queries = gallery("test", [1], [1.0], ["q"])
    ranking = rank_references(references, queries, "euclidean", 1)
    rows = retrieval_rows(ranking, queries, "euclidean", ["x", "y", "z"])
    assert {row["label"] for row in rows} == {"", "y"}
    assert value_of(rows, "macro_mrr@5") == value_of(rows, "mrr@5", "y") == 1.0
    assert value_of(rows, "map@5") == pytest.approx(1 / 5)
    assert value_of(rows, "map_possible@5") == 1


def test_every_measure_has_a_row(ranking):
    queries = gallery("test", [0, 1, 1], [0.0, 1.0, 2.0], ["a", "b", "c"])
    rows = retrieval_rows(ranking, queries, "cosine", ["x", "y", "z"])
    assert len(rows) == 5 * 4 * (1 + 1 + 2)
    assert {row["metric"] for row in rows} == set(retrieval_measures())
    assert value_of(rows, "map_hits@5", "x") == pytest.approx((1 + 2 / 3) / 2)
    assert value_of(rows, "macro_map_hits@5") == pytest.approx(((1 + 2 / 3) / 2 + (1 / 4 + 0) / 2) / 2)


def test_the_fellow_eye_is_found_only_where_it_is_wanted():
    references = gallery("train", [0, 1, 1], [5.0, 6.0, 7.0], ["a", "b", "c"])
    queries = gallery("test", [2, 2, 0], [0.0, 0.1, 0.2], ["q", "q", "other"])
    without = rank_references(references, queries, "euclidean", 4)
    assert without.possible.tolist() == [0, 0, 1]
    assert not without.relevant[:2].any()
    fellows = rank_references(references, queries, "euclidean", 4, exclude_same_patient=False)
    assert fellows.possible.tolist() == [1, 1, 1]
    assert fellows.relevant.tolist() == [[True, False, False, False]] * 3


def test_queries_are_weighted(ranking):
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

import numpy as np
import pytest

from study.evidence.predictions import Embeddings
from study.evidence.retrieval import Ranking, average_precision, hit_rate, rank_references, reciprocal_rank, retrieval_rows


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


def test_a_retriever_of_the_commonest_grade_is_good_over_queries_and_bad_over_grades():
    grades = [0] * 8 + [1, 2]
    names = [str(i) for i in range(10)]
    references = gallery("train", [0] * 10, np.arange(10), names)
    queries = gallery("test", grades, np.zeros(10), [f"q{i}" for i in range(10)])
    rows = retrieval_rows(rank_references(references, queries, "euclidean", 5), ["No", "Mild", "Severe"], cutoffs=(5,))
    value = {(row["metric"], row["grade"]): row["value"] for row in rows}
    assert value["mHR@5", "all"] == pytest.approx(0.8)
    assert value["mHR@5", "macro"] == pytest.approx(1 / 3)
    assert value["mAP@5 (by possible)", "No"] == 1
    assert value["mRR@5", "Mild"] == 0
    assert {row["queries"] for row in rows if row["grade"] == "No"} == {8}


def test_grades_without_queries_are_not_averaged():
    references = gallery("train", [0, 1], [0.0, 1.0], ["a", "b"])
    queries = gallery("test", [1], [1.0], ["q"])
    rows = retrieval_rows(rank_references(references, queries, "euclidean", 1), ["x", "y", "z"], cutoffs=(1,))
    assert {row["grade"] for row in rows} == {"all", "macro", "y"}
    assert {row["value"] for row in rows} == {1.0}

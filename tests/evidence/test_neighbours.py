import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from study.evidence.neighbours import nearest, votes_for_all_k
from study.spec.posthoc import DistanceName, Votes

Points = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def points() -> Points:
    """References and queries."""
    rng = np.random.default_rng(0)
    references = rng.normal(size=(80, 5)).astype(np.float32) + 3
    queries = rng.normal(size=(300, 5)).astype(np.float32)[:70] + 3
    return references, queries


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_neighbours_are_scikit_learns(points: Points, metric: DistanceName) -> None:
    references, queries = points
    found = nearest(references, queries, metric, k=7)
    distance, index = NearestNeighbors(n_neighbors=7, metric=metric).fit(references).kneighbors(queries)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-4, atol=1e-6)


def test_many_blocks_of_queries_are_as_one(points: Points) -> None:
    references, queries = points
    many = np.tile(queries, (8, 1))
    whole = nearest(references, many, "euclidean", k=3)
    once = nearest(references, queries, "euclidean", k=3)
    np.testing.assert_array_equal(whole.index, np.tile(once.index, (8, 1)))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("votes", ["uniform", "distance"])
def test_all_k_vote_as_scikit_learn_does(points: Points, metric: DistanceName, votes: Votes) -> None:
    references, queries = points
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 4, len(references))
    many = (rng.random((len(references), 3)) < 0.4).astype(np.int8)
    found = nearest(references, queries, metric, k=12)
    of_classes = votes_for_all_k(found, np.eye(4)[classes], votes, "first", exclusive=True)
    of_labels = votes_for_all_k(found, many, votes, "first")
    for k in range(1, 13):
        oracle = KNeighborsClassifier(k, metric=metric, weights=votes)
        np.testing.assert_allclose(
            of_classes[k - 1], oracle.fit(references, classes).predict_proba(queries), rtol=2e-4, atol=1e-5
        )
        expected = np.stack([p[:, 1] for p in oracle.fit(references, many).predict_proba(queries)], axis=1)
        np.testing.assert_allclose(of_labels[k - 1], expected, rtol=2e-4, atol=1e-5)
        np.testing.assert_array_equal(
            of_classes[k - 1].argmax(axis=1), oracle.fit(references, classes).predict(queries)
        )


def test_equal_votes_go_to_the_smaller_summed_distance() -> None:
    references = np.array([[0.0], [1.0], [3.0]])
    classes = np.eye(3)[[2, 0, 1]]
    queries = np.array([[0.4], [0.6]])
    near = nearest(references, queries, "euclidean", k=2)
    first = votes_for_all_k(near, classes, "uniform", "first", exclusive=True)[1]
    assert first.argmax(axis=1).tolist() == [0, 0]
    broken = votes_for_all_k(near, classes, "uniform", "distance", exclusive=True)[1]
    assert broken.argmax(axis=1).tolist() == [2, 0]
    np.testing.assert_allclose(broken, first, atol=2e-6)


def test_half_of_the_votes_for_a_label_is_decided_by_the_summed_distance() -> None:
    references = np.array([[0.0], [1.0]])
    target = np.array([[1, 0], [0, 1]], dtype=np.int8)
    near = nearest(references, np.array([[0.4], [0.6]]), "euclidean", k=2)
    assert (votes_for_all_k(near, target, "uniform", "first")[1] == 0.5).all()
    assert (votes_for_all_k(near, target, "uniform", "distance")[1] > 0.5).tolist() == [
        [True, False],
        [False, True],
    ]


def test_a_reference_at_the_same_place_votes_alone_by_distance() -> None:
    references = np.array([[0.1, 0.2], [0.1, 0.2], [0.5, 0.5]], dtype=np.float32)
    near = nearest(references, references[:1], "euclidean", k=3)
    assert near.distance[0, :2].tolist() == [0, 0]
    assert near.index[0].tolist() == [0, 1, 2]
    score = votes_for_all_k(near, np.array([[1], [0], [1]]), "distance", "first")
    np.testing.assert_allclose(score[:, 0, 0], [1, 0.5, 0.5])


def test_fewer_references_than_k_are_all_taken_and_zero_vectors_have_a_cosine() -> None:
    references = np.array([[0.0, 0.0], [1.0, 0.0]])
    near = nearest(references, np.array([[2.0, 0.0]]), "cosine", k=50)
    assert near.index.tolist() == [[1, 0]]
    np.testing.assert_allclose(near.distance, [[0, 1]])


def test_forbidden_references_come_last_with_infinite_distance(points: Points) -> None:
    references, queries = points
    allowed = np.random.default_rng(0).random((len(queries), len(references))) < 0.05
    near = nearest(references, queries, "euclidean", k=20, allowed=allowed)
    inside = np.take_along_axis(allowed, near.index, axis=1)
    np.testing.assert_array_equal(np.isfinite(near.distance), inside)
    np.testing.assert_array_equal(inside.sum(axis=1), np.minimum(allowed.sum(axis=1), 20))

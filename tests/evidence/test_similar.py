"""Similar cases of embeddings made by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.evidence.heads import fit_heads
from study.evidence.predictions import Embeddings
from study.evidence.similar import (
    SimilarCases,
    known_cases,
    search_rule,
    similar_cases,
    telling_queries,
)
from study.evidence.store import Store
from study.spec.posthoc import DistanceName
from study.spec.task import ClassificationSpec, RetrievalSpec
from tests.evidence.fakes import LABELS, fake_embeddings, study_row, trial_row

EUCLIDEAN = RetrievalSpec(distance="euclidean")
GRADES = ("none", "mild", "severe")


def samples(
    split: str, grades: list[int], places: list[tuple[float, float]], patients: list[str] | None = None
) -> Embeddings:
    """Samples of three grades in the plane; grade -1 is unknown."""
    names = [f"{split}{i}" for i in range(len(grades))]
    target = np.eye(3, dtype=np.int8)[grades]
    target[np.array(grades) < 0] = -1
    return Embeddings(
        trial="a",
        split=split,
        sample=names,
        patient=patients or names,
        target=target,
        embedding=np.array(places, dtype=np.float32),
        synthetic=False,
    )


def names(cases: SimilarCases, query: int = 0) -> list[str]:
    """The neighbours of a query, nearest first."""
    rows = cases.index[query][cases.found[query]]
    return [cases.known.sample[row] for row in rows]


KNOWN = samples("train", [0, 1, 2, 2], [(0, 0), (3, 4), (0, 1), (6, 8)], ["a", "b", "c", "d"])


def test_neighbours_stand_in_the_order_of_their_distances() -> None:
    query = samples("new", [2], [(0, 0)])
    cases = similar_cases(KNOWN, query, EUCLIDEAN, 3)
    assert names(cases) == ["train0", "train2", "train1"]
    np.testing.assert_allclose(cases.distance, [[0, 1, 5]], atol=1e-6)
    assert cases.same.tolist() == [[False, True, False]]
    assert cases.neighbours() == ["train0", "train2", "train1"]


def test_cosine_distance_is_one_less_the_cosine() -> None:
    query = samples("new", [2], [(2, 0)])
    cases = similar_cases(KNOWN, query, RetrievalSpec(), 4)
    assert names(cases) == ["train1", "train3", "train0", "train2"]
    np.testing.assert_allclose(cases.distance, [[1 - 0.6, 1 - 0.6, 1, 1]], atol=1e-6)


def test_samples_of_the_same_patient_are_left_out() -> None:
    query = samples("new", [0], [(0, 0)], ["a"])
    assert names(similar_cases(KNOWN, query, EUCLIDEAN, 4)) == ["train2", "train1", "train3"]
    everyone = RetrievalSpec(distance="euclidean", exclude_same_patient=False)
    assert names(similar_cases(KNOWN, query, everyone, 4))[0] == "train0"
    other_data_set = similar_cases(KNOWN, query, EUCLIDEAN, 4, same_names=False)
    assert names(other_data_set)[0] == "train0"


def test_a_sample_never_finds_itself() -> None:
    everyone = RetrievalSpec(distance="euclidean", exclude_same_patient=False)
    assert names(similar_cases(KNOWN, KNOWN, everyone, 1), query=2) == ["train0"]


def test_the_table_has_labels_ranks_and_marks() -> None:
    queries = samples("new", [2, -1], [(0, 0), (6, 8)], ["a", "z"])
    table = similar_cases(KNOWN, queries, EUCLIDEAN, 4).table(GRADES)
    first = [row for row in table.to_pylist() if row["sample"] == "new0"]
    assert [row["rank"] for row in first] == [1, 2, 3]  # the fourth would be the same patient's
    assert first[0] == {
        "trial": "a",
        "metric": "euclidean",
        "sample": "new0",
        "labels": ["severe"],
        "rank": 1,
        "neighbour": "train2",
        "neighbour_labels": ["severe"],
        "distance": 1.0,
        "same": True,
        "synthetic": False,
    }
    assert [row["same"] for row in first] == [True, False, True]
    unknown = [row for row in table.to_pylist() if row["sample"] == "new1"]
    assert [row["neighbour"] for row in unknown] == ["train3", "train1", "train2", "train0"]
    assert {(row["labels"], row["same"]) for row in unknown} == {(None, None)}


def test_several_labels_are_the_same_only_where_all_are() -> None:
    query = samples("new", [0], [(0, 0)])
    query.target[0] = [1, 0, 1]
    KNOWN_PAIR = samples("train", [0, 0], [(0, 1), (0, 2)])
    KNOWN_PAIR.target[1] = [1, 0, 1]
    assert similar_cases(KNOWN_PAIR, query, EUCLIDEAN, 2).same.tolist() == [[False, True]]


def test_queries_worth_a_look_are_the_best_and_the_worst_of_each_label() -> None:
    known = samples("train", [0, 0, 1, 1], [(0, 0), (0, 1), (9, 0), (9, 1)])
    places: list[tuple[float, float]] = [(0, 3), (0, 0.5), (9, 0.5), (8, 0.5), (4.4, 0.0), (0, 0)]
    queries = samples("test", [0, 0, 0, 0, 0, 1], places)
    cases = similar_cases(known, queries, EUCLIDEAN, 2)
    assert cases.same.sum(axis=1).tolist() == [2, 2, 0, 0, 2, 0]
    # grade 0: right and nearest is 1, wrong and nearest is 2; grade 1: only a wrong one; grade 2: none
    assert telling_queries(cases) == [1, 2, 5]


def test_queries_with_unknown_labels_are_not_worth_a_look() -> None:
    cases = similar_cases(KNOWN, samples("test", [-1], [(0, 0)]), EUCLIDEAN, 2)
    assert telling_queries(cases) == []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.write_study(study_row(synthetic=False))
    return store


def publish(store: Store, *parts: Embeddings, neighbours: bool = False) -> None:
    """A trial with these embeddings, and with what nearest neighbours make of them."""
    tables: dict[str, Any] = {"trial": [trial_row("search-00001")]}
    for part in parts:
        tables["embeddings"] = part.table()
    if neighbours:
        queries = [fake_embeddings("val"), fake_embeddings("test")]
        fitted = fit_heads(
            fake_embeddings("train"),
            queries,
            "multilabel",
            LABELS,
            ("knn",),
            "macro_average_precision",
            "f1",
        )
        tables["neighbours"] = fitted.neighbours
    store.publish("search-00001", tables)


def test_generated_training_samples_are_no_cases(store: Store) -> None:
    train = Embeddings(
        trial="search-00001",
        split="train",
        sample=["real", "generated", "unlabelled"],
        patient=["p", "q", "r"],
        target=np.array([[1, 0, 0], [1, 0, 0], [-1, -1, -1]], dtype=np.int8),
        embedding=np.zeros((3, 2), dtype=np.float32),
        synthetic=False,
        generated=np.array([False, True, False]),
    )
    publish(store, train)
    known = known_cases(store, "search-00001")
    assert known is not None
    assert known.sample == ["real"]


def test_a_run_without_embeddings_has_no_cases(store: Store) -> None:
    publish(store)
    assert known_cases(store, "search-00001") is None


def test_the_task_says_how_to_search_else_the_distance_of_the_best_k(store: Store) -> None:
    assert search_rule(store, "search-00001", EUCLIDEAN) == EUCLIDEAN
    publish(store, neighbours=True)
    stored = store.read("neighbours")
    found = search_rule(store, "search-00001", ClassificationSpec())
    assert found is not None
    assert found.distance == stored["metric"][0]
    cases = similar_cases(fake_embeddings("train"), fake_embeddings("test"), found, 5)
    of_test = stored[stored["split"] == "test"].reset_index()
    for query in range(len(cases.index)):
        assert names(cases, query) == list(of_test["neighbour"][query][:5])
        np.testing.assert_allclose(cases.distance[query], of_test["distance"][query][:5], atol=1e-6)


def test_a_trial_without_neighbours_has_no_rule(store: Store) -> None:
    publish(store)
    assert search_rule(store, "search-00001", ClassificationSpec()) is None


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_some_queries_keep_their_neighbours(metric: DistanceName) -> None:
    cases = similar_cases(KNOWN, KNOWN, RetrievalSpec(distance=metric), 3)
    some = cases.of([3, 1], 2)
    assert some.queries.sample == ["train3", "train1"]
    assert some.distance.tolist() == cases.distance[[3, 1], :2].tolist()
    assert names(some) == names(cases, 3)[:2]

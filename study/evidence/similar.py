"""Similar cases: the training samples that lie nearest to a sample, in the embedding of a trial.

Source: the task of Fang et al. 2023, to find photographs of the query's grade of retinopathy.
Differs: it serves any labels, and a query's own labels may be unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Int8

from study.evidence.arrow_tables import schema_table
from study.evidence.neighbours import nearest
from study.evidence.predictions import UNKNOWN, Embeddings, embeddings_of
from study.evidence.records import Row
from study.evidence.store import Store
from study.evidence.trial_files import Filters
from study.spec.posthoc import DistanceName
from study.spec.task import RetrievalSpec, Task


@dataclass(frozen=True, kw_only=True, eq=False)
class SimilarCases:
    """The nearest training samples of each query, nearest first.

    Attributes:
        queries: Samples whose neighbours these are; their labels may be unknown.
        known: Training samples, all of whose labels are known.
        metric: Distance between embeddings.
        index: Rows of `known`.
        distance: Distances to them; infinity where none is left that the query may find.
    """

    queries: Embeddings
    known: Embeddings
    metric: DistanceName
    index: Int[np.ndarray, "q k"]
    distance: Float[np.ndarray, "q k"]

    @property
    def known_truth(self) -> Bool[np.ndarray, " q"]:
        """Whether all labels of a query are known."""
        return np.asarray((self.queries.target != UNKNOWN).all(axis=1))

    @property
    def found(self) -> Bool[np.ndarray, "q k"]:
        """Whether there is a neighbour of that rank."""
        return np.asarray(np.isfinite(self.distance))

    @property
    def same(self) -> Bool[np.ndarray, "q k"]:
        """Whether a neighbour has exactly the labels of its query; false where those are unknown."""
        equal = (self.known.target[self.index] == self.queries.target[:, None]).all(axis=2)
        return np.asarray(equal & self.found)

    def of(self, rows: Sequence[int], k: int) -> "SimilarCases":
        """The first k neighbours of some queries, in the order of `rows`."""
        queries = replace(
            self.queries,
            sample=[self.queries.sample[row] for row in rows],
            patient=[self.queries.patient[row] for row in rows],
            target=self.queries.target[list(rows)],
            embedding=self.queries.embedding[list(rows)],
        )
        index, distance = self.index[list(rows), :k], self.distance[list(rows), :k]
        return replace(self, queries=queries, index=index, distance=distance)

    def neighbours(self) -> list[str]:
        """Names of all training samples that are a neighbour, each once."""
        return [self.known.sample[row] for row in dict.fromkeys(self.index[self.found].tolist())]

    def table(self, labels: Sequence[str]) -> pa.Table:
        """The rows of SIMILAR.

        Args:
            labels: Names of the labels in the order of the columns of the targets.
        """
        rows: list[Row] = []
        same, known_truth = self.same, self.known_truth
        for query, rank in np.argwhere(self.found).tolist():
            known = self.index[query, rank]
            row: Row = {
                "trial": self.known.trial,
                "metric": self.metric,
                "sample": self.queries.sample[query],
                "labels": carried(self.queries.target[query], labels) if known_truth[query] else None,
                "rank": rank + 1,
                "neighbour": self.known.sample[known],
                "neighbour_labels": carried(self.known.target[known], labels),
                "distance": float(self.distance[query, rank]),
                "same": bool(same[query, rank]) if known_truth[query] else None,
                "synthetic": self.queries.synthetic or self.known.synthetic,
            }
            rows.append(row)
        return schema_table("similar", rows)


def carried(target: Int8[np.ndarray, " l"], labels: Sequence[str]) -> list[str]:
    """The labels that a sample carries."""
    return [label for label, value in zip(labels, target, strict=True) if value > 0]


def known_cases(store: Store, trial: str) -> Embeddings | None:
    """The embeddings of a trial's training samples; None where none with known labels are stored.

    Generated samples are no cases, so a run on real images leaves them out.
    """
    filters: Filters = {"split": "train", "synthetic": bool(store.read_study()["synthetic"])}
    parts = embeddings_of(store.read_table("embeddings", [trial], filters=filters))
    known = parts[0].known() if parts else None
    return known if known is not None and known.sample else None


def search_rule(store: Store, trial: str, task: Task) -> RetrievalSpec | None:
    """How a trial searches for similar cases: as its task says, else by the distance of its best K.

    Args:
        store: The run.
        trial: Key of the trial.
        task: Task of the trial.

    Returns:
        None where the task is no retrieval and the trial has no stored neighbours either.
    """
    if isinstance(task, RetrievalSpec):
        return task
    metrics = store.read_table("neighbours", [trial], columns=["metric"])["metric"]
    return RetrievalSpec(distance=metrics[0].as_py()) if len(metrics) else None


def similar_cases(
    known: Embeddings, queries: Embeddings, rule: RetrievalSpec, k: int, *, same_names: bool = True
) -> SimilarCases:
    """The k training samples that are nearest to each query.

    Args:
        known: Training samples.
        queries: Samples to find neighbours for.
        rule: Distance between embeddings, and whether samples of the query's patient are left out. The query
            itself is always left out.
        k: Number of neighbours, at most that of the training samples.
        same_names: Whether equal names of samples and patients mean the same ones, as within one data set.
    """
    names = (known.patient, queries.patient) if rule.exclude_same_patient else (known.sample, queries.sample)
    own = _equal(*names) if same_names else None
    found = nearest(
        known.embedding, queries.embedding, rule.distance, k, allowed=None if own is None else ~own
    )
    return SimilarCases(
        queries=queries, known=known, metric=rule.distance, index=found.index, distance=found.distance
    )


def _equal(known: Sequence[str], queries: Sequence[str]) -> Bool[np.ndarray, "q r"] | None:
    """Which names are equal; None where no two are."""
    if not set(known) & set(queries):
        return None
    number = {name: i for i, name in enumerate(dict.fromkeys([*known, *queries]))}
    first, second = (np.array([number[name] for name in names]) for names in (queries, known))
    return np.asarray(first[:, None] == second)


def telling_queries(cases: SimilarCases) -> list[int]:
    """Rows of the queries that are worth a look: for each label one with right neighbours, and the worst one.

    The first is the query whose neighbours all have its labels and lie nearest on average. The worst is the
    query with the fewest neighbours of its labels; of several, the one whose neighbours lie nearest. A label
    without the one or the other has one query or none.
    """
    hits, distance = cases.same.sum(axis=1), np.where(cases.found, cases.distance, 0).sum(axis=1)
    complete = hits == cases.index.shape[1]
    rows: list[int] = []
    for column in cases.queries.target.T:
        of_label = (column > 0) & cases.known_truth & cases.found.any(axis=1)
        right, wrong = np.flatnonzero(of_label & complete), np.flatnonzero(of_label & ~complete)
        rows += right[np.argsort(distance[right], kind="stable")][:1].tolist()
        rows += wrong[np.lexsort((distance[wrong], hits[wrong]))][:1].tolist()
    return list(dict.fromkeys(rows))

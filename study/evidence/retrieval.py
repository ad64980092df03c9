"""Retrieval: are the nearest references of the same grade as the query?

Source: the measures of Fang et al. 2023 as their code computes them (mHR, mAP divided by k); mRR is not in it.
Differs: mAP in all three normalisations; references of the query's own patient can be left out; means over grades, because
a retriever that always returns the commonest grade has a good mean over queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from study.evidence.neighbours import DistanceName, nearest
from study.evidence.predictions import Embeddings

Normalisation = Literal["k", "hits", "possible"]
CUTOFFS = (5, 10, 20, 50)


@dataclass(frozen=True)
class Ranking:
    """The grades of the nearest references of each query.

    Attributes:
        relevant: whether each is of the query's grade, nearest first; false where there was no reference left.
        possible: how many references of the query's grade there are.
        grade: of each query.
    """

    relevant: Bool[np.ndarray, "q k"]
    possible: Int[np.ndarray, " q"]
    grade: Int[np.ndarray, " q"]


def rank_references(
    references: Embeddings, queries: Embeddings, metric: DistanceName = "cosine", k: int = max(CUTOFFS), exclude_same_patient: bool = True
) -> Ranking:
    """Ranks the references for each query.

    Args:
        references: the gallery, one grade (or class) a sample.
        queries: what to search for.
        metric: of the embeddings.
        k: how many references to keep.
        exclude_same_patient: never return images of the query's own patient, the fellow eye included.
    """
    reference_grade, grade = references.target.argmax(axis=1), queries.target.argmax(axis=1)
    same = grade[:, None] == reference_grade
    allowed = None
    if exclude_same_patient:
        allowed = np.asarray(queries.patient, dtype=object)[:, None] != np.asarray(references.patient, dtype=object)
        same &= allowed
    found = nearest(references.embedding, queries.embedding, metric, k, allowed)
    relevant = (reference_grade[found.index] == grade[:, None]) & np.isfinite(found.distance)
    return Ranking(relevant, same.sum(axis=1), grade)


def hit_rate(ranking: Ranking, k: int) -> Float[np.ndarray, " q"]:
    """HR@k of each query = relevant among the first k / k (precision at k); mHR is its mean."""
    return np.asarray(ranking.relevant[:, :k].sum(axis=1) / k)


def average_precision(ranking: Ranking, k: int, normalisation: Normalisation) -> Float[np.ndarray, " q"]:
    """AP@k of each query = Σ_{r ≤ k} relevant_r HR@r / N; mAP is its mean; 0 where N is 0.

    Args:
        ranking: of the queries.
        k: cut-off.
        normalisation: N is `k`; `hits`, the relevant among the first k; or `possible`, min(k, references of the grade).
    """
    relevant = ranking.relevant[:, :k]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    total = (relevant * precision).sum(axis=1)
    by = {"k": np.full(len(relevant), k), "hits": relevant.sum(axis=1), "possible": np.minimum(k, ranking.possible)}[normalisation]
    return np.asarray(total / np.maximum(by, 1))


def reciprocal_rank(ranking: Ranking, k: int) -> Float[np.ndarray, " q"]:
    """RR@k of each query = 1 / rank of the first relevant reference, 0 where none is among the first k."""
    relevant = ranking.relevant[:, :k]
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def retrieval_rows(ranking: Ranking, grades: Sequence[str], cutoffs: Sequence[int] = CUTOFFS) -> list[dict[str, Any]]:
    """mHR, mAP (three normalisations) and mRR at each cut-off: over all queries, for each grade, and the mean of the grades.

    Returns:
        rows with metric (`mHR@5`, `mAP@5 (by hits)`), grade (`all`, `macro` or a grade's name), value and queries; a grade
        without queries has no row and no part in `macro`.
    """
    rows = []
    for k in cutoffs:
        measures = {f"mHR@{k}": hit_rate(ranking, k), f"mRR@{k}": reciprocal_rank(ranking, k)}
        ways: tuple[Normalisation, ...] = ("k", "hits", "possible")
        measures |= {f"mAP@{k} (by {way})": average_precision(ranking, k, way) for way in ways}
        for metric, value in measures.items():
            present = [g for g in range(len(grades)) if (ranking.grade == g).any()]
            of_grade = {grades[g]: float(value[ranking.grade == g].mean()) for g in present}
            count = {grades[g]: int((ranking.grade == g).sum()) for g in present}
            whole = {"all": float(value.mean()), "macro": float(np.mean(list(of_grade.values())))}
            for grade, mean in {**whole, **of_grade}.items():
                rows.append({"metric": metric, "grade": grade, "value": mean, "queries": count.get(grade, len(value))})
    return rows
